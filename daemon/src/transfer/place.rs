//! Placing copies on other peers: a [`Replication`] is the wish for several. It asks the directory for peers, follows a copy
//! on each ([`super::copy`]), and takes another peer for each that fails. A copy counts when a piece of it was read back
//! there ([`super::proof`]), whoever said before that it is done. In memory: after a restart the copies that were begun go
//! on, one by one.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
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
    Transfers,
    copy::target_of,
    locate,
    progress::{Heard, Transfer},
    proof,
};
use crate::identity::session::Session;

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
                asked.push(target_of(holder));
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
