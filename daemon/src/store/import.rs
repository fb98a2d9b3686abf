//! Import of a file: its bytes are read once, into a file in `partial/` that is a reflink of it or a copy, and hashed on
//! the way (a reflink: afterwards, from the clone). What is hashed is what is kept. A copy has checkpoints (see
//! `cut_imports`) that are made while it goes on; a crash leaves the last one, and of what had none nothing that counts.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Inner, ProgressSink, Store,
    buffer::Buffer,
    checkpoint::Failed,
    commit::{Imported, Origin, Purpose, Whole, commit},
    cut_imports::{self, Cut, Resumed, Saved},
    disk::TempFile,
    error::StoreError,
    layer::{GROUP, LayerBuilder},
    space::Reservation,
    stamp::Stamp,
    users::calling,
};
use crate::user_file::UserFile;

impl Store {
    /// Takes the whole regular file into the store, durably. Goes on at the checkpoint of an earlier import of the same
    /// unchanged file. Stops soon after `cancel`, or after the caller was dropped, and keeps its last checkpoint then.
    ///
    /// # Errors
    /// [`StoreError::NotRegular`]; [`StoreError::NoSpace`] before the first byte; [`StoreError::SourceChanged`] when
    /// somebody wrote to it meanwhile. Then nothing is kept.
    pub async fn import_file(
        &self,
        source: UserFile,
        purpose: Purpose,
        progress: ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<Imported, StoreError> {
        let cancelled = cancel.child_token();
        let _guard = cancelled.clone().drop_guard();
        let inner = self.inner.clone();
        self.finish(import(inner, source, purpose, progress, cancelled))
            .await
    }
}

async fn import(
    inner: Arc<Inner>,
    source: UserFile,
    purpose: Purpose,
    progress: ProgressSink,
    cancelled: CancellationToken,
) -> Result<Imported, StoreError> {
    let file = source.clone();
    let stamp = calling(&inner, &source, move || Stamp::of(file.file())).await?;
    let key = stamp.key();
    // Of two that import the same file at once, one has the checkpoints.
    let once = inner.importing.begin(&key);
    let resumed = match &once {
        Some(_) => cut_imports::find(&inner, &key, stamp.size).await?,
        None => None,
    };
    let (mut pass, cut) = calling(&inner, &source, {
        let (inner, source) = (inner.clone(), source.clone());
        move || Pass::begin(&inner, source, stamp, resumed, progress, cancelled)
    })
    .await?;
    let mut checkpoints = Checkpoints {
        inner: inner.clone(),
        idle: cut.filter(|_| once.is_some()),
        running: None,
    };
    let result = loop {
        pass.may_save = checkpoints.any();
        let step = calling(&inner, &source, move || {
            let step = pass.step();
            Ok((pass, step))
        })
        .await;
        let step = match step {
            Ok((back, step)) => {
                pass = back;
                step
            }
            Err(error) => return Err(error),
        };
        // At the end none may run any more; when the next is due none does.
        let saved = checkpoints.wait(&mut pass).await;
        match step.and_then(|step| saved.map(|()| step)) {
            Ok(Step::Due) => checkpoints.start(&mut pass)?,
            other => break other.map(drop),
        }
    };
    pass.end(&inner, checkpoints.idle, purpose, result).await
}

/// What is durable of the import, or is becoming so.
struct Checkpoints {
    inner: Arc<Inner>,
    idle: Option<Cut>,
    running: Option<JoinHandle<Saved>>,
}

impl Checkpoints {
    const fn any(&self) -> bool {
        self.idle.is_some() || self.running.is_some()
    }

    fn start(&mut self, pass: &mut Pass) -> Result<(), StoreError> {
        let Some(cut) = self.idle.take() else {
            return Ok(());
        };
        let further = pass.layer.closed()[cut.saved()..].to_vec();
        let copy = pass.file.file().try_clone();
        let copy = copy.map_err(StoreError::io("open the copy twice"))?;
        let (inner, saving) = (self.inner.clone(), pass.saving.clone());
        saving.store(true, Ordering::Release);
        (pass.since, pass.saved_at) = (0, Instant::now());
        self.running = Some(self.inner.tasks.spawn(async move {
            let saved = cut_imports::save(inner, cut, copy, further).await;
            saving.store(false, Ordering::Release);
            saved
        }));
        Ok(())
    }

    /// Until none runs. An error when an fsync failed; one that failed otherwise is only late.
    async fn wait(&mut self, pass: &mut Pass) -> Result<(), StoreError> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        let Saved { cut, result } = running.await.map_err(|_| StoreError::Stopped)?;
        if cut.durable {
            pass.file.keep(true);
            pass.reservation.keep(cut.done());
        }
        self.idle = Some(cut);
        match result {
            Ok(()) => Ok(()),
            Err(Failed { error, lost }) => {
                self.inner.faults.note(None, &error);
                if lost {
                    pass.lost = true;
                    return Err(pass.reservation.named(error));
                }
                tracing::warn!(%error, "no checkpoint of an import");
                Ok(())
            }
        }
    }
}

enum Step {
    /// It is time for a checkpoint.
    Due,
    /// All was read.
    Done,
}

/// One import on its way.
struct Pass {
    inner: Arc<Inner>,
    source: UserFile,
    stamp: Stamp,
    file: TempFile,
    /// `file` is a reflink.
    shared: bool,
    reservation: Reservation,
    layer: LayerBuilder,
    buffer: Buffer,
    progress: ProgressSink,
    cancelled: CancellationToken,
    /// Checkpoints are made.
    may_save: bool,
    /// One runs.
    saving: Arc<AtomicBool>,
    since: u64,
    saved_at: Instant,
    /// An fsync failed.
    lost: bool,
}

impl Pass {
    fn begin(
        inner: &Arc<Inner>,
        source: UserFile,
        stamp: Stamp,
        resumed: Option<Resumed>,
        progress: ProgressSink,
        cancelled: CancellationToken,
    ) -> Result<(Self, Option<Cut>), StoreError> {
        let (size, disk) = (stamp.size, &inner.disk);
        let (file, shared, mut reservation, layer, cut) = match resumed {
            Some(Resumed { cut, file, values }) => {
                let mut reservation = Reservation::adopt(inner.space.clone(), cut.done());
                reservation.promise(size - cut.done())?;
                (file, false, reservation, LayerBuilder::resume(values), Some(cut))
            }
            None => {
                let mut reservation = Reservation::new(inner.space.clone());
                reservation.promise(size)?;
                let name = Uuid::new_v4().to_string();
                let file = disk.create_partial(&name);
                let file = file.map_err(reservation.io("make a file for an import"))?;
                let shared = size > 0
                    && disk
                        .sys()
                        .reflink(file.file(), source.file())
                        .map_err(reservation.io("reflink the file"))?;
                let cut = (!shared).then(|| Cut::new(name, stamp.key()));
                (file, shared, reservation, LayerBuilder::new(), cut)
            }
        };
        if shared {
            // The clone is of one instant: if that was not the one we measured, somebody writes.
            stamp.check(source.file(), file.file())?;
        } else {
            reservation.claim_disk(size - layer.size())?;
        }
        let pass = Self {
            inner: inner.clone(),
            source,
            stamp,
            file,
            shared,
            reservation,
            layer,
            buffer: Buffer::new(),
            progress,
            cancelled,
            may_save: false,
            saving: Arc::default(),
            since: 0,
            saved_at: Instant::now(),
            lost: false,
        };
        Ok((pass, cut))
    }

    /// Reads and hashes until all is done or it is time for a checkpoint.
    fn step(&mut self) -> Result<Step, StoreError> {
        let size = self.stamp.size;
        loop {
            let offset = self.layer.size();
            if self.shared && offset == size {
                return Ok(Step::Done);
            }
            let sys = self.inner.disk.sys();
            let from = if self.shared {
                self.file.file()
            } else {
                self.source.file()
            };
            let read = sys
                .read_full(from, offset, self.buffer.bytes_mut())
                .map_err(|error| self.unreadable(error))?;
            // More than was promised is never written.
            if offset + read as u64 > size || (self.shared && read == 0) {
                return Err(StoreError::SourceChanged);
            }
            if read == 0 {
                self.stamp.check(self.source.file(), self.file.file())?;
                return Ok(Step::Done);
            }
            if !self.shared {
                self.write(offset, read)?;
            }
            if self.cancelled.is_cancelled() || self.inner.stopping.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            self.layer.push(&self.buffer.bytes()[..read]);
            self.since += read as u64;
            (self.progress)(self.layer.size());
            if self.is_due() {
                return Ok(Step::Due);
            }
        }
    }

    /// A file of the user's is his to mend, a clone of it is ours.
    fn unreadable(&self, error: io::Error) -> StoreError {
        let error = StoreError::io("read the file")(error);
        if self.shared {
            self.inner.faults.note(None, &error);
        }
        error
    }

    fn write(&mut self, offset: u64, len: usize) -> Result<(), StoreError> {
        let written = self.file.write_at(offset, &self.buffer.bytes()[..len]);
        written.map_err(|error| {
            let error = self.reservation.io("write the copy")(error);
            self.inner.faults.note(None, &error);
            error
        })?;
        self.reservation.wrote(len as u64);
        Ok(())
    }

    fn is_due(&self) -> bool {
        let every = self.inner.checkpoint_every;
        let much = self.since >= every.bytes.max(2 * GROUP) || self.saved_at.elapsed() >= every.time;
        much && self.may_save && !self.layer.closed().is_empty() && !self.saving.load(Ordering::Acquire)
    }

    /// Commits it, or keeps what may be kept.
    async fn end(
        mut self,
        inner: &Arc<Inner>,
        cut: Option<Cut>,
        purpose: Purpose,
        result: Result<(), StoreError>,
    ) -> Result<Imported, StoreError> {
        let mut cut = cut.filter(|cut| cut.durable);
        if let Err(error) = result {
            if self.lost || matches!(error, StoreError::SourceChanged) {
                self.reservation.keep(0);
                self.file.keep(false);
                if let Some(cut) = &mut cut {
                    cut.unkeep();
                    cut_imports::forget(inner, &cut.name, false).await?;
                }
            }
            return Err(error);
        }
        let whole = Whole {
            file: self.file,
            layer: self.layer.finish(),
            layer_file: None,
            reservation: self.reservation,
            origin: cut
                .as_ref()
                .map_or(Origin::New, |cut| Origin::CutImport(cut.name.clone())),
            purpose,
        };
        let done = commit(inner.clone(), whole).await?;
        if let Some(cut) = &mut cut {
            cut.unkeep();
        }
        Ok(done)
    }
}
