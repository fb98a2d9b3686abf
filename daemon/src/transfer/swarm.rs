//! The holders of one content and what each does: starts a source for each, replaces those that fail, asks again for
//! fresh holders and a fresh grant, until every piece is written or nobody can help now.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use p2p_proto::{
    Failure, FailureKind,
    rest::{location::LocateResponse, publications::Publication},
};
use tokio::task::JoinSet;

use super::{
    Halt, Shared,
    layer::fetch_layer,
    limits::Download,
    pace::{Flow, Paces, STUCK},
    plan::{OVERDUE, Piece, Plan, SourceId},
    progress::{Heard, State, Transfer},
    roll::Roll,
    source::{self, Place, SourceError},
};
use crate::{
    identity::session::Session,
    peer::dial::Target,
    store::{BUFFER_LEN, Incoming},
};

/// Sources at once.
pub(super) const MAX_SOURCES: usize = 8;

/// Pause before failed holders are tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How often fresh holders and a fresh grant are asked for while pieces come; a grant lasts 15 minutes.
const REFRESH: Duration = Duration::from_secs(120);

/// How often it is looked whether anybody sends.
pub(super) const LOOK: Duration = Duration::from_secs(1);

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
    pub(super) transfer: Arc<Transfer>,
    pub(super) shared: Arc<Shared>,
    /// How fast those are that are asked.
    paces: Mutex<Paces>,
    /// A piece was written in this go.
    moves: AtomicBool,
    /// What may be asked for.
    pub(super) download: Download,
    /// Sources that this daemon's own limits keep from asking.
    held: AtomicUsize,
}

/// A source that may not ask now, until it is dropped.
pub(super) struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Swarm {
    /// A source wrote a verified piece.
    pub fn written(&self, piece: &Piece, target: &Target) {
        self.moves();
        self.paces().brings(target.peer_id, Instant::now());
        self.plan.written(piece, |new, frontier| {
            self.shared.received.add(new);
            self.transfer.received(&target.name, new, frontier);
        });
    }

    /// A source wrote a part of a piece, verified, up to here.
    pub fn came(&self, source: SourceId, piece: &Piece, end: u64, target: &Target) {
        self.moves();
        self.plan.came(source, piece, end, |new| {
            self.shared.received.add(new);
            self.transfer.received(&target.name, new, 0);
        });
    }

    fn moves(&self) {
        if !self.moves.swap(true, Ordering::Relaxed) {
            self.transfer.enter(State::Transferring, "");
        }
    }

    /// A source may not ask now, for this daemon's own limits.
    pub(super) fn holds(&self) -> Held<'_> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Held(&self.held)
    }

    /// A source is asked for bytes, or no longer.
    pub fn asks(&self, target: &Target, heard: Option<Heard>) {
        self.paces().asks(target.peer_id, heard.is_some(), Instant::now());
        self.transfer.asks(&target.name, heard);
    }

    /// A peer is asked from now on, and owes until it ends.
    pub(super) fn begins(&self, target: &Target, heard: &Heard) {
        self.paces().begins(target.peer_id, heard.clone(), Instant::now());
        self.transfer.asks(&target.name, Some(heard.clone()));
    }

    pub(super) fn paces(&self) -> MutexGuard<'_, Paces> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing of it comes yet, or no more. A transfer that waits does so until something comes.
    pub(super) fn connects(&self, reason: &str) {
        match self.transfer.progress().state {
            State::Waiting if reason.is_empty() => {}
            State::Waiting => self.transfer.enter(State::Waiting, reason),
            _ => self.transfer.enter(State::Connecting, reason),
        }
    }

    /// Who is asked and silent, when all who are asked have been for so long.
    fn silent(&self) -> Option<String> {
        let now = Timestamp::now();
        let givers = self.transfer.givers();
        let silent: Vec<_> = givers
            .iter()
            .filter_map(|giver| Some((giver, giver.silent_since?)))
            .collect();
        let quiet = |at: &Timestamp| now.duration_since(*at).unsigned_abs() >= QUIET;
        let asked = self.transfer.asked();
        if silent.is_empty() || silent.len() != asked || !silent.iter().all(|(_, at)| quiet(at)) {
            return None;
        }
        let names: Vec<&str> = silent.iter().map(|(giver, _)| giver.name.as_str()).collect();
        let since = silent.iter().map(|(_, at)| *at).max().unwrap_or(now);
        let what = match silent.iter().any(|(giver, _)| giver.trickles) {
            true => "next to nothing",
            false => "nothing",
        };
        Some(say(&names, what, since))
    }

    /// Tells people when next to nothing has come for [`QUIET`], and why. True then.
    pub(super) fn is_quiet(&self, flow: &mut Flow, roll: &Roll) -> bool {
        if self.held.load(Ordering::Relaxed) > 0 {
            flow.held(Instant::now());
            return false;
        }
        let silent = self.silent();
        let quiet = silent.is_some() || flow.quiet(Instant::now()) >= QUIET;
        if quiet {
            flow.runs_dry(self.paces().bytes(), self.plan.done());
            // Those who are asked anew are not silent yet: then it is what came of asking them before.
            let failed = || (!self.moves.load(Ordering::Relaxed)).then(|| roll.reason().to_owned());
            let reason = silent.or_else(|| failed().filter(|reason| !reason.is_empty()));
            self.transfer.enter(
                State::Waiting,
                reason.unwrap_or_else(|| {
                    say(&roll.asked(), "next to nothing", ago(flow.quiet(Instant::now())))
                }),
            );
        }
        quiet
    }

    /// The same, and tells when bytes come again.
    fn look(&self, flow: &mut Flow, roll: &Roll) -> bool {
        if self.incoming.hangs() {
            self.transfer.enter(State::Waiting, super::download::HANGS);
            return false;
        }
        let (bytes, done) = (self.paces().bytes(), self.plan.done());
        if flow.look((bytes, done, self.publication.size), Instant::now()) {
            self.transfer.enter(State::Transferring, "");
        }
        self.is_quiet(flow, roll)
    }

    /// Why it lets others run.
    fn gives_way(&self, flow: &Flow, roll: &Roll) -> Halt {
        let now = self.transfer.progress();
        let reason = match now.state {
            State::Waiting => now.reason,
            _ => {
                let since = ago(flow.too_little(Instant::now()));
                say(&roll.asked(), "next to nothing", since)
            }
        };
        Halt::Wait(Failure::new(FailureKind::Unreachable, reason))
    }

    /// A source owes a piece for so long that others are asked for it.
    pub fn is_late(&self, target: &Target) {
        let (name, late) = (&self.publication.name, OVERDUE.as_secs());
        tracing::info!(PEER = %target.name, PEER_ID = %target.peer_id, TRANSFER = self.transfer.id, CONTENT_HASH = %self.publication.hash,
            "{name}: {} has owed a piece for {late} s; others may bring it", target.name);
    }
}

/// "a, b send nothing since 18:04:11".
fn say(names: &[&str], what: &str, since: Timestamp) -> String {
    let verb = if names.len() == 1 { "sends" } else { "send" };
    format!("{} {verb} {what} since {}", names.join(", "), clock(since))
}

fn ago(time: Duration) -> Timestamp {
    Timestamp::now() - time
}

/// The time of day here, to the second.
fn clock(at: Timestamp) -> String {
    let zoned = at.to_zoned(jiff::tz::TimeZone::system());
    format!("{:02}:{:02}:{:02}", zoned.hour(), zoned.minute(), zoned.second())
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
        paces: Mutex::default(),
        moves: AtomicBool::new(false),
        download: transfer.limited_by(&shared.limits),
        held: AtomicUsize::new(0),
    });
    // Who was asked in an earlier go is not asked now.
    for giver in transfer.givers() {
        transfer.asks(&giver.name, None);
    }
    let mut roll = Roll::new(transfer.liars());
    fetch_layer(&swarm, session, &mut located, &mut roll).await?;
    swarm.connects("");
    let so_far = (swarm.paces().bytes(), swarm.plan.done());
    let is_told = matches!(transfer.progress().state, State::Waiting);
    let mut flow = Flow::new(so_far, is_told, Instant::now());
    let mut sources = JoinSet::new();
    let mut next_id = 0;
    let mut refresh = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
    let mut refreshed = tokio::time::Instant::now();
    let mut look = tokio::time::interval(LOOK);
    while !swarm.plan.is_complete() {
        start_sources(&swarm, session, &located, &mut roll, &mut sources, &mut next_id);
        if sources.is_empty() {
            flow.runs_dry(swarm.paces().bytes(), swarm.plan.done());
            swarm.connects(roll.reason());
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
                if !flow.flows() && !swarm.moves.load(Ordering::Relaxed) {
                    swarm.connects(roll.reason());
                }
            }
            _ = look.tick() => {
                swarm.incoming.checkpoint_when_due();
                let is_wanted = sources.len() >= MAX_SOURCES && roll.has_untried(&located.holders);
                if let Some(slowest) = swarm.paces().makes_room(is_wanted, Instant::now()) {
                    roll.gives_up(&slowest);
                }
                let quiet = swarm.look(&mut flow, &roll);
                let stuck = flow.too_little(Instant::now()) >= STUCK && !swarm.incoming.hangs();
                // While nobody waits for its turn, nor is there anybody else to ask, it may as well go on.
                if stuck && (shared.turns.is_wanted() || roll.has_set_aside()) {
                    return Err(swarm.gives_way(&flow, &roll));
                }
                if quiet && shared.lines.is_in_the_way(publication.hash, transfer.id) {
                    // Another transfer of the same content may know somebody who speaks.
                    let why = transfer.progress().reason;
                    return Err(Halt::Wait(Failure::new(FailureKind::Unreachable, why)));
                }
                if quiet && refreshed.elapsed() >= QUIET {
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
        let Some((heard, given_up)) = roll.begins(swarm, &target) else {
            continue;
        };
        *next_id += 1;
        let place = Place {
            id: *next_id,
            heard,
            given_up,
        };
        let (swarm, session, grant) = (Arc::clone(swarm), Arc::clone(session), Arc::clone(&grant));
        let transfer = Arc::clone(&swarm.transfer);
        sources.spawn(transfer.tasks().track_future(async move {
            let result = source::bring_pieces(swarm, session, target.clone(), grant, place).await;
            (target, result)
        }));
    }
}

/// Asks again after every source has failed.
pub(super) async fn locate_again(
    swarm: &Swarm,
    session: &Session,
    roll: &mut Roll,
) -> Result<LocateResponse, Halt> {
    roll.forgives_slowness();
    let located = swarm.shared.locator.locate(session, &swarm.publication).await;
    let located = located.map_err(|failure| swarm.transfer.without_help(failure))?;
    if roll.candidates(&located.holders).is_empty() {
        return Err(roll.verdict(swarm, &located));
    }
    tokio::time::sleep(RETRY).await;
    Ok(located)
}
