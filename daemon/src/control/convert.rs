//! Our types as messages of the control socket, and back.

use jiff::Timestamp;
use p2p_proto::{Failure, PeerName, rest, v1};

use crate::{
    events,
    identity::session::Session,
    store::HeldFile,
    transfer::{
        place::Placed,
        progress::{Outcome, Progress, State, Transfer},
    },
};

/// A time as text; none is empty.
pub fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// A published file.
pub fn publication(from: &rest::publications::Publication) -> v1::Publication {
    v1::Publication {
        id: from.id.to_string(),
        owner: from.owner.to_string(),
        name: from.name.to_string(),
        version: from.version,
        hash: from.hash.to_string(),
        size: from.size,
        visibility: from.visibility.to_string(),
        published_at: from.published_at.to_string(),
    }
}

/// Something that happened.
pub fn happened(from: &events::Event) -> v1::Event {
    let what = &from.what;
    v1::Event {
        id: from.place.to_string(),
        at: from.at.to_string(),
        r#type: what.word().into(),
        message: what.line(),
        publication: what.publication().map(publication),
        transfer_id: what.transfer().map(|of| of.id.to_string()).unwrap_or_default(),
        peer: what.peer().map(|(name, _)| name.to_string()).unwrap_or_default(),
        user: what.user().map(ToString::to_string).unwrap_or_default(),
        reason: what.reason(),
    }
}

/// A session, without its secrets.
pub fn session(from: &Session) -> v1::Session {
    let record = &from.record;
    v1::Session {
        user: record.user.to_string(),
        peer_id: from.peer_id().to_string(),
        peer_name: record.peer_name.to_string(),
        directory: record.directory.clone(),
        ca_fingerprint: record.ca_fingerprint.clone(),
        session_expires_at: record.session_expires_at.to_string(),
        certificate_expires_at: record.certificate_expires_at.to_string(),
    }
}

/// A file that is held here.
pub fn held(from: &HeldFile) -> v1::HeldFile {
    v1::HeldFile {
        publication: Some(publication(&from.publication)),
        pinned: from.pinned,
        state: if from.damaged.is_some() {
            "damaged"
        } else {
            "complete"
        }
        .into(),
        stored_bytes: from.stored_bytes,
        copies_known: None,
    }
}

/// A line of a search.
pub fn found(from: &rest::publications::SearchHit) -> v1::FoundFile {
    v1::FoundFile {
        publication: Some(publication(&from.publication)),
        holders_online: from.holders_online,
        holders_total: from.holders_total,
    }
}

/// Who holds a file.
pub fn holder(from: &rest::location::Holder) -> v1::HolderInfo {
    v1::HolderInfo {
        peer_id: from.peer_id.to_string(),
        peer: from.peer_name.to_string(),
        online: from.online,
        complete: from.state == p2p_proto::index::HoldState::Complete,
        last_seen_at: time(from.last_seen_at),
    }
}

/// A peer of the directory.
pub fn peer(from: &rest::location::Peer) -> v1::PeerInfo {
    v1::PeerInfo {
        peer_id: from.peer_id.to_string(),
        name: from.name.to_string(),
        user: from.user.to_string(),
        addresses: from.addresses.iter().map(ToString::to_string).collect(),
        online: from.online,
        last_seen_at: time(from.last_seen_at),
        files: from.files,
        free_bytes: from.free_bytes,
    }
}

fn sources(from: Vec<(PeerName, u64)>) -> Vec<v1::SourceBytes> {
    from.into_iter()
        .map(|(peer, bytes)| v1::SourceBytes {
            peer: peer.to_string(),
            bytes,
        })
        .collect()
}

/// How far a transfer is.
pub fn progress(transfer: &Transfer) -> v1::DownloadProgress {
    let now = transfer.progress();
    let still = matches!(now.state, State::Waiting | State::Queued | State::Paused);
    v1::DownloadProgress {
        done_bytes: now.done,
        total_bytes: now.size.unwrap_or(now.done),
        rate: transfer.rate(),
        sources: sources(transfer.sources()),
        state: now.state.word().into(),
        waiting: if still { now.reason } else { String::new() },
    }
}

/// A transfer as it is now.
pub fn transfer(from: &Transfer) -> v1::Transfer {
    let Progress {
        state,
        reason,
        entered_at,
        done,
        size,
        hash,
        ..
    } = from.progress();
    let rate = if state.is_final() { 0 } else { from.rate() };
    let left = size.map(|size| size.saturating_sub(done));
    let eta = left.and_then(|left| left.checked_div(rate));
    let peers = from.givers().into_iter().map(|giver| v1::TransferPeer {
        peer: giver.name.to_string(),
        bytes: giver.bytes,
        silent_since: time(giver.silent_since),
    });
    v1::Transfer {
        id: from.id.to_string(),
        direction: from.job.direction().into(),
        owner: from.owner().to_string(),
        name: from.name().to_string(),
        hash: hash.map(|hash| hash.to_string()).unwrap_or_default(),
        size,
        done_bytes: done,
        rate,
        eta_s: eta.filter(|_| matches!(state, State::Transferring)),
        state: state.word().into(),
        reason,
        entered_at: entered_at.to_string(),
        started_at: from.began_at.to_string(),
        peers: peers.collect(),
        failure: match state {
            State::Failed(failure) => Some(v1_failure(failure)),
            _ => None,
        },
        priority: from.priority().word().into(),
        limit: from.limit(),
    }
}

fn v1_failure(from: Failure) -> v1::Failure {
    v1::Failure {
        kind: from.kind.to_string(),
        message: from.message,
        hint: from.hint.unwrap_or_default(),
        candidates: from.candidates,
    }
}

/// A copy that is being placed.
pub fn placement(from: &Transfer) -> v1::Placement {
    let now = transfer(from);
    v1::Placement {
        transfer_id: now.id,
        peer: match &from.job {
            crate::transfer::job::Job::Replicate { peer, .. } => peer.to_string(),
            _ => String::new(),
        },
        state: now.state,
        reason: now.reason,
        done_bytes: now.done_bytes,
        total_bytes: now.size.unwrap_or_default(),
    }
}

/// What came of a wish for copies; this peer's first.
pub fn placed(
    from: Placed,
    publication_: &rest::publications::Publication,
    here: &PeerName,
) -> v1::ReplicateDone {
    let mut durable = from.durable;
    durable.sort_by_key(|name| name != here);
    let durable = durable.into_iter().map(|peer| (peer, "durable", String::new()));
    let failed = from
        .failed
        .into_iter()
        .map(|(peer, reason)| (peer, "failed", reason));
    v1::ReplicateDone {
        publication: Some(publication(publication_)),
        wanted: from.wanted,
        copies: durable
            .chain(failed)
            .map(|(peer, state, reason)| v1::Copy {
                peer: peer.to_string(),
                state: state.into(),
                reason,
            })
            .collect(),
    }
}

/// How a transfer ended.
pub fn done(outcome: Outcome) -> v1::DownloadDone {
    v1::DownloadDone {
        seconds: outcome.seconds,
        resumed_bytes: outcome.resumed,
        sources: sources(outcome.sources),
    }
}

/// One event of a download.
pub const fn event(event: v1::download_event::Event) -> v1::DownloadEvent {
    v1::DownloadEvent { event: Some(event) }
}

/// What a published file answers: the publication, and this peer's durable copy.
pub fn upload_done(publication_: &rest::publications::Publication, here: &PeerName) -> v1::UploadDone {
    v1::UploadDone {
        publication: Some(publication(publication_)),
        copies: vec![v1::Copy {
            peer: here.to_string(),
            state: "durable".into(),
            reason: String::new(),
        }],
    }
}

/// A text as one of our checked types.
///
/// # Errors
/// `Usage` with the reason.
pub fn checked<T>(text: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Failure::new(p2p_proto::FailureKind::Usage, error.to_string()))
}
