//! The holders of one content and what each does: starts a source for each, replaces those that fail, asks again for
//! fresh holders and a fresh grant, until every piece is written or nobody can help now.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use p2p_proto::{
    Failure, FailureKind, PeerId, PeerName,
    rest::{
        location::{Holder, LocateResponse},
        publications::Publication,
        reports::{Fault, ReportRequest},
    },
};
use tokio::task::JoinSet;

use super::{
    Halt, Shared,
    plan::{OVERDUE, Piece, Plan, SourceId},
    progress::{Heard, State, Transfer},
    source::{self, SourceError},
};
use crate::{
    identity::session::Session,
    peer::{dial::Target, words},
    store::{BUFFER_LEN, Incoming, Layer},
};

/// Sources at once.
const MAX_SOURCES: usize = 8;

/// A holder is given up after so many failures, until the transfer has waited.
const MAX_FAILURES: u32 = 3;

/// Pause before failed holders are tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How often fresh holders and a fresh grant are asked for while pieces come; a grant lasts 15 minutes.
const REFRESH: Duration = Duration::from_secs(120);

/// How often it is looked whether anybody sends.
const LOOK: Duration = Duration::from_secs(1);

/// When no source has sent a byte for so long, the transfer says that it waits, and for whom.
const QUIET: Duration = Duration::from_secs(10);

/// What all sources of one transfer share.
pub struct Swarm {
    /// What is fetched.
    pub publication: Publication,
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
    /// A source wrote a verified piece.
    pub fn written(&self, piece: &Piece, target: &Target) {
        self.brought().insert(target.peer_id);
        self.plan.written(piece, |frontier| {
            self.shared.received.add(piece.length.into());
            self.transfer
                .received(&target.name, piece.length.into(), frontier);
        });
    }

    /// A source is asked for bytes, or no longer.
    pub fn asks(&self, target: &Target, heard: Option<Heard>) {
        self.transfer.asks(&target.name, heard);
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

    /// Tells people when everybody who was asked is silent or the output hangs, and when that is over. True in the first case.
    fn look(&self) -> bool {
        if self.incoming.hangs() {
            self.transfer.enter(State::Waiting, super::download::HANGS);
            return false;
        }
        let now = Timestamp::now();
        let givers = self.transfer.givers();
        let silent: Vec<_> = givers
            .iter()
            .filter_map(|giver| Some((giver, giver.silent_since?)))
            .collect();
        let quiet = |at: &Timestamp| now.duration_since(*at).unsigned_abs() >= QUIET;
        let asked = self.transfer.asked();
        let all = !silent.is_empty() && silent.len() == asked && silent.iter().all(|(_, at)| quiet(at));
        if all {
            let names: Vec<&str> = silent.iter().map(|(giver, _)| giver.name.as_str()).collect();
            let since = silent.iter().map(|(_, at)| *at).max().unwrap_or(now);
            let verb = if names.len() == 1 { "sends" } else { "send" };
            let what = match silent.iter().any(|(giver, _)| giver.trickles) {
                true => "next to nothing",
                false => "nothing",
            };
            let reason = format!("{} {verb} {what} since {}", names.join(", "), clock(since));
            self.transfer.enter(State::Waiting, reason);
        } else if matches!(self.transfer.progress().state, State::Waiting) {
            self.transfer.enter(State::Transferring, "");
        }
        all
    }

    /// A source owes a piece for so long that others are asked for it.
    pub fn is_late(&self, target: &Target) {
        let (name, late) = (&self.publication.name, OVERDUE.as_secs());
        tracing::warn!(PEER = %target.peer_id, TRANSFER = self.transfer.id,
            "{name}: {} has owed a piece for {late} s; others may bring it", target.name);
    }
}

/// The time of day here, to the second.
fn clock(at: Timestamp) -> String {
    let zoned = at.to_zoned(jiff::tz::TimeZone::system());
    format!("{:02}:{:02}:{:02}", zoned.hour(), zoned.minute(), zoned.second())
}

/// Who is tried, who failed, who lied.
#[derive(Default)]
struct Roll {
    active: HashMap<PeerId, PeerName>,
    failures: HashMap<PeerId, u32>,
    /// For as long as the transfer lives, whatever else is tried anew.
    liars: HashSet<PeerId>,
    last_reason: Option<String>,
}

/// Fetches what is missing of the content into `incoming`.
///
/// # Errors
/// `HashMismatch` when only liars are left, or the store's; [`Halt::Wait`] when nobody can help now.
pub(super) async fn fetch_all(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    transfer: &Arc<Transfer>,
    publication: &Publication,
    incoming: Incoming,
    mut located: LocateResponse,
) -> Result<(), Halt> {
    let here = incoming.clone();
    let plan = Plan::new(publication.size, BUFFER_LEN as u32, |offset, len| {
        here.has(offset, len)
    });
    transfer.has(plan.done(), plan.frontier());
    let swarm = Arc::new(Swarm {
        publication: publication.clone(),
        plan,
        incoming,
        transfer: Arc::clone(transfer),
        shared: Arc::clone(shared),
        brought: Mutex::default(),
    });
    let mut roll = Roll {
        liars: transfer.liars(),
        ..Roll::default()
    };
    fetch_layer(&swarm, session, &mut located, &mut roll).await?;
    transfer.enter(State::Transferring, "");
    let mut sources = JoinSet::new();
    let mut next_id = 0;
    let mut refresh = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
    let mut refreshed = tokio::time::Instant::now();
    let mut look = tokio::time::interval(LOOK);
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
                if let Some(fatal) = roll.note(&swarm, session, &target, result) {
                    return Err(fatal.into());
                }
            }
            _ = look.tick() => {
                swarm.incoming.checkpoint_when_due();
                let silent = swarm.look();
                if silent && shared.lines.is_in_the_way(publication.hash, transfer.id) {
                    // Another transfer of the same content may know somebody who speaks.
                    let why = transfer.progress().reason;
                    return Err(Halt::Wait(Failure::new(FailureKind::Unreachable, why)));
                }
                if silent && refreshed.elapsed() >= QUIET {
                    // Somebody else may have come who has it.
                    refresh.reset_immediately();
                }
            }
            _ = refresh.tick() => {
                refreshed = tokio::time::Instant::now();
                match shared.locator.locate(session, publication).await {
                    Ok(fresh) => located = fresh,
                    // What runs goes on; it is asked again when the sources are gone.
                    Err(failure) => tracing::debug!("no fresh holders: {failure}"),
                }
            }
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
        let transfer = Arc::clone(&swarm.transfer);
        sources.spawn(transfer.tasks().track_future(async move {
            let result = source::bring_pieces(swarm, session, target.clone(), grant, id).await;
            (target, result)
        }));
    }
}

/// The layer from the first holder that has a true one. A content of one group has none, and of a content that was begun
/// before it may be here.
///
/// Who gave it is not asked later: the publication says the size, so the tree has one form, and values that merge to the
/// hash in that form are the content's. Were the size false, no holder of the hash could open the content at all.
async fn fetch_layer(
    swarm: &Arc<Swarm>,
    session: &Arc<Session>,
    located: &mut LocateResponse,
    roll: &mut Roll,
) -> Result<(), Halt> {
    let what = (swarm.publication.hash, swarm.publication.size);
    if Layer::group_count(what.1) == 0 || swarm.incoming.layer().is_some() {
        return Ok(());
    }
    swarm.transfer.enter(State::Connecting, "");
    loop {
        for target in roll.candidates(&located.holders) {
            let heard = Heard::default();
            swarm.asks(&target, Some(heard));
            let layer = words::layer(session, &target, &located.grant, what).await;
            swarm.asks(&target, None);
            match layer {
                Ok(layer) => {
                    swarm.incoming.set_layer(layer)?;
                    return Ok(());
                }
                Err(error) => {
                    if let Some(fatal) = roll.note(swarm, session, &target, Err(error.into())) {
                        return Err(fatal.into());
                    }
                }
            }
        }
        *located = locate_again(swarm, session, roll).await?;
    }
}

/// Asks again after every source has failed.
async fn locate_again(swarm: &Swarm, session: &Session, roll: &mut Roll) -> Result<LocateResponse, Halt> {
    let located = swarm.shared.locator.locate(session, &swarm.publication).await;
    let located = located.map_err(|failure| swarm.transfer.without_help(failure))?;
    if roll.candidates(&located.holders).is_empty() {
        return Err(roll.verdict(swarm, &located));
    }
    tokio::time::sleep(RETRY).await;
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
    fn note(
        &mut self,
        swarm: &Swarm,
        session: &Arc<Session>,
        target: &Target,
        result: Result<(), SourceError>,
    ) -> Option<Failure> {
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
        tracing::warn!(PEER = %target.peer_id, TRANSFER = swarm.transfer.id, "{}: {reason}", swarm.publication.name);
        if let SourceError::Bad(fault) = error {
            self.liars.insert(target.peer_id);
            swarm.transfer.lied(target.peer_id);
            report(swarm, session, target, fault);
        } else {
            *self.failures.entry(target.peer_id).or_default() += 1;
        }
        self.last_reason = Some(reason);
        None
    }

    /// Why nobody can help.
    fn verdict(&self, swarm: &Swarm, located: &LocateResponse) -> Halt {
        if located.holders.is_empty() {
            return swarm.transfer.without_help(super::download::no_holder(located));
        }
        let reason = self.last_reason.clone().unwrap_or_default();
        let name = &swarm.publication.name;
        if located
            .holders
            .iter()
            .all(|holder| self.liars.contains(&holder.peer_id))
        {
            let mismatch = Failure::new(FailureKind::HashMismatch, format!("{name}: {reason}"));
            // An honest one may come back.
            return match located.holders_total as usize > self.liars.len() {
                true => swarm.transfer.without_help(mismatch),
                false => Halt::Failed(mismatch),
            };
        }
        let message = format!("{name}: broke off; {reason}");
        swarm
            .transfer
            .without_help(Failure::new(FailureKind::Unreachable, message))
    }
}

/// Tells the directory of a bad holder; that it is away harms nothing here.
fn report(swarm: &Swarm, session: &Arc<Session>, target: &Target, fault: Fault) {
    let report = ReportRequest {
        publication: swarm.publication.id,
        holder: target.peer_id,
        fault,
    };
    let (session, name) = (Arc::clone(session), target.name.clone());
    swarm.shared.lifecycle.spawn_request(async move {
        if let Err(failure) = session.client.report(&report).await {
            tracing::warn!("the directory was not told that {name} is a bad holder: {failure}");
        }
    });
}
