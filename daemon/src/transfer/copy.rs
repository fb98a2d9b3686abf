//! One copy on another peer: that one is asked to fetch it, and followed until it is done there; the bytes go the way of
//! every download. Then the directory must list its holder, and a piece that this peer chose is read back ([`super::proof`]).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use p2p_proto::{
    Failure, FailureKind, PeerId, PeerName,
    rest::{
        location::Holder,
        placement::{PlaceRequest, Target as Place},
        publications::Publication,
    },
};

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

/// Where to reach a holder.
pub(super) fn target_of(holder: &Holder) -> Target {
    Target {
        peer_id: holder.peer_id,
        name: holder.peer_name.clone(),
        addresses: holder.addresses.clone(),
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
        return Ok(Stage::Listed(target_of(holder)));
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
    /// Begins the copy on this peer, or joins the transfer that makes it.
    pub(super) fn start_copy(
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
