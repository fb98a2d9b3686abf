//! The one place that says what a failure of the store means to a person.

use p2p_proto::{Failure, FailureKind};

use crate::store::StoreError;

/// What SQLite says when its disk is full: on a write, and when it makes its shared index larger.
const DISK_FULL: [&str; 2] = ["13", "4874"];

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NoSpace { .. } | StoreError::OutputFull { .. } => FailureKind::DiskFull,
            StoreError::Metadata(sqlx::Error::Database(refused))
                if refused.code().is_some_and(|code| DISK_FULL.contains(&&*code)) =>
            {
                FailureKind::DiskFull
            }
            StoreError::Damaged { .. } => FailureKind::HashMismatch,
            StoreError::NotRegular | StoreError::NotEmpty => FailureKind::Usage,
            _ => FailureKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}
