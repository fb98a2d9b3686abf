//! One file per verb: what it asks the daemon, and what it shows. None owns state beyond its own run.

pub(crate) mod download;
pub(crate) mod fetch;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod peers;
pub(crate) mod placing;
pub(crate) mod replicate;
pub(crate) mod rm;
pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod steer;
pub(crate) mod transfer;
pub(crate) mod transfers;
pub(crate) mod upload;
pub(crate) mod verify;
pub(crate) mod wait;
pub(crate) mod whoami;

use p2p_proto::{Failure, FailureKind};

/// The failure of an answer that lacks a part.
pub(crate) fn incomplete(what: &str) -> Failure {
    Failure::new(FailureKind::Internal, format!("p2pd answered without {what}"))
        .hint("Is it as new as p2pctl? p2pctl status")
}
