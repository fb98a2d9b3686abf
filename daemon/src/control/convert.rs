//! Our types as messages of the control socket, and back.

use jiff::Timestamp;
use p2p_proto::{Failure, PeerName, rest, v1};

use crate::{
    identity::session::Session,
    store::HeldFile,
    transfer::progress::{Outcome, State, Transfer},
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
        pinned: false,
        state: "complete".into(),
        stored_bytes: from.stored_bytes,
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
    let waiting = match now.state {
        State::Waiting(reason) => reason,
        State::Queued => "other transfers run first".into(),
        _ => String::new(),
    };
    v1::DownloadProgress {
        done_bytes: now.done,
        total_bytes: transfer.publication.size,
        rate: transfer.rate(),
        sources: sources(transfer.sources()),
        waiting,
    }
}

/// How a transfer ended.
pub fn done(outcome: Outcome) -> v1::DownloadDone {
    v1::DownloadDone {
        seconds: outcome.seconds,
        resumed_bytes: 0,
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
