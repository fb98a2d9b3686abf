//! Calls on files of users. One of a file system that answers nobody never returns: such a call has its user's turn, is made
//! on a thread that may block, and does not keep the store from closing. Owns nothing.

use std::{fs::File, time::Duration};

use super::{Inner, error::StoreError};
use crate::user_file::UserFile;

/// What a call may take when the store closes: one that is answered ends within that, since it looks whether it is to end.
const GRACE: Duration = Duration::from_secs(2);

/// Where the bytes of a fetch go.
pub(super) enum Target {
    /// Into the store.
    Stored(File),
    /// Into a user's file.
    Users(UserFile),
}

impl Target {
    /// To be called where one may block; a user's in a turn.
    pub(super) fn file(&self) -> &File {
        match self {
            Self::Stored(file) => file,
            Self::Users(file) => file.file(),
        }
    }

    /// The user's file.
    pub(super) const fn users(&self) -> Option<&UserFile> {
        match self {
            Self::Stored(_) => None,
            Self::Users(file) => Some(file),
        }
    }
}

/// Work that calls this file.
pub(super) async fn calling<T: Send + 'static>(
    inner: &Inner,
    file: &UserFile,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let given_up = async {
        inner.stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        done = file.call(work) => done.unwrap_or(Err(StoreError::Stopped)),
        () = given_up => Err(StoreError::Stopped),
    }
}
