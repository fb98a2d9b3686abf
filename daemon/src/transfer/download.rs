//! One download from locating to a durable, announced copy, as far as it comes in one go. What halts it is for its owner
//! to judge: [`super::drive`] waits, and begins the next go with what is there.

use std::{sync::Arc, time::Duration};

use p2p_proto::{
    ByteCount, Failure, FailureKind, FileName,
    rest::{location::LocateResponse, publications::Publication},
};

use futures::future::join_all;
use tracing::field::Empty;

use super::{
    Halt, Shared, deliver,
    job::Keep,
    line::Place,
    locate,
    progress::{State, Transfer},
    swarm,
    turns::Turn,
};
use crate::{
    identity::session::Session,
    store::{Incoming, Purpose, StoreError},
    user_file::UserFile,
};

/// What a person should know of a transfer whose output hangs.
pub(super) const HANGS: &str = "the file system of the output does not answer";

/// How long the directory may take to hear of the new copy before the person is told "done"; a ping tells it later.
const ANNOUNCE: Duration = Duration::from_secs(5);

/// What one transfer fetches, and where it leaves that.
pub(super) struct Fetch {
    /// What.
    pub publication: Publication,
    /// Where it stays. The passed file is taken when the bytes begin to come.
    pub keep: Keep,
    /// Its place among those that fetch the same content into the store; it has the content's partial at the head only.
    pub place: Option<Place>,
}

impl Fetch {
    /// One that has not begun.
    pub const fn new(publication: Publication, keep: Keep) -> Self {
        Self {
            publication,
            keep,
            place: None,
        }
    }

    /// Its place, at the end of the line when it has none yet.
    pub fn in_line(&mut self, shared: &Shared, id: u64) -> &Place {
        let hash = self.publication.hash;
        self.place.get_or_insert_with(|| shared.lines.join(hash, id))
    }
}

/// Goes as far as it can.
///
/// # Errors
/// [`Halt::Wait`] when nobody can help now, [`Halt::Failed`] for what waiting does not mend.
pub(super) async fn go(
    shared: &Arc<Shared>,
    transfer: &Arc<Transfer>,
    fetch: &mut Fetch,
) -> Result<(), Halt> {
    wait_for_the_same(shared, transfer, fetch).await;
    let turn = turn(shared, transfer).await;
    transfer.sets_out();
    let (hash, publication) = (fetch.publication.hash, fetch.publication.clone());
    let here = matches!(shared.store.content(hash).await, Ok(Some(_)));
    match &fetch.keep {
        Keep::InStore if here => {
            transfer.has(publication.size, publication.size);
            hold(shared, transfer.id, &publication).await?;
            drop(turn);
        }
        // It came while this one let another go first; it is read where it is.
        Keep::Nowhere if here => {
            transfer.has(publication.size, publication.size);
            return Ok(());
        }
        keep => {
            let session = shared.sessions.require().map_err(Halt::Wait)?;
            let output = match keep {
                Keep::OnlyIn(file) => Some(file.clone()),
                Keep::InStore | Keep::Nowhere => None,
            };
            let bringing = Box::pin(bring(shared, transfer, fetch, &session));
            in_turn(turn, transfer, output, bringing).await?;
            tell_sources(transfer, &publication);
        }
    }
    // Where files are written is their owners' matter: others have the turn, and the content is here for them.
    fetch.place = None;
    outputs(shared, transfer, &publication).await;
    Ok(())
}

/// Who gave how much. What a user here asked for is always said; what others order, no more often than the log bears.
fn tell_sources(transfer: &Transfer, publication: &Publication) {
    let (hash, nobodys) = (publication.hash, transfer.users().is_empty());
    for (peer, bytes) in transfer.sources() {
        let line = format!("{} fetched from {peer}, {}", publication.name, ByteCount(bytes));
        if nobodys {
            tracing::info!(PEER = %peer, TRANSFER = transfer.id, CONTENT_HASH = %hash, "{line}");
        } else {
            tracing::info!(own = Empty, PEER = %peer, TRANSFER = transfer.id, CONTENT_HASH = %hash, "{line}");
        }
    }
}

/// Does it in its turn. One whose output hangs leaves that to others, and goes on without.
async fn in_turn<T>(
    turn: Turn,
    transfer: &Transfer,
    output: Option<UserFile>,
    mut work: impl Future<Output = T> + Unpin,
) -> T {
    if let Some(output) = output {
        tokio::select! {
            done = &mut work => return done,
            () = output.is_found_hanging() => {}
        }
        transfer.enter(State::Waiting, HANGS);
        drop(turn);
    }
    work.await
}

/// Brings the bytes to where they stay.
async fn bring(
    shared: &Arc<Shared>,
    transfer: &Arc<Transfer>,
    fetch: &mut Fetch,
    session: &Arc<Session>,
) -> Result<(), Halt> {
    let located = match fetch.publication.size {
        0 => None,
        _ => Some(holders(shared, session, transfer, &fetch.publication).await?),
    };
    let incoming = match transfer.incoming() {
        Some(incoming) => incoming,
        None => begin(shared, transfer, fetch).await?,
    };
    let publication = &fetch.publication;
    match located {
        None => drop(incoming.write_piece(0, &[])?),
        Some(located) => {
            swarm::fetch_all(shared, session, transfer, publication, incoming.clone(), located).await?;
        }
    }
    transfer.enter(State::Verifying, "");
    match fetch.keep {
        Keep::InStore => keep(shared, transfer, publication, incoming).await?,
        Keep::OnlyIn(_) => incoming.commit(Purpose::Nothing).await?,
        Keep::Nowhere => {
            transfer.enter(State::Delivering, "");
            transfer.read_by_all().await;
        }
    }
    Ok(())
}

/// Waits until fewer than the most run.
async fn turn(shared: &Shared, transfer: &Transfer) -> Turn {
    if let Some(turn) = shared.turns.try_take() {
        return turn;
    }
    transfer.enter(State::Queued, "other transfers run first");
    shared.turns.take(Arc::clone(&transfer.rank)).await
}

/// Those that fetch one content into the store take turns: the second finds it here, or what the first has left of it.
async fn wait_for_the_same(shared: &Shared, transfer: &Transfer, fetch: &mut Fetch) {
    if matches!(fetch.keep, Keep::OnlyIn(_)) {
        return;
    }
    let own = shared.account(transfer.id);
    let place = fetch.in_line(shared, transfer.id);
    let behind = |first| {
        let reason = match shared.account(first) == own {
            true => format!("transfer {first} brings the same content"),
            // Not this account's to know.
            false => "another transfer brings the same content".to_owned(),
        };
        transfer.enter(State::Queued, reason);
    };
    place.comes_first(behind).await;
}

async fn begin(shared: &Shared, transfer: &Transfer, fetch: &mut Fetch) -> Result<Incoming, Halt> {
    let (hash, size) = (fetch.publication.hash, fetch.publication.size);
    let begun = match &fetch.keep {
        Keep::InStore | Keep::Nowhere => shared.store.begin(hash, size).await,
        Keep::OnlyIn(file) => shared.store.begin_into(hash, size, file.clone()).await,
    };
    let incoming = begun.map_err(|error| match error {
        StoreError::NoSpace { .. } => no_space(&fetch.publication.name, &error).into(),
        // Somebody still reads what an earlier one has let go of.
        StoreError::Busy { .. } => Halt::Wait(error.into()),
        other => Halt::from(other),
    })?;
    let resumed = incoming.resumed_bytes();
    if resumed > 0 {
        tracing::info!(TRANSFER = transfer.id, CONTENT_HASH = %hash,
            "{}: {} of {} are here already", fetch.publication.name, ByteCount(resumed), ByteCount(size));
    }
    transfer.resumed(resumed);
    transfer.receives_into(incoming.clone());
    Ok(incoming)
}

fn no_space(name: &FileName, error: &StoreError) -> Failure {
    let message = format!("{name} needs {error}");
    // "… needs 4.1 GiB needed in …" reads badly: the store says "needed", a person hears it once.
    let message = message.replacen(" needed in ", " in ", 1);
    Failure::new(FailureKind::DiskFull, message).hint("Use --no-keep or set store.path")
}

/// Who has the content now.
async fn holders(
    shared: &Shared,
    session: &Session,
    transfer: &Transfer,
    publication: &Publication,
) -> Result<LocateResponse, Halt> {
    let located = match shared.locator.locate(session, publication).await {
        Ok(located) => located,
        Err(said) if locate::is_final(&said) => return Err(said.into()),
        Err(not_now) => return Err(transfer.without_help(not_now)),
    };
    if located.holders.is_empty() {
        let nobody = no_holder(&located);
        return Err(match transfer.without_help(nobody) {
            Halt::Failed(nobody) => Halt::Failed(nobody.hint("To wait: --wait")),
            wait => wait,
        });
    }
    Ok(located)
}

/// "scan.tar: 0 of 3 holders online (last gpu2, 18:04)".
pub(super) fn no_holder(located: &LocateResponse) -> Failure {
    let last = match &located.last_seen {
        Some(seen) => format!(" (last {}, {})", seen.peer_name, seen_at(seen.at)),
        None => String::new(),
    };
    let message = format!(
        "{}: 0 of {} holders online{last}",
        located.publication.name, located.holders_total
    );
    Failure::new(FailureKind::NoHolderOnline, message)
}

/// The time of day on this machine's clock, `18:04`; before today with its date.
fn seen_at(at: jiff::Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    let today = jiff::Timestamp::now().to_zoned(zone.clone()).date();
    let seen = at.to_zoned(zone);
    let minute = format!("{:02}:{:02}", seen.hour(), seen.minute());
    if seen.date() == today {
        minute
    } else {
        format!("{} {minute}", seen.date())
    }
}

/// Makes the content durable and holds it, in one step and to the end once begun. What one account may see is not kept
/// for another that has logged in meanwhile.
async fn keep(
    shared: &Arc<Shared>,
    transfer: &Transfer,
    publication: &Publication,
    incoming: Incoming,
) -> Result<(), Halt> {
    let (held, id, publication) = (Arc::clone(shared), transfer.id, publication.clone());
    transfer.being_kept(true);
    let keeping = transfer.tasks().spawn(async move {
        held.is_of_this_account(id)?;
        let already = held.store.hold(publication.id).await?.is_some();
        incoming.commit(Purpose::Hold(publication.clone())).await?;
        if let Err(failure) = held.is_of_this_account(id) {
            held.store.drop_hold(publication.id).await?;
            return Err(failure);
        }
        if !already {
            announce(&held, &publication).await;
        }
        Ok(())
    });
    let kept = keeping.await;
    transfer.being_kept(false);
    kept.map_err(|_| Failure::new(FailureKind::Internal, "the copy could not be kept"))??;
    Ok(())
}

/// The content is in the store: hold it under this publication too.
async fn hold(shared: &Shared, id: u64, publication: &Publication) -> Result<(), Failure> {
    shared.is_of_this_account(id)?;
    let already = shared.store.hold(publication.id).await?.is_some();
    shared.store.add_hold(publication).await?;
    if !already {
        announce(shared, publication).await;
    }
    Ok(())
}

/// The directory hears of the new copy, soon or with a ping.
async fn announce(shared: &Shared, publication: &Publication) {
    if let Some(session) = shared.sessions.current() {
        let announced = tokio::time::timeout(ANNOUNCE, shared.announcer.announce(&session)).await;
        if !matches!(announced, Ok(Ok(()))) {
            tracing::info!(CONTENT_HASH = %publication.hash,
                "the directory was not told of {}; a ping will", publication.name);
        }
    }
}

/// Writes the files that people wait for, each for itself: others do not wait for one that hangs. That one of them cannot
/// be written is its owner's matter, not the transfer's.
async fn outputs(shared: &Shared, transfer: &Transfer, publication: &Publication) {
    let outputs = transfer.take_outputs();
    if !outputs.is_empty() {
        transfer.enter(State::Delivering, "");
    }
    let writing = outputs.into_iter().map(|(file, told)| async move {
        let written = deliver::into_file(&shared.store, publication, file).await;
        // Whoever waited may be gone.
        let _ = told.send(written);
    });
    join_all(writing).await;
}
