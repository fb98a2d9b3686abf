//! Copies on other peers. To place one is to ask its peer to fetch it, and to follow that until the copy is durable
//! there; the bytes go the way of every download. A copy counts when the directory lists its holder and a piece of it was
//! read back there ([`super::proof`]), whoever said before that it is done. A [`Replication`] is the wish for several: it asks the directory for
//! peers, follows a copy on each, and takes another peer for each that fails. In memory: after a restart the copies that
//! were begun go on, one by one.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::stream::{self, FuturesUnordered, StreamExt};
use p2p_proto::{
    Failure, FailureKind, PeerId, PeerName,
    pattern::Pattern,
    rest::{
        location::Holder,
        placement::{MAX_COPIES, MAX_PATTERN, MAX_PATTERNS, PlaceRequest, PlaceResponse, Target as Place},
        publications::Publication,
    },
};
use tokio::sync::watch;

use super::{
    Halt, Shared, Transfers,
    job::Job,
    journal::AccountId,
    locate,
    progress::{Heard, State, Transfer},
    proof::{self, Unproven},
};
use crate::{
    identity::session::Session,
    peer::{
        dial::Target,
        words::{self, CallError},
    },
};

/// A peer that cannot be reached for so long is given up for this copy.
const GIVE_UP: Duration = Duration::from_secs(30);

/// So often the directory is asked the same when its answers are lost; the pause doubles from the first one.
const ASKS: u32 = 3;
const ASK_PAUSE: Duration = Duration::from_millis(500);

/// Listed holders that are read back at once.
const READ_AT_ONCE: usize = 8;

/// How many copies, or where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// In all; 0 when only `to` counts.
    pub copies: u32,
    /// Peers by name, id or pattern.
    pub to: Vec<String>,
}

impl Wish {
    /// Nothing is to be placed.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.copies <= 1 && self.to.is_empty()
    }

    /// A copy there is part of the wish: anywhere when they are counted, else where it says.
    fn means(&self, holder: &Holder) -> bool {
        let fits = |to: &String| Pattern::read(to).fits(&holder.peer_id, &holder.peer_name);
        self.copies > 0 || self.to.iter().any(fits)
    }

    /// # Errors
    /// `Usage` beyond the bounds.
    pub fn check(&self) -> Result<(), Failure> {
        let usage = |message: String| Err(Failure::new(FailureKind::Usage, message));
        if self.copies > MAX_COPIES {
            return usage(format!("at most {MAX_COPIES} copies"));
        }
        if self.to.len() > MAX_PATTERNS || self.to.iter().any(|to| to.is_empty() || to.len() > MAX_PATTERN) {
            return usage(format!(
                "at most {MAX_PATTERNS} peers, of at most {MAX_PATTERN} characters each"
            ));
        }
        Ok(())
    }
}

/// What came of a wish.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    /// Who has a durable copy.
    pub durable: Vec<PeerName>,
    /// Who has none, and why, as it reads after the peer's name.
    pub failed: Vec<(PeerName, String)>,
    /// How many durable copies were asked for.
    pub wanted: u32,
}

/// A wish that is being fulfilled.
pub struct Replication {
    /// What is copied.
    pub publication: Publication,
    wish: Wish,
    copies: Mutex<Vec<Arc<Transfer>>>,
    end: watch::Sender<Option<Result<Placed, Failure>>>,
}

impl Replication {
    /// The copies that were begun, in order.
    #[must_use]
    pub fn copies(&self) -> Vec<Arc<Transfer>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When nothing could be placed because the directory did not say where.
    pub async fn ended(&self) -> Result<Placed, Failure> {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await.map(|end| end.clone());
        let gone = || Failure::new(FailureKind::Interrupted, "the placing is gone");
        ended.ok().flatten().unwrap_or_else(|| Err(gone()))
    }

    fn begun(&self, copy: &Arc<Transfer>) {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.push(Arc::clone(copy));
    }
}

impl Transfers {
    /// Begins to place copies, or joins the run that does just that.
    ///
    /// # Errors
    /// `NotLoggedIn`; `Usage` for a wish beyond the bounds.
    pub fn replicate(
        &self,
        publication: Publication,
        wish: Wish,
        uid: Option<u32>,
    ) -> Result<Arc<Replication>, Failure> {
        wish.check()?;
        self.0.sessions.require()?;
        let mut running = self.0.replications.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|other| other.end.borrow().is_none());
        let same = |other: &&Arc<Replication>| other.publication.id == publication.id && other.wish == wish;
        if let Some(same) = running.iter().find(same) {
            return Ok(Arc::clone(same));
        }
        let replication = Arc::new(Replication {
            publication,
            wish,
            copies: Mutex::default(),
            end: watch::Sender::new(None),
        });
        running.push(Arc::clone(&replication));
        let (transfers, placing) = (self.clone(), Arc::clone(&replication));
        self.0.lifecycle.spawn_request(async move {
            let soft = transfers.0.lifecycle.soft().clone();
            let ended = tokio::select! {
                ended = transfers.fulfil(&placing, uid) => ended,
                () = soft.cancelled() => Err(Failure::new(FailureKind::Interrupted, "p2pd stops")),
            };
            placing.end.send_replace(Some(ended));
        });
        Ok(replication)
    }

    async fn fulfil(&self, placing: &Arc<Replication>, uid: Option<u32>) -> Result<Placed, Failure> {
        let (wish, publication) = (&placing.wish, &placing.publication);
        let mut told = Told::default();
        // Listed holders that do not count: the directory, which counts them, is asked for as many more.
        let mut uncounted = 0;
        loop {
            let session = self.0.sessions.require()?;
            let exclude: HashSet<PeerId> = told.failed.keys().chain(told.durable.keys()).copied().collect();
            let request = PlaceRequest {
                publication: publication.id,
                copies: match wish.copies {
                    0 => 0,
                    copies => (copies + uncounted).min(MAX_COPIES),
                },
                to: wish.to.clone(),
                exclude: exclude.into_iter().collect(),
            };
            let answer = patiently(|| session.client.place(&request)).await?;
            self.read_back(&session, placing, &answer.holders, &mut told)
                .await?;
            let missing = match wish.copies {
                0 => answer.targets.len(),
                copies => (copies as usize).saturating_sub(told.durable.len()),
            };
            let lost = answer
                .holders
                .iter()
                .filter(|holder| told.failed.contains_key(&holder.peer_id));
            let lost = u32::try_from(lost.count()).unwrap_or(MAX_COPIES);
            if missing > 0 && wish.copies > 0 && lost > uncounted {
                uncounted = lost;
                continue;
            }
            if missing == 0 || answer.targets.is_empty() {
                return Ok(told.summary(wish, answer));
            }
            let targets = answer.targets.clone();
            self.copies(placing, uid, targets, missing, &mut told).await?;
            // Who was named was asked; and what is enough is not asked about again.
            if wish.copies == 0 || told.durable.len() >= wish.copies as usize {
                return Ok(told.summary(wish, answer));
            }
        }
    }

    /// Of those that the directory lists as holders, the ones that have it.
    async fn read_back(
        &self,
        session: &Arc<Session>,
        placing: &Replication,
        holders: &[Holder],
        told: &mut Told,
    ) -> Result<(), Failure> {
        let unknown = holders
            .iter()
            .filter(|holder| placing.wish.means(holder) || holder.peer_id == session.peer_id());
        let mut asked = Vec::new();
        for holder in unknown {
            if holder.peer_id == session.peer_id() {
                told.durable.insert(holder.peer_id, holder.peer_name.clone());
            } else if !told.knows(&holder.peer_id) && asked.len() < MAX_COPIES as usize {
                asked.push(holder_target(holder));
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let publication = &placing.publication;
        let grant = &patiently(|| locate::ask(session, publication)).await?.grant;
        let mut reading = stream::iter(asked)
            .map(|target| async move {
                let heard = Heard::default();
                let read = proof::read_back(&self.0, session, &target, publication, grant, heard).await;
                (target, read)
            })
            .buffer_unordered(READ_AT_ONCE);
        while let Some((target, read)) = reading.next().await {
            match read {
                Ok(()) => drop(told.durable.insert(target.peer_id, target.name)),
                Err(why) => drop(told.failed.insert(target.peer_id, (target.name, why.to_string()))),
            }
        }
        Ok(())
    }

    /// Follows copies on the first `missing` of these peers, and one on the next for each that fails.
    async fn copies(
        &self,
        placing: &Arc<Replication>,
        uid: Option<u32>,
        targets: Vec<Place>,
        missing: usize,
        told: &mut Told,
    ) -> Result<(), Failure> {
        let mut targets = targets.into_iter();
        let mut running = FuturesUnordered::new();
        let mut wanted = missing;
        loop {
            while running.len() < wanted
                && let Some(place) = targets.next()
            {
                let (peer_id, name) = (place.peer_id, place.peer_name.clone());
                let copy = self.start_copy(&placing.publication, place, uid)?;
                placing.begun(&copy);
                running.push(async move { (peer_id, name, copy.ended().await) });
            }
            let Some((peer_id, name, ended)) = running.next().await else {
                return Ok(());
            };
            match ended {
                Ok(_) => {
                    told.durable.insert(peer_id, name);
                    wanted -= 1;
                }
                Err(failure) => {
                    let reason = without_name(&name, &failure);
                    told.failed.insert(peer_id, (name, reason));
                }
            }
        }
    }
}

/// The directory's answer; one that is lost is asked for again.
async fn patiently<T, F: Future<Output = Result<T, Failure>>>(ask: impl Fn() -> F) -> Result<T, Failure> {
    let mut pause = ASK_PAUSE;
    for _ in 1..ASKS {
        match ask().await {
            Err(lost) if matches!(lost.kind, FailureKind::Unreachable | FailureKind::Internal) => {
                tracing::debug!("the directory is asked again: {lost}");
            }
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    ask().await
}

fn holder_target(holder: &Holder) -> Target {
    Target {
        peer_id: holder.peer_id,
        name: holder.peer_name.clone(),
        addresses: holder.addresses.clone(),
    }
}

/// What is known of each peer of a wish.
#[derive(Default)]
struct Told {
    durable: BTreeMap<PeerId, PeerName>,
    failed: BTreeMap<PeerId, (PeerName, String)>,
}

impl Told {
    fn knows(&self, peer: &PeerId) -> bool {
        self.durable.contains_key(peer) || self.failed.contains_key(peer)
    }

    fn summary(self, wish: &Wish, answer: PlaceResponse) -> Placed {
        let mut failed: Vec<_> = self.failed.into_values().collect();
        for refused in answer.refused {
            if failed.iter().all(|(name, _)| *name != refused.peer_name) {
                failed.push((refused.peer_name, refused.reason));
            }
        }
        let wanted = match wish.copies {
            0 => u32::try_from(self.durable.len() + failed.len()).unwrap_or(u32::MAX),
            copies => copies,
        };
        Placed {
            durable: self.durable.into_values().collect(),
            failed,
            wanted,
        }
    }
}

fn without_name(name: &PeerName, failure: &Failure) -> String {
    let whole = failure.to_string();
    let rest = whole.strip_prefix(name.as_str()).map(str::trim_start);
    rest.map_or_else(|| whole.clone(), str::to_owned)
}

/// One copy on one peer.
pub(super) struct Copy {
    /// What.
    pub publication: Publication,
    /// Where.
    pub peer_id: PeerId,
    /// Its name.
    pub peer: PeerName,
    /// What the directory said of that peer, with a grant in its name; asked anew for each further go.
    pub place: Option<Place>,
    /// Since when it cannot be reached.
    pub gone_since: Option<Instant>,
    /// Since when it says that it has the copy, and that cannot be seen.
    pub unproven_since: Option<Instant>,
}

impl Copy {
    pub(super) fn new(
        publication: Publication,
        (peer_id, peer): (PeerId, PeerName),
        place: Option<Place>,
    ) -> Self {
        Self {
            publication,
            peer_id,
            peer,
            place,
            gone_since: None,
            unproven_since: None,
        }
    }
}

/// Where a copy stands.
enum Stage {
    /// Its peer is to be asked for it.
    Wanted(Target, String),
    /// The directory lists its peer as a holder.
    Listed(Target),
}

/// Asks for the copy and follows it.
///
/// # Errors
/// [`Halt::Wait`] while the peer may come back, [`Halt::Failed`] when it will not have the copy.
pub(super) async fn go(shared: &Arc<Shared>, transfer: &Arc<Transfer>, copy: &mut Copy) -> Result<(), Halt> {
    transfer.sets_out();
    let session = shared.sessions.require().map_err(Halt::Wait)?;
    let (target, listed) = match stage(&session, copy).await? {
        Stage::Listed(target) => (target, true),
        Stage::Wanted(target, grant) => {
            let followed = follow(&session, transfer, &target, &grant, copy).await;
            transfer.asks(&target.name, None);
            followed.map_err(|error| copy.judge(&error))?;
            (target, false)
        }
    };
    prove(shared, &session, transfer, &target, listed, copy).await
}

/// The peer says that it has the copy: the directory lists it, and gives a grant to read it back there.
async fn prove(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    transfer: &Arc<Transfer>,
    target: &Target,
    listed: bool,
    copy: &mut Copy,
) -> Result<(), Halt> {
    transfer.enter(State::Verifying, "");
    let located = locate::ask(session, &copy.publication).await;
    let located = located.map_err(Halt::of_directory)?;
    let heard = Heard::default();
    transfer.asks(&target.name, Some(heard.clone()));
    let read = proof::read_back(shared, session, target, &copy.publication, &located.grant, heard).await;
    transfer.asks(&target.name, None);
    let listed = listed
        || located
            .holders
            .iter()
            .any(|holder| holder.peer_id == copy.peer_id);
    match read {
        Ok(()) if listed => Ok(()),
        Ok(()) => Err(copy.unproven("has the copy, and the directory does not know it yet")),
        Err(lie @ Unproven::Lie) => {
            let message = format!("{} {lie}", copy.peer);
            Err(Failure::new(FailureKind::HashMismatch, message).into())
        }
        Err(unread @ Unproven::Unread(_)) => Err(copy.unproven(&unread.to_string())),
    }
}

/// What the directory knows of the copy; at first what it said when it chose the peer.
async fn stage(session: &Session, copy: &mut Copy) -> Result<Stage, Halt> {
    let wanted = |place: Place| {
        let target = Target {
            peer_id: place.peer_id,
            name: place.peer_name,
            addresses: place.addresses,
        };
        Stage::Wanted(target, place.grant)
    };
    if let Some(place) = copy.place.take() {
        return Ok(wanted(place));
    }
    let request = PlaceRequest {
        publication: copy.publication.id,
        copies: 0,
        to: vec![copy.peer_id.to_string()],
        exclude: Vec::new(),
    };
    let answer = session.client.place(&request).await.map_err(Halt::of_directory)?;
    if let Some(holder) = answer
        .holders
        .iter()
        .find(|holder| holder.peer_id == copy.peer_id)
    {
        return Ok(Stage::Listed(holder_target(holder)));
    }
    let mut targets = answer.targets.into_iter();
    if let Some(place) = targets.find(|place| place.peer_id == copy.peer_id) {
        return Ok(wanted(place));
    }
    let reason = answer.refused.into_iter().next().map(|refused| refused.reason);
    let reason = reason.unwrap_or_else(|| "takes no copy".to_owned());
    Err(copy.judge(&CallError::Gone(reason)))
}

impl Copy {
    /// Whether this ends the copy, or it is worth another try.
    fn judge(&mut self, error: &CallError) -> Halt {
        let failure = Failure::new(FailureKind::Unreachable, format!("{} {error}", self.peer));
        let since = self.gone_since.get_or_insert_with(Instant::now);
        match error {
            CallError::Gone(_) if since.elapsed() < GIVE_UP => Halt::Wait(failure),
            CallError::Grant if since.elapsed() < GIVE_UP => Halt::Wait(failure),
            _ => Halt::Failed(failure),
        }
    }

    /// It says that it has the copy, and this stands against it for now. Not for long: what it says meanwhile does not
    /// begin the time anew.
    fn unproven(&mut self, why: &str) -> Halt {
        let failure = Failure::new(FailureKind::Unreachable, format!("{} {why}", self.peer));
        let since = self.unproven_since.get_or_insert_with(Instant::now);
        match since.elapsed() < GIVE_UP {
            true => Halt::Wait(failure),
            false => Halt::Failed(failure),
        }
    }
}

async fn follow(
    session: &Session,
    transfer: &Transfer,
    target: &Target,
    grant: &str,
    copy: &mut Copy,
) -> Result<(), CallError> {
    let heard = Heard::default();
    transfer.asks(&target.name, Some(heard.clone()));
    let mut placing = words::replicate(session, target, grant).await?;
    while let Some(word) = placing.next().await? {
        heard.now();
        copy.gone_since = None;
        transfer.reached(Some(&target.name), word.done_bytes.min(copy.publication.size));
        let there = |reason: &str| format!("{}: {reason}", target.name);
        match word.state.as_str() {
            "done" => return Ok(()),
            "failed" => return Err(CallError::Refused(word.reason)),
            "waiting" | "paused" | "queued" => transfer.enter(State::Waiting, there(&word.reason)),
            "verifying" => transfer.enter(State::Verifying, ""),
            "transferring" => transfer.enter(State::Transferring, ""),
            // The steps before the first byte, and those that a newer peer may have.
            _ => transfer.enter(State::Connecting, ""),
        }
    }
    Err(CallError::Gone("hung up".to_owned()))
}

impl Transfers {
    fn start_copy(
        &self,
        publication: &Publication,
        place: Place,
        uid: Option<u32>,
    ) -> Result<Arc<Transfer>, Failure> {
        let account = AccountId::of(&*self.0.sessions.require()?);
        let (peer_id, peer) = (place.peer_id, place.peer_name.clone());
        let same = |job: &Job| {
            matches!(job, Job::Replicate { publication: other, peer_id: there, .. }
                if other.id == publication.id && *there == peer_id)
        };
        if let Some(running) = self.0.registry.find_live(account, same) {
            return Ok(running);
        }
        let job = Job::Replicate {
            publication: publication.clone(),
            peer_id,
            peer: peer.clone(),
        };
        let transfer = self.0.register(job, uid)?;
        let copy = Copy::new(publication.clone(), (peer_id, peer), Some(place));
        self.0.begin(&transfer, super::Work::Copy(copy));
        Ok(transfer)
    }
}
