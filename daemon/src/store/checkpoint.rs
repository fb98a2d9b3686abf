//! Checkpoints of a fetch: the data is fsynced, the layer made durable once, and then one transaction says which groups
//! are there. A crash at any instant leaves the checkpoint before it, whole. Only groups that were written before the
//! fsync began are in it.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::Connection;

use super::{
    blocking,
    disk::TempFile,
    error::StoreError,
    groups::Groups,
    incoming::{Incoming, Shared, Stage, lock},
    layer::Layer,
    partial_files::layer_name,
    partials,
};

/// When work that goes on is made durable: after so many bytes or so long, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckpointEvery {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

impl Default for CheckpointEvery {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            time: Duration::from_secs(1),
        }
    }
}

/// What came since the last checkpoint.
pub(super) struct Since {
    at: Instant,
    bytes: u64,
    running: bool,
}

impl Since {
    pub(super) fn new() -> Self {
        Self {
            at: Instant::now(),
            bytes: 0,
            running: false,
        }
    }
}

impl Incoming {
    /// Makes durable what has come: a fetch that begins after this, also after a crash, goes on from here. The content's
    /// own file only; nothing happens for one that goes into a user's file, or when nothing new came.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] after an earlier failure. When the fsync fails, this fetch is over and all of its partial
    /// is removed; when the metadata fails, the fetch goes on and the last checkpoint counts.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        self.shared
            .store
            .finish(async move { checkpoint(&shared).await })
            .await
    }
}

impl Incoming {
    /// Begins a checkpoint when something came that has waited long enough for one: for when no more comes that would.
    pub fn checkpoint_when_due(&self) {
        let waits = lock(&self.shared.state).since.bytes > 0;
        if waits {
            self.shared.came(0);
        }
    }
}

impl Shared {
    /// A piece was written: begins a checkpoint when it is time for one and none runs.
    pub(super) fn came(self: &Arc<Self>, bytes: u64) {
        let every = self.store.inner.checkpoint_every;
        let mut state = lock(&self.state);
        let open = matches!(state.stage, Stage::Open) && state.stored.is_some();
        let since = &mut state.since;
        since.bytes += bytes;
        let due = since.bytes >= every.bytes || since.at.elapsed() >= every.time;
        if !open || !due || since.running {
            return;
        }
        since.running = true;
        drop(state);
        let shared = self.clone();
        let inner = &self.store.inner;
        let task = async move {
            if let Err(error) = checkpoint(&shared).await {
                tracing::warn!(%error, CONTENT_HASH = %shared.hash, "no checkpoint of a fetch");
            }
            lock(&shared.state).since.running = false;
        };
        inner.tasks.spawn_on(task, &inner.runtime);
    }
}

/// One at a time; never beside a commit.
async fn checkpoint(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let _turn = shared.turn.acquire().await.map_err(|_| StoreError::Stopped)?;
    let Some(layer) = shared.layer.get() else {
        return Ok(());
    };
    let (groups, first, came) = {
        let mut state = lock(&shared.state);
        match state.stage {
            Stage::Open => {}
            Stage::Poisoned => return Err(StoreError::Poisoned),
            Stage::Committing | Stage::Done => return Ok(()),
        }
        let Some(stored) = &state.stored else {
            return Ok(());
        };
        let first = !stored.durable;
        if state.since.bytes == 0 && !first {
            return Ok(());
        }
        state.since.at = Instant::now();
        (
            state.verified.clone(),
            first,
            std::mem::take(&mut state.since.bytes),
        )
    };
    let again = |error| {
        lock(&shared.state).since.bytes += came;
        error
    };
    let named = |error| shared.store.inner.space.named(error, shared.size);
    let mut layer_file = match make_durable(shared, layer, first).await {
        Ok(file) => file,
        Err(Failed { error, lost: true }) => {
            poison(shared, &error).await;
            return Err(named(error));
        }
        Err(Failed { error, lost: false }) => {
            let error = named(error);
            shared.store.inner.faults.note(Some(shared.hash), &error);
            return Err(again(error));
        }
    };
    record(shared, &groups).await.map_err(again)?;
    let mut state = lock(&shared.state);
    if let Some(stored) = &mut state.stored {
        stored.durable = true;
        stored.file.keep(true);
        if let Some(file) = &mut layer_file {
            file.keep(true);
            stored.layer_file = layer_file;
        }
        stored.reservation.keep(shared.size);
    }
    Ok(())
}

/// The row, whose groups are durable.
async fn record(shared: &Shared, groups: &Groups) -> Result<(), StoreError> {
    let inner = &shared.store.inner;
    let mut writer = inner.metadata.writer().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    partials::put(&mut tx, shared.hash, shared.size, groups).await?;
    inner.before_commit()?;
    tx.commit().await?;
    Ok(())
}

/// Why something was not made durable.
pub(super) struct Failed {
    pub(super) error: StoreError,
    /// An fsync failed: of what was written since the start nothing is known.
    pub(super) lost: bool,
}

impl Failed {
    /// For `map_err`: an fsync failed.
    pub(super) fn sync(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self {
            error: StoreError::Io { doing, source },
            lost: true,
        }
    }

    /// For `map_err`: something else did.
    pub(super) fn other(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self {
            error: StoreError::Io { doing, source },
            lost: false,
        }
    }
}

/// [`blocking`], with this error.
pub(super) async fn blocking_or_failed<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    let done = blocking(move || Ok(work())).await;
    done.unwrap_or_else(|error| Err(Failed { error, lost: false }))
}

/// The data, and the first time the layer and both names. The layer's file, if it was made.
async fn make_durable(shared: &Arc<Shared>, layer: &Layer, first: bool) -> Result<Option<TempFile>, Failed> {
    let layer = first.then(|| layer.clone());
    let shared = shared.clone();
    blocking_or_failed(move || {
        let disk = &shared.store.inner.disk;
        let synced = disk.sys().sync_file(shared.target.file());
        synced.map_err(Failed::sync("make a checkpoint durable"))?;
        let Some(layer) = layer else { return Ok(None) };
        let mut written = None;
        if !layer.values().is_empty() {
            let name = layer_name(&shared.hash.to_string());
            let file = disk.create_partial(&name);
            let file = file.map_err(Failed::other("make the layer's file"))?;
            file.write_at(0, layer.values().as_flattened())
                .map_err(Failed::other("write the layer"))?;
            file.sync().map_err(Failed::sync("make the layer durable"))?;
            written = Some(file);
        }
        disk.sync_partials()
            .map_err(Failed::sync("make a checkpoint's name durable"))?;
        Ok(written)
    })
    .await
}

/// An fsync failed: what of the partial is on the disk is not known, so all of it goes.
async fn poison(shared: &Arc<Shared>, error: &StoreError) {
    let inner = &shared.store.inner;
    inner.faults.note(Some(shared.hash), error);
    let stored = {
        let mut state = lock(&shared.state);
        state.stage = Stage::Poisoned;
        state.stored.take()
    };
    if let Some(stored) = stored {
        stored.give_up(inner, shared.hash).await;
    }
}
