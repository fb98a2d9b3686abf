//! How a failure travels: one kind, one exit code, a sentence and the next step. The same value is a gRPC status
//! between daemon and tool, a JSON object and an exit code in front of a person.

use std::fmt;

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::v1;

/// The kinds of failure that a user or a script can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Any other failure.
    Internal,
    /// The request itself is wrong.
    Usage,
    /// The daemon cannot be reached.
    DaemonUnreachable,
    /// No session.
    NotLoggedIn,
    /// The directory refused the user name or password.
    CredentialsRefused,
    /// Known, and not for this caller.
    NotPermitted,
    /// No such file, peer or transfer; also what the caller may not see.
    NotFound,
    /// The file is known; none of its holders is online.
    NoHolderOnline,
    /// The directory or the peers could not be reached, or broke off.
    Unreachable,
    /// The disk is full or too small, or a quota is reached.
    DiskFull,
    /// The content does not have its hash.
    HashMismatch,
    /// The output exists.
    OutputExists,
    /// The reference means several files.
    Ambiguous,
    /// The time ran out.
    TimedOut,
    /// Only a part was done.
    Partial,
    /// The other side is not who it should be.
    IdentityMismatch,
    /// Stopped by the user.
    Interrupted,
}

impl FailureKind {
    /// Every kind, for tests and documents.
    pub const ALL: [Self; 17] = [
        Self::Internal,
        Self::Usage,
        Self::DaemonUnreachable,
        Self::NotLoggedIn,
        Self::CredentialsRefused,
        Self::NotPermitted,
        Self::NotFound,
        Self::NoHolderOnline,
        Self::Unreachable,
        Self::DiskFull,
        Self::HashMismatch,
        Self::OutputExists,
        Self::Ambiguous,
        Self::TimedOut,
        Self::Partial,
        Self::IdentityMismatch,
        Self::Interrupted,
    ];

    /// The exit code of p2pctl.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::DaemonUnreachable => 3,
            Self::NotLoggedIn | Self::CredentialsRefused => 4,
            Self::NotPermitted => 5,
            Self::NotFound => 6,
            Self::NoHolderOnline => 7,
            Self::Unreachable => 8,
            Self::DiskFull => 9,
            Self::HashMismatch => 10,
            Self::OutputExists | Self::Ambiguous => 11,
            Self::TimedOut | Self::Partial => 12,
            Self::IdentityMismatch => 13,
            Self::Interrupted => 130,
        }
    }

    /// The word in JSON and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::DaemonUnreachable => "daemon_unreachable",
            Self::NotLoggedIn => "not_logged_in",
            Self::CredentialsRefused => "credentials_refused",
            Self::NotPermitted => "not_permitted",
            Self::NotFound => "not_found",
            Self::NoHolderOnline => "no_holder_online",
            Self::Unreachable => "unreachable",
            Self::DiskFull => "disk_full",
            Self::HashMismatch => "hash_mismatch",
            Self::OutputExists => "output_exists",
            Self::Ambiguous => "ambiguous",
            Self::TimedOut => "timed_out",
            Self::Partial => "partial",
            Self::IdentityMismatch => "identity_mismatch",
            Self::Interrupted => "interrupted",
        }
    }

    /// The kind with this word; an unknown word (a newer daemon) is `Internal`.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .unwrap_or(Self::Internal)
    }

    const fn grpc_code(self) -> tonic::Code {
        use tonic::Code;
        match self {
            Self::Internal => Code::Internal,
            Self::Usage => Code::InvalidArgument,
            Self::NotLoggedIn | Self::CredentialsRefused => Code::Unauthenticated,
            Self::NotPermitted | Self::IdentityMismatch => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::NoHolderOnline | Self::Ambiguous | Self::Partial => Code::FailedPrecondition,
            Self::DaemonUnreachable | Self::Unreachable => Code::Unavailable,
            Self::DiskFull => Code::ResourceExhausted,
            Self::HashMismatch => Code::DataLoss,
            Self::OutputExists => Code::AlreadyExists,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::Interrupted => Code::Cancelled,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One failure: what happened, to what, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// What happened, to what; no full stop unless it is several sentences.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// With `Ambiguous`: references that are exact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            candidates: Vec::new(),
        }
    }

    /// The same with the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the references that are exact.
    #[must_use]
    pub fn candidates(mut self, candidates: Vec<String>) -> Self {
        self.candidates = candidates;
        self
    }

    /// Nobody is logged in.
    #[must_use]
    pub fn not_logged_in() -> Self {
        Self::new(FailureKind::NotLoggedIn, "not logged in").hint("p2pctl login")
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        let detail = v1::Failure {
            kind: failure.kind.as_str().to_owned(),
            message: failure.message.clone(),
            hint: failure.hint.unwrap_or_default(),
            candidates: failure.candidates,
        };
        Self::with_details(
            failure.kind.grpc_code(),
            failure.message,
            detail.encode_to_vec().into(),
        )
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        if !status.details().is_empty()
            && let Ok(detail) = v1::Failure::decode(status.details())
        {
            return Self {
                kind: FailureKind::from_word(&detail.kind),
                message: detail.message,
                hint: Some(detail.hint).filter(|hint| !hint.is_empty()),
                candidates: detail.candidates,
            };
        }
        let kind = match status.code() {
            tonic::Code::Unavailable => FailureKind::Unreachable,
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange => FailureKind::Usage,
            tonic::Code::DeadlineExceeded => FailureKind::TimedOut,
            tonic::Code::Cancelled => FailureKind::Interrupted,
            _ => FailureKind::Internal,
        };
        Self::new(kind, status.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_wire() {
        for kind in FailureKind::ALL {
            let failure = Failure::new(kind, "scan.tar: gone")
                .hint("p2pctl search scan")
                .candidates(vec!["ana/scan.tar@1".into()]);
            assert_eq!(Failure::from(tonic::Status::from(failure.clone())), failure);
        }
    }

    #[test]
    fn words_are_what_serde_writes() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(FailureKind::from_word(kind.as_str()), kind);
        }
    }
}
