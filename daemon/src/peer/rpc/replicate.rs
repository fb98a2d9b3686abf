//! `Replicate`: fetches a copy for another peer and keeps it. The grant is the directory's word, in this peer's own name;
//! whose copies are taken is this peer's own rule. What is fetched comes the way of every download, and the caller hears
//! "done" only of a copy that is durable here.

use std::{sync::Arc, time::Duration};

use p2p_proto::{
    Failure, FailureKind, PeerIdentity, PeerName, Visibility,
    grant::{Action, Grant},
    rest::{publications::Publication, session::AcceptCopies},
    v1::{PlaceProgress, PlaceRequest},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::refuse;
use crate::{
    config::Live,
    identity::session::{Session, Sessions},
    peer::access::{Authority, Refusal},
    transfer::{
        Order, Transfers,
        progress::{State, Transfer},
    },
};

/// At most so often is progress told.
const PROGRESS: Duration = Duration::from_millis(250);

/// When nothing changes, the caller hears so often that this peer lives.
const STILL_HERE: Duration = Duration::from_secs(5);

/// Takes copies for others.
#[derive(Clone)]
pub struct Copies {
    /// Who checks grants.
    pub authority: Arc<dyn Authority>,
    /// The session.
    pub sessions: Arc<Sessions>,
    /// Fetches.
    pub transfers: Transfers,
    /// Whose copies are taken.
    pub config: Live,
}

/// Begins the copy, or joins the transfer that makes it, and follows it.
pub async fn answer(
    copies: &Copies,
    caller: &PeerIdentity,
    request: &PlaceRequest,
) -> Result<ReceiverStream<Result<PlaceProgress, Status>>, Status> {
    let session = copies.sessions.require()?;
    let own = PeerIdentity {
        cluster: session.record.cluster,
        user: session.record.user_id,
        peer: session.peer_id(),
    };
    let grant = copies
        .authority
        .check(&request.grant, &own, Action::Replicate)
        .map_err(|bad| refuse(Refusal::Grant(bad)))?;
    let publication = allowed(copies, &session, caller, &grant).await?;
    let order = Order::copy(publication, Some(name_of(caller)));
    let transfer = Arc::clone(&copies.transfers.start(order).await?.transfer);
    let (to_caller, stream) = mpsc::channel(4);
    // Ends with the transfer, or when the caller is gone: the copy is made all the same.
    tokio::spawn(async move { tell(&transfer, &to_caller).await });
    Ok(ReceiverStream::new(stream))
}

/// What the grant names, if this peer takes copies of it from this caller.
async fn allowed(
    copies: &Copies,
    session: &Session,
    caller: &PeerIdentity,
    grant: &Grant,
) -> Result<Publication, Status> {
    let same_account = caller.user == session.record.user_id;
    if !same_account && copies.config.now().store.accept_copies == AcceptCopies::Own {
        return Err(Status::failed_precondition(
            "accepts copies of its own account only",
        ));
    }
    let located = session.client.locate(&format!("id:{}", grant.publication)).await;
    let publication = located.map_err(|failure| unseen(&failure))?.publication;
    let own = publication.owner == session.record.user;
    if publication.hash != grant.hash || (publication.visibility == Visibility::Private && !own) {
        return Err(Status::failed_precondition("may not keep that file"));
    }
    Ok(publication)
}

fn unseen(failure: &Failure) -> Status {
    match failure.kind {
        FailureKind::NotFound => Status::failed_precondition("may not see that file"),
        _ => Status::unavailable(failure.message.clone()),
    }
}

/// Peers know each other by their ids; names are for people, and the first digits will do.
fn name_of(peer: &PeerIdentity) -> PeerName {
    let short = peer.peer.short();
    short
        .parse()
        .unwrap_or_else(|_| unreachable!("eight hex digits are a name"))
}

async fn tell(transfer: &Transfer, to_caller: &mpsc::Sender<Result<PlaceProgress, Status>>) {
    let mut progress = transfer.subscribe();
    loop {
        let now = progress.borrow_and_update().clone();
        let word = PlaceProgress {
            state: now.state.word().into(),
            reason: match &now.state {
                State::Failed(failure) => failure.message.clone(),
                _ => now.reason,
            },
            done_bytes: now.done,
            total_bytes: now.size.unwrap_or(now.done),
        };
        if to_caller.send(Ok(word)).await.is_err() || now.state.is_final() {
            return;
        }
        tokio::select! {
            changed = tokio::time::timeout(STILL_HERE, progress.changed()) => {
                if matches!(changed, Ok(Err(_))) {
                    return;
                }
            }
            () = to_caller.closed() => return,
        }
        // What happens within a tick is told once; its end at once.
        tokio::select! {
            () = tokio::time::sleep(PROGRESS) => {}
            _ = progress.wait_for(|now| now.state.is_final()) => {}
        }
    }
}
