//! An import that runs, as a transfer like the others. Whoever imports owns it; dropped before its end, it has failed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use p2p_proto::{ByteCount, ContentHash, Failure};

use super::{
    Shared, Transfers,
    job::Job,
    progress::{self, Intent, State, Transfer},
};

impl Transfers {
    /// Follows an import; its [`Uploading`] tells how it goes, and dropped it has failed.
    ///
    /// # Errors
    /// When too many transfers run.
    pub(super) fn uploading(&self, job: Job, uid: Option<u32>) -> Result<Uploading, Failure> {
        let transfer = self.0.register(job, uid)?;
        transfer.enter(State::Transferring, "");
        Ok(Uploading {
            shared: Arc::clone(&self.0),
            transfer,
            ended: AtomicBool::new(false),
        })
    }
}

/// An import that is being followed.
pub struct Uploading {
    shared: Arc<Shared>,
    transfer: Arc<Transfer>,
    ended: AtomicBool,
}

impl Uploading {
    /// Somebody wants it to end.
    pub async fn cancelled(&self) {
        while self.transfer.intends_other_than(Intent::Run).await != Intent::Cancel {}
    }

    /// So many bytes are imported.
    pub fn reached(&self, bytes: u64) {
        self.transfer.reached(None, bytes);
    }

    /// All bytes are here; the directory is asked to publish them.
    pub fn imported(&self, hash: ContentHash, size: u64) {
        let transfer = &self.transfer;
        tracing::info!(own = tracing::field::Empty, TRANSFER = transfer.id, CONTENT_HASH = %hash, ACCOUNT = %transfer.owner(),
            "{}/{} is imported, {}", transfer.owner(), transfer.name(), ByteCount(size));
        transfer.learned(Some(hash), Some(size));
        self.transfer.reached(None, size);
        self.transfer.enter(State::Verifying, "");
    }

    /// That was all.
    pub fn end(&self, result: Result<(), Failure>) {
        self.ended.store(true, Ordering::Relaxed);
        self.shared.end(&self.transfer, result);
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        if !self.ended.load(Ordering::Relaxed) {
            let failure = progress::interrupted("the upload was cut; nothing was published");
            self.shared.end(&self.transfer, Err(failure));
        }
    }
}
