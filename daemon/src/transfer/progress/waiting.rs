//! Who waits for a transfer: people, those who read while it comes, and files that shall be written at its end.

use std::sync::Arc;

use p2p_proto::Failure;
use tokio::sync::oneshot;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Intent, Transfer, lock};
use crate::user_file::UserFile;

impl Transfer {
    /// Somebody waits for it. When the last one who waits is gone, a transfer that nobody wanted to go on alone ends,
    /// and what came is thrown away.
    #[must_use]
    pub fn attach(self: &Arc<Self>, goes_on_alone: bool) -> Attached {
        let mut waiting = lock(&self.waiting);
        waiting.people += 1;
        waiting.goes_on_alone |= goes_on_alone;
        Attached {
            reader: Some(self.readers.token()),
            transfer: Arc::clone(self),
        }
    }

    /// Waits until all who read while it comes have what they wanted.
    pub(in crate::transfer) async fn read_by_all(&self) {
        self.readers.close();
        self.readers.wait().await;
    }

    /// The finished content shall be written into this file too. None when all are being written already, or the transfer
    /// has ended.
    pub fn deliver(&self, file: UserFile) -> Option<oneshot::Receiver<Result<(), Failure>>> {
        let mut outputs = lock(&self.outputs);
        if outputs.closed {
            return None;
        }
        // Nobody else can give those a name whose tool is gone.
        outputs.files.retain(|(_, told)| !told.is_closed());
        let (told, hears) = oneshot::channel();
        outputs.files.push((file, told));
        Some(hears)
    }

    /// The files that shall be written; no more can come.
    pub(in crate::transfer) fn take_outputs(&self) -> Vec<Output> {
        let mut outputs = lock(&self.outputs);
        outputs.closed = true;
        std::mem::take(&mut outputs.files)
    }
}

/// A file to write, and who hears how that went.
pub(in crate::transfer) type Output = (UserFile, oneshot::Sender<Result<(), Failure>>);

#[derive(Default)]
pub(super) struct Outputs {
    files: Vec<Output>,
    closed: bool,
}

#[derive(Default)]
pub(super) struct Waiting {
    people: usize,
    goes_on_alone: bool,
}

/// One who waits for a transfer.
pub struct Attached {
    /// For what.
    pub transfer: Arc<Transfer>,
    reader: Option<TaskTrackerToken>,
}

impl Attached {
    /// The right to read the bytes while they come: those that stay nowhere else wait for it to be dropped.
    pub fn reader(&mut self) -> Option<TaskTrackerToken> {
        self.reader.take()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut waiting = lock(&self.transfer.waiting);
        waiting.people -= 1;
        if waiting.people == 0 && !waiting.goes_on_alone {
            self.transfer.want(Intent::Cancel);
        }
    }
}
