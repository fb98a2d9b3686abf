//! Copies on other peers. To place one is to ask its peer to fetch it, and to follow that until the copy is durable
//! there; the bytes go the way of every download. A [`Replication`] is the wish for several: it asks the directory for
//! peers, follows a copy on each, and takes another peer for each that fails. In memory: after a restart the copies that
//! were begun go on, one by one.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::stream::{FuturesUnordered, StreamExt};
use p2p_proto::{
    Failure, FailureKind, PeerId, PeerName,
    rest::{
        placement::{MAX_COPIES, MAX_PATTERN, MAX_PATTERNS, PlaceRequest, PlaceResponse, Target as Place},
        publications::Publication,
    },
};
use tokio::sync::watch;

use super::{
    Halt, Shared, Transfers,
    job::Job,
    journal::AccountId,
    progress::{Heard, State, Transfer},
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
        let mut failed = BTreeMap::<PeerId, (PeerName, String)>::new();
        let mut durable = BTreeMap::<PeerId, PeerName>::new();
        loop {
            let session = self.0.sessions.require()?;
            let exclude: HashSet<PeerId> = failed.keys().chain(durable.keys()).copied().collect();
            let request = PlaceRequest {
                publication: placing.publication.id,
                copies: placing.wish.copies,
                to: placing.wish.to.clone(),
                exclude: exclude.into_iter().collect(),
            };
            let answer = session.client.place(&request).await?;
            for holder in &answer.holders {
                durable.insert(holder.peer_id, holder.peer_name.clone());
            }
            let missing = match placing.wish.copies {
                0 => answer.targets.len(),
                copies => (copies as usize).saturating_sub(durable.len()),
            };
            if missing == 0 || answer.targets.is_empty() {
                return Ok(summary(&placing.wish, answer, durable, failed));
            }
            self.copies(placing, uid, answer.targets, missing, &mut durable, &mut failed)
                .await?;
        }
    }

    /// Follows copies on the first `missing` of these peers, and one on the next for each that fails.
    async fn copies(
        &self,
        placing: &Arc<Replication>,
        uid: Option<u32>,
        targets: Vec<Place>,
        missing: usize,
        durable: &mut BTreeMap<PeerId, PeerName>,
        failed: &mut BTreeMap<PeerId, (PeerName, String)>,
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
                    durable.insert(peer_id, name);
                    wanted -= 1;
                }
                Err(failure) => {
                    failed.insert(peer_id, (name.clone(), without_name(&name, &failure)));
                }
            }
        }
    }
}

fn summary(
    wish: &Wish,
    answer: PlaceResponse,
    durable: BTreeMap<PeerId, PeerName>,
    failed: BTreeMap<PeerId, (PeerName, String)>,
) -> Placed {
    let mut failed: Vec<_> = failed.into_values().collect();
    let refused = answer.refused.into_iter();
    failed.extend(refused.map(|refused| (refused.peer_name, refused.reason)));
    failed.dedup_by(|one, other| one.0 == other.0);
    let wanted = match wish.copies {
        0 => u32::try_from(durable.len() + failed.len()).unwrap_or(u32::MAX),
        copies => copies,
    };
    Placed {
        durable: durable.into_values().collect(),
        failed,
        wanted,
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
}

/// Asks for the copy and follows it.
///
/// # Errors
/// [`Halt::Wait`] while the peer may come back, [`Halt::Failed`] when it will not have the copy.
pub(super) async fn go(shared: &Arc<Shared>, transfer: &Arc<Transfer>, copy: &mut Copy) -> Result<(), Halt> {
    transfer.sets_out();
    let session = shared.sessions.require().map_err(Halt::Wait)?;
    let Some(place) = where_to(&session, copy).await? else {
        return Ok(());
    };
    let target = Target {
        peer_id: place.peer_id,
        name: place.peer_name,
        addresses: place.addresses,
    };
    let followed = follow(&session, transfer, &target, &place.grant, copy).await;
    transfer.asks(&target.name, None);
    followed.map_err(|error| copy.judge(&error))
}

/// The peer and a grant; none when it has the copy already.
async fn where_to(session: &Session, copy: &mut Copy) -> Result<Option<Place>, Halt> {
    if let Some(place) = copy.place.take() {
        return Ok(Some(place));
    }
    let request = PlaceRequest {
        publication: copy.publication.id,
        copies: 0,
        to: vec![copy.peer_id.to_string()],
        exclude: Vec::new(),
    };
    let answer = match session.client.place(&request).await {
        Ok(answer) => answer,
        Err(away) if away.kind == FailureKind::Unreachable => return Err(Halt::Wait(away)),
        Err(other) => return Err(other.into()),
    };
    if answer.holders.iter().any(|holder| holder.peer_id == copy.peer_id) {
        return Ok(None);
    }
    if let Some(place) = answer
        .targets
        .into_iter()
        .find(|place| place.peer_id == copy.peer_id)
    {
        return Ok(Some(place));
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
        let copy = Copy {
            publication: publication.clone(),
            peer_id,
            peer,
            place: Some(place),
            gone_since: None,
        };
        self.0.begin(&transfer, super::Work::Copy(copy));
        Ok(transfer)
    }
}
