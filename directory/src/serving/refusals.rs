//! What is refused, told in the log once per source, kind and minute: a flood of the same trouble is one line, and the
//! next one says how much there was. In memory.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use axum::http::StatusCode;
use p2p_service::once::OncePerMinute;

use super::End;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An address in the network.
    Address(SocketAddr),
    /// A user of this machine, by the admin socket.
    User(u32),
}

/// Who is told apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    User(u32),
}

impl From<Origin> for Who {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Address(address) => Self::Address(address.ip().to_canonical()),
            Origin::User(user) => Self::User(user),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::User(user) => write!(f, "uid {user} on the admin socket"),
        }
    }
}

/// What the refused did.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Status(u16),
    SlowHead,
    Garbage,
}

/// Who was refused what in the last minute.
#[derive(Default)]
pub struct Refusals(OncePerMinute<(Who, What)>);

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusals")
    }
}

impl Refusals {
    /// A request was answered with this status. What a bound or a check of the form refused is told; a wrong password or a
    /// name that is not there is part of the work.
    pub(super) fn answered(&self, from: Origin, status: StatusCode) {
        const TOLD: [u16; 8] = [400, 405, 408, 413, 414, 422, 426, 429];
        let (who, code) = (Who::from(from), status.as_u16());
        if TOLD.contains(&code)
            && let Some(more) = self.0.say((who, What::Status(code)))
        {
            tracing::info!("refused a request from {who}: {status}{more}");
        }
    }

    /// A connection has ended.
    pub(super) fn ended(&self, from: Origin, end: &End) {
        let who = Who::from(from);
        match end {
            End::Over => {}
            End::SlowHead => {
                if let Some(more) = self.0.say((who, What::SlowHead)) {
                    tracing::info!(
                        "closed a connection from {who}: the head of a request came too slowly{more}"
                    );
                }
            }
            End::Broken(error) if is_gone(error) => {
                tracing::debug!(error = %error, "a connection broke off");
            }
            End::Broken(error) => {
                if let Some(more) = self.0.say((who, What::Garbage)) {
                    tracing::info!("closed a connection from {who}: what came is not HTTP: {error}{more}");
                }
            }
        }
    }
}

/// Whether the other side went away, rather than said what makes no sense.
fn is_gone(error: &hyper::Error) -> bool {
    if error.is_parse() {
        return false;
    }
    let source = std::error::Error::source(error);
    let io = source.is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some());
    io || error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || error.is_body_write_aborted()
        || error.is_shutdown()
        || error.is_timeout()
}
