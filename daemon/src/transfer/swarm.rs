//! The holders of one content and what each does: starts a source for each, replaces those that fail, asks the directory
//! again for fresh holders and a fresh grant, until every piece is written or nobody can help.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_proto::{
    Failure, FailureKind, PeerId, PeerName,
    rest::{
        location::{Holder, LocateResponse},
        publications::Publication,
    },
};
use tokio::task::JoinSet;

use super::{
    Shared,
    plan::{Piece, Plan, SourceId},
    progress::{State, Transfer},
    source::{self, SourceError},
};
use crate::{
    identity::session::Session,
    peer::dial::Target,
    store::{BUFFER_LEN, Incoming},
};

/// Sources at once.
const MAX_SOURCES: usize = 8;

/// A holder is given up after so many failures.
const MAX_FAILURES: u32 = 3;

/// Pause before failed holders are tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How often the directory is asked for new holders and a fresh grant while pieces come; a grant lasts 15 minutes.
const REFRESH: Duration = Duration::from_secs(120);

/// What all sources of one transfer share.
pub struct Swarm {
    /// Which piece comes next.
    pub plan: Plan,
    /// Where the bytes go.
    pub incoming: Incoming,
    transfer: Arc<Transfer>,
    shared: Arc<Shared>,
    /// Who brought something since it was last noted.
    brought: Mutex<HashSet<PeerId>>,
}

impl Swarm {
    /// What is fetched.
    pub fn publication(&self) -> &Publication {
        &self.transfer.publication
    }

    /// A source wrote a verified piece.
    pub fn written(&self, piece: &Piece, target: &Target) {
        self.brought().insert(target.peer_id);
        self.plan.written(piece, |frontier| {
            self.shared.received.add(piece.length.into());
            self.transfer
                .received(&target.name, piece.length.into(), frontier);
        });
    }

    fn brought(&self) -> MutexGuard<'_, HashSet<PeerId>> {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there may be work for an idle source.
    pub async fn work_for(&self, id: SourceId) {
        let found = self
            .plan
            .wait_until(|plan| {
                if plan.is_complete() {
                    return Some(None);
                }
                plan.take(id).map(Some)
            })
            .await;
        if let Some(piece) = found {
            // Taken to know that it is there; the source takes it again.
            self.plan.give_back(id, &piece);
        }
    }
}

/// Who is tried, who failed, who lied.
#[derive(Default)]
struct Roll {
    active: HashMap<PeerId, PeerName>,
    failures: HashMap<PeerId, u32>,
    liars: HashSet<PeerId>,
    last_reason: Option<String>,
}

/// Fetches the whole content into `incoming`.
///
/// # Errors
/// `NoHolderOnline`, `HashMismatch` when only liars are left, `Unreachable` when the holders broke off, or the store's.
pub(super) async fn fetch_all(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    transfer: &Arc<Transfer>,
    incoming: Incoming,
    mut located: LocateResponse,
) -> Result<(), Failure> {
    let plan = Plan::new(transfer.publication.size, BUFFER_LEN as u32);
    let swarm = Arc::new(Swarm {
        plan,
        incoming,
        transfer: Arc::clone(transfer),
        shared: Arc::clone(shared),
        brought: Mutex::default(),
    });
    let mut roll = Roll::default();
    fetch_layer(&swarm, session, &mut located, &mut roll).await?;
    transfer.enter(State::Transferring);
    let mut sources = JoinSet::new();
    let mut next_id = 0;
    let mut refresh = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
    while !swarm.plan.is_complete() {
        start_sources(&swarm, session, &located, &mut roll, &mut sources, &mut next_id);
        if sources.is_empty() {
            located = locate_again(&swarm, session, &mut roll).await?;
            continue;
        }
        tokio::select! {
            () = swarm.plan.wait_until(|plan| plan.is_complete().then_some(())) => {}
            Some(ended) = sources.join_next() => {
                let Ok((target, result)) = ended else { continue };
                if let Some(fatal) = roll.note(&swarm, &target, result) {
                    return Err(fatal);
                }
            }
            _ = refresh.tick() => match locate(session, &transfer.publication).await {
                Ok(fresh) => located = fresh,
                // What runs goes on; the directory is asked again when the sources are gone.
                Err(failure) => tracing::debug!("no fresh holders: {failure}"),
            },
        }
    }
    Ok(())
}

type SourceEnd = (Target, Result<(), SourceError>);

fn start_sources(
    swarm: &Arc<Swarm>,
    session: &Arc<Session>,
    located: &LocateResponse,
    roll: &mut Roll,
    sources: &mut JoinSet<SourceEnd>,
    next_id: &mut SourceId,
) {
    let grant: Arc<str> = located.grant.as_str().into();
    for target in roll.candidates(&located.holders) {
        if sources.len() >= MAX_SOURCES {
            return;
        }
        if roll.active.insert(target.peer_id, target.name.clone()).is_some() {
            continue;
        }
        *next_id += 1;
        let (swarm, session, grant, id) = (
            Arc::clone(swarm),
            Arc::clone(session),
            Arc::clone(&grant),
            *next_id,
        );
        sources.spawn(async move {
            let result = source::bring_pieces(swarm, session, target.clone(), grant, id).await;
            (target, result)
        });
    }
}

/// The layer from the first holder that has a true one. A content of one group has none.
///
/// Who gave it is not asked later: the publication says the size, so the tree has one form, and values that merge to the
/// hash in that form are the content's. Were the size false, no holder of the hash could open the content at all.
async fn fetch_layer(
    swarm: &Arc<Swarm>,
    session: &Arc<Session>,
    located: &mut LocateResponse,
    roll: &mut Roll,
) -> Result<(), Failure> {
    if crate::store::Layer::group_count(swarm.publication().size) == 0 {
        return Ok(());
    }
    swarm.transfer.enter(State::Connecting);
    loop {
        for target in roll.candidates(&located.holders) {
            match source::layer(session, &target, &located.grant, swarm).await {
                Ok(layer) => {
                    swarm.incoming.set_layer(layer)?;
                    return Ok(());
                }
                Err(error) => {
                    if let Some(fatal) = roll.note(swarm, &target, Err(error)) {
                        return Err(fatal);
                    }
                }
            }
        }
        *located = locate_again(swarm, session, roll).await?;
    }
}

/// Asks the directory again after every source has failed.
async fn locate_again(swarm: &Swarm, session: &Session, roll: &mut Roll) -> Result<LocateResponse, Failure> {
    let located = locate(session, swarm.publication()).await?;
    if roll.candidates(&located.holders).is_empty() {
        return Err(roll.verdict(swarm.publication(), &located));
    }
    tokio::time::sleep(RETRY).await;
    Ok(located)
}

/// Asks the directory who has the content.
pub async fn locate(session: &Session, publication: &Publication) -> Result<LocateResponse, Failure> {
    let located = session.client.locate(&format!("id:{}", publication.id)).await?;
    let told = &located.publication;
    if (told.hash, told.size) != (publication.hash, publication.size) {
        return Err(Failure::new(
            FailureKind::Internal,
            "the directory changed what it said of this file",
        ));
    }
    Ok(located)
}

impl Roll {
    /// Holders worth a try: those that failed least, then as the directory ordered them.
    fn candidates(&self, holders: &[Holder]) -> Vec<Target> {
        let failures = |id: &PeerId| self.failures.get(id).copied().unwrap_or(0);
        let mut worth: Vec<&Holder> = holders
            .iter()
            .filter(|holder| {
                !self.liars.contains(&holder.peer_id) && failures(&holder.peer_id) < MAX_FAILURES
            })
            .collect();
        worth.sort_by_key(|holder| failures(&holder.peer_id));
        worth
            .into_iter()
            .map(|holder| Target {
                peer_id: holder.peer_id,
                name: holder.peer_name.clone(),
                addresses: holder.addresses.clone(),
            })
            .collect()
    }

    /// Notes how a source ended; a failure that no other source can mend comes back.
    fn note(&mut self, swarm: &Swarm, target: &Target, result: Result<(), SourceError>) -> Option<Failure> {
        self.active.remove(&target.peer_id);
        if swarm.brought().remove(&target.peer_id) {
            // It works: what failed before, such as a grant that had its time, is no reason to give it up.
            self.failures.remove(&target.peer_id);
        }
        let error = match result {
            Ok(()) => return None,
            Err(SourceError::Store(error)) => return Some(error.into()),
            Err(error) => error,
        };
        let reason = format!("{} {error}", target.name);
        tracing::warn!(PEER = %target.peer_id, TRANSFER = swarm.transfer.id, "{}: {reason}", swarm.publication().name);
        if matches!(error, SourceError::Bad) {
            self.liars.insert(target.peer_id);
        } else {
            *self.failures.entry(target.peer_id).or_default() += 1;
        }
        self.last_reason = Some(reason);
        None
    }

    /// Why nobody can help.
    fn verdict(&self, publication: &Publication, located: &LocateResponse) -> Failure {
        let name = &publication.name;
        if located.holders.is_empty() {
            return super::download::no_holder(located);
        }
        let reason = self.last_reason.clone().unwrap_or_default();
        if located
            .holders
            .iter()
            .all(|holder| self.liars.contains(&holder.peer_id))
        {
            return Failure::new(FailureKind::HashMismatch, format!("{name}: {reason}"));
        }
        Failure::new(FailureKind::Unreachable, format!("{name}: broke off; {reason}"))
    }
}
