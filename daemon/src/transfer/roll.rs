//! Who of the holders of one content is asked, who is not any more, and why. Owned by [`super::swarm`]; who lied is kept
//! by the transfer, the rest is forgotten with the go.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use p2p_proto::{
    Failure, FailureKind, PeerId, PeerName,
    rest::{
        location::{Holder, LocateResponse},
        reports::{Fault, ReportRequest},
    },
};
use tokio_util::sync::CancellationToken;

use super::{Halt, progress::Heard, source::SourceError, swarm::Swarm};
use crate::{identity::session::Session, peer::dial::Target};

/// A holder is given up after so many failures, until the transfer has waited.
const MAX_FAILURES: u32 = 3;

/// Who is tried, who failed, who lied.
#[derive(Default)]
pub(super) struct Roll {
    active: HashMap<PeerId, Active>,
    failures: HashMap<PeerId, u32>,
    /// They lost their place, and get another one when all others have failed.
    slow: HashSet<PeerId>,
    /// For as long as the transfer lives, whatever else is tried anew.
    liars: HashSet<PeerId>,
    last_reason: Option<String>,
}

/// One that is asked now.
struct Active {
    name: PeerName,
    given_up: CancellationToken,
}

impl Roll {
    /// Of a go in which these are not asked.
    pub(super) fn new(liars: HashSet<PeerId>) -> Self {
        Self {
            liars,
            ..Self::default()
        }
    }

    /// Those that lost their place are as good as any now.
    pub(super) fn forgives_slowness(&mut self) {
        self.slow.clear();
    }

    /// Holders worth a try: those that failed least, then as the directory ordered them.
    pub(super) fn candidates(&self, holders: &[Holder]) -> Vec<Target> {
        let failures = |id: &PeerId| self.failures.get(id).copied().unwrap_or(0);
        let mut worth: Vec<&Holder> = holders
            .iter()
            .filter(|holder| {
                let given_up = self.liars.contains(&holder.peer_id) || self.slow.contains(&holder.peer_id);
                !given_up && failures(&holder.peer_id) < MAX_FAILURES
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

    /// Some lost their place: the next go asks them again.
    pub(super) fn has_set_aside(&self) -> bool {
        !self.slow.is_empty()
    }

    /// One of them is not asked now.
    pub(super) fn has_untried(&self, holders: &[Holder]) -> bool {
        let candidates = self.candidates(holders);
        candidates
            .iter()
            .any(|target| !self.active.contains_key(&target.peer_id))
    }

    /// Asks a peer that is not asked now.
    pub(super) fn begins(&mut self, swarm: &Swarm, target: &Target) -> Option<(Heard, CancellationToken)> {
        if self.active.contains_key(&target.peer_id) {
            return None;
        }
        let (heard, given_up) = (Heard::default(), CancellationToken::new());
        swarm.begins(target, &heard);
        let active = Active {
            name: target.name.clone(),
            given_up: given_up.clone(),
        };
        self.active.insert(target.peer_id, active);
        Some((heard, given_up))
    }

    /// A peer shall make room.
    pub(super) fn gives_up(&self, peer: &PeerId) {
        if let Some(active) = self.active.get(peer) {
            active.given_up.cancel();
        }
    }

    /// All that were asked are asked no more, and none of them has failed.
    pub(super) fn is_done(&mut self, swarm: &Swarm) {
        for (peer, active) in self.active.drain() {
            swarm.transfer.asks(&active.name, None);
            swarm.paces().ends(peer);
        }
    }

    /// Who is asked now.
    pub(super) fn asked(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.active.values().map(|active| active.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Why the last one failed; nothing when none has.
    pub(super) fn reason(&self) -> &str {
        self.last_reason.as_deref().unwrap_or_default()
    }

    /// Notes how a source ended; a failure that no other source can mend comes back.
    pub(super) fn note(
        &mut self,
        swarm: &Swarm,
        session: &Arc<Session>,
        target: &Target,
        result: Result<(), SourceError>,
    ) -> Option<Failure> {
        self.active.remove(&target.peer_id);
        if swarm.paces().ends(target.peer_id) {
            // It works: what failed before, such as a grant that had its time, is no reason to give it up.
            self.failures.remove(&target.peer_id);
        }
        let error = match result {
            Ok(()) => return None,
            Err(SourceError::Store(error)) => return Some(error.into()),
            Err(error) => error,
        };
        let reason = format!("{} {error}", target.name);
        tell(swarm, target, &error, &reason);
        if let SourceError::Bad(fault) = error {
            self.liars.insert(target.peer_id);
            swarm.transfer.lied(target.peer_id);
            report(swarm, session, target, fault);
        } else if matches!(error, SourceError::Slow) {
            self.slow.insert(target.peer_id);
        } else {
            *self.failures.entry(target.peer_id).or_default() += 1;
        }
        self.last_reason = Some(reason);
        None
    }

    /// Why nobody can help.
    pub(super) fn verdict(&self, swarm: &Swarm, located: &LocateResponse) -> Halt {
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

/// A source that gives what is not true is for somebody to look into; one that only left or is slow is not.
fn tell(swarm: &Swarm, target: &Target, error: &SourceError, reason: &str) {
    let (id, publication) = (swarm.transfer.id, &swarm.publication);
    if matches!(error, SourceError::Bad(_)) {
        tracing::warn!(PEER = %target.name, PEER_ID = %target.peer_id, TRANSFER = id, CONTENT_HASH = %publication.hash,
            "{}: {reason}", publication.name);
    } else {
        tracing::info!(PEER = %target.name, PEER_ID = %target.peer_id, TRANSFER = id, CONTENT_HASH = %publication.hash,
            "{}: {reason}", publication.name);
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
            tracing::info!(PEER = %name, "the directory was not told that {name} is a bad holder: {failure}");
        }
    });
}
