//! The one place that says what a failure of the store means to a person.

use p2p_proto::{Failure, FailureKind};

use crate::store::StoreError;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NoSpace { .. } | StoreError::OutputFull { .. } => FailureKind::DiskFull,
            StoreError::Damaged { .. } => FailureKind::HashMismatch,
            StoreError::NotRegular | StoreError::NotEmpty => FailureKind::Usage,
            _ => FailureKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}
