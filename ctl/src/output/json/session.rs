//! `whoami`, `login`, `logout`, `status`: who is here, and how it is. Owns no state.

use p2p_proto::v1;
use serde::Serialize;

use super::known;

/// `p2pctl.whoami/1`.
#[derive(Serialize)]
pub(crate) struct Whoami {
    user: String,
    peer_id: String,
    peer_name: String,
    directory: String,
    expires_at: Option<String>,
}

impl From<v1::Session> for Whoami {
    fn from(session: v1::Session) -> Self {
        Self {
            user: session.user,
            peer_id: session.peer_id,
            peer_name: session.peer_name,
            directory: session.directory,
            expires_at: known(session.session_expires_at),
        }
    }
}

/// `p2pctl.login/1`.
#[derive(Serialize)]
pub(crate) struct Login {
    #[serde(flatten)]
    session: Whoami,
    ca_fingerprint: String,
    addresses: Vec<Reachability>,
}

#[derive(Serialize)]
struct Reachability {
    address: String,
    reachable: bool,
}

impl Login {
    pub(crate) fn new(session: v1::Session, addresses: Vec<v1::Reachability>) -> Self {
        let ca_fingerprint = session.ca_fingerprint.clone();
        let addresses = addresses.into_iter().map(|one| Reachability {
            address: one.address,
            reachable: one.reachable,
        });
        Self {
            session: session.into(),
            ca_fingerprint,
            addresses: addresses.collect(),
        }
    }
}

/// `p2pctl.logout/1`.
#[derive(Serialize)]
pub(crate) struct Logout {
    pub(crate) directory_told: bool,
}

/// `p2pctl.status/1`.
#[derive(Serialize)]
pub(crate) struct Status {
    daemon: DaemonStatus,
    session: SessionStatus,
    directory: DirectoryStatus,
    store: StoreStatus,
    transfers: TransferCounts,
    health: Vec<Health>,
}

#[derive(Serialize)]
struct DaemonStatus {
    version: String,
    peer_id: Option<String>,
    peer_name: Option<String>,
    started_at: Option<String>,
    listen: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SessionStatus {
    LoggedIn {
        logged_in: bool,
        user: String,
        directory: String,
        ca_fingerprint: String,
        certificate_expires_at: Option<String>,
        session_expires_at: Option<String>,
    },
    LoggedOut {
        logged_in: bool,
    },
}

#[derive(Serialize)]
struct DirectoryStatus {
    reachable: bool,
    last_ping_at: Option<String>,
    urls: Vec<String>,
}

#[derive(Serialize)]
struct StoreStatus {
    files: u64,
    bytes: u64,
    partial_files: u64,
    free_bytes: u64,
    max_bytes: Option<u64>,
}

#[derive(Serialize)]
struct TransferCounts {
    active: u32,
    queued: u32,
}

#[derive(Serialize)]
struct Health {
    level: String,
    code: String,
    message: String,
    fix: Option<String>,
}

impl From<v1::StatusResponse> for Status {
    fn from(status: v1::StatusResponse) -> Self {
        let directory = status.directory.unwrap_or_default();
        let store = status.store.unwrap_or_default();
        let health = status.health.into_iter().map(|line| Health {
            level: line.level,
            code: line.code,
            message: line.message,
            fix: known(line.fix),
        });
        Self {
            daemon: DaemonStatus {
                version: status.version,
                peer_id: known(status.peer_id),
                peer_name: known(status.peer_name),
                started_at: known(status.started_at),
                listen: status.listen,
            },
            session: status.session.into(),
            directory: DirectoryStatus {
                reachable: directory.reachable,
                last_ping_at: known(directory.last_ping_at),
                urls: directory.urls,
            },
            store: StoreStatus {
                files: store.files,
                bytes: store.bytes,
                partial_files: store.partial_files,
                free_bytes: store.free_bytes,
                max_bytes: store.max_bytes,
            },
            transfers: TransferCounts {
                active: status.active_transfers,
                queued: status.queued_transfers,
            },
            health: health.collect(),
        }
    }
}

impl From<Option<v1::Session>> for SessionStatus {
    fn from(session: Option<v1::Session>) -> Self {
        match session {
            Some(session) => Self::LoggedIn {
                logged_in: true,
                user: session.user,
                directory: session.directory,
                ca_fingerprint: session.ca_fingerprint,
                certificate_expires_at: known(session.certificate_expires_at),
                session_expires_at: known(session.session_expires_at),
            },
            None => Self::LoggedOut { logged_in: false },
        }
    }
}
