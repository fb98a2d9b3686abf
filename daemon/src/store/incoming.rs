//! The way in for bytes from other peers. A piece is written only when the layer says that it is the content's, so what
//! is in the file is good or zero. Owns the file in `partial/` and the bitmap of groups that were written; a crash leaves
//! the last checkpoint (see `checkpoint`), and without one nothing that the next start keeps.

use std::{
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use p2p_proto::ContentHash;
use tokio::sync::Semaphore;

use super::{
    Inner, Store,
    checkpoint::Since,
    claims::FetchGuard,
    commit::{Origin, Purpose, Whole, commit},
    disk::TempFile,
    error::{StoreError, is_full},
    groups::Groups,
    layer::{GROUP, Layer},
    partials,
    space::Reservation,
    users::{Target, calling},
};
use crate::user_file::{Turn, UserFile};

/// A content that is being fetched. Clones are handles to one; with the last of them all is gone that came after the last
/// checkpoint and was not committed.
#[derive(Clone)]
pub struct Incoming {
    /// Away when the last handle is, though a checkpoint may still run; and before the guard in `shared`.
    _user: Arc<User>,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    /// What was here when this fetch began: verified by whoever wrote it, and not looked at since.
    resumed: Groups,
    /// Also the file of `stored`, so that reading goes on after the commit.
    pub(super) target: Target,
    pub(super) layer: OnceLock<Layer>,
    pub(super) state: Mutex<State>,
    /// A checkpoint or the commit, one at a time.
    pub(super) turn: Semaphore,
    /// After the files, so that nobody begins while they go; before the store, whose lock is on the folder.
    _fetching: Option<FetchGuard>,
    pub(super) store: Store,
}

pub(super) struct State {
    pub(super) verified: Groups,
    pub(super) stage: Stage,
    /// None for a user's file, and once a commit has it.
    pub(super) stored: Option<Stored>,
    pub(super) since: Since,
}

pub(super) enum Stage {
    /// Takes pieces.
    Open,
    /// A commit runs.
    Committing,
    /// All is durable.
    Done,
    /// A write or an fsync failed.
    Poisoned,
}

/// The files of a fetch into the store, and their room.
pub(super) struct Stored {
    pub(super) file: TempFile,
    /// Durable. None before the first checkpoint, and for a content of one group.
    pub(super) layer_file: Option<TempFile>,
    pub(super) reservation: Reservation,
    /// There is a row.
    pub(super) durable: bool,
}

impl Stored {
    /// Nothing of it may be believed: the row goes, then the files.
    pub(super) async fn give_up(mut self, inner: &Arc<Inner>, hash: ContentHash) {
        self.reservation.keep(0);
        if self.durable
            && let Err(error) = partials::forget(inner, hash, false).await
        {
            tracing::warn!(%error, CONTENT_HASH = %hash, "a partial that is not to be believed stays in the metadata");
        }
        // A row that stayed finds no file, and is forgotten for that.
        self.file.keep(false);
        if let Some(file) = &mut self.layer_file {
            file.keep(false);
        }
    }
}

struct User(Option<(Store, ContentHash)>);

impl Drop for User {
    fn drop(&mut self) {
        if let Some((store, hash)) = &self.0 {
            store.inner.fetching.leave(*hash);
        }
    }
}

/// The state is changed in single steps, so a panic elsewhere does not spoil it.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Incoming {
    pub(super) fn new(
        store: Store,
        hash: ContentHash,
        size: u64,
        target: Target,
        stored: Option<Stored>,
        fetching: Option<FetchGuard>,
        known: Option<(Layer, Groups)>,
    ) -> Self {
        let layer = OnceLock::new();
        let mut verified = Groups::new(size);
        if let Some((known, groups)) = known {
            layer.get_or_init(|| known);
            verified = groups;
        }
        // A content of one group is checked by its hash alone.
        if let Ok(whole) = Layer::from_values(hash, size, Vec::new()) {
            layer.get_or_init(|| whole);
        }
        // Of an empty content nothing has to come; it is complete if it is the one.
        if size == 0 && hash == ContentHash::of(&[]) {
            verified.add(0, 0);
        }
        let user = User(fetching.is_some().then(|| (store.clone(), hash)));
        let shared = Shared {
            hash,
            size,
            resumed: verified.clone(),
            target,
            layer,
            state: Mutex::new(State {
                verified,
                stage: Stage::Open,
                stored,
                since: Since::new(),
            }),
            turn: Semaphore::new(1),
            _fetching: fetching,
            store,
        };
        Self {
            _user: Arc::new(user),
            shared: Arc::new(shared),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// What is being fetched.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.shared.hash
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.size
    }

    /// Bytes of it that were here when this fetch began.
    #[must_use]
    pub fn resumed_bytes(&self) -> u64 {
        self.shared.resumed.bytes()
    }

    /// Whether all these bytes are in groups that are here; false past the end.
    #[must_use]
    pub fn has(&self, offset: u64, len: u64) -> bool {
        self.state().verified.has(offset, len)
    }

    /// The layer, once it is known; at once when an earlier fetch knew it.
    #[must_use]
    pub fn layer(&self) -> Option<&Layer> {
        self.shared.layer.get()
    }

    /// Says how pieces are verified: once, before the first one. A content of one group needs none, nor does a fetch that
    /// goes on.
    ///
    /// # Errors
    /// [`StoreError::WrongLayer`] for another content's, and for a second one.
    pub fn set_layer(&self, layer: Layer) -> Result<(), StoreError> {
        if layer.hash() != self.shared.hash || layer.size() != self.shared.size {
            return Err(StoreError::WrongLayer);
        }
        self.shared.layer.set(layer).map_err(|_| StoreError::WrongLayer)
    }

    /// What one call of [`Self::write_piece`] needs when the bytes go into a user's file, for as long as it lasts.
    pub async fn turn(&self) -> Option<Turn> {
        match self.shared.target.users() {
            Some(file) => Some(file.turn().await),
            None => None,
        }
    }

    /// The user's file that the bytes go into has answered nothing for 5 s.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.shared.target.users().is_some_and(UserFile::hangs)
    }

    /// Verifies the bytes (whole groups, as in [`Layer::verify`]) and writes them at `offset` with one `pwrite`; blocks.
    /// False when they are not the content's: then nothing was written. A piece that is there already is not written
    /// again. Begins a checkpoint when it is time for one, and does not wait for it.
    ///
    /// # Errors
    /// [`StoreError::NoLayer`]; [`StoreError::Poisoned`] after an earlier failure; those of the disk.
    pub fn write_piece(&self, offset: u64, bytes: &[u8]) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let layer = shared.layer.get().ok_or(StoreError::NoLayer)?;
        if !layer.verify(offset, bytes) {
            return Ok(false);
        }
        {
            let state = self.state();
            if matches!(state.stage, Stage::Poisoned) {
                return Err(StoreError::Poisoned);
            }
            if state.verified.has(offset, bytes.len() as u64) {
                return Ok(true);
            }
        }
        let inner = &shared.store.inner;
        let written = inner.disk.sys().write_at(shared.target.file(), offset, bytes);
        if let Err(error) = written {
            return Err(self.write_failed(error));
        }
        {
            let mut state = self.state();
            state.verified.add(offset, bytes.len() as u64);
            if let Some(stored) = &mut state.stored {
                stored.reservation.wrote(bytes.len() as u64);
            }
        }
        shared.came(bytes.len() as u64);
        Ok(true)
    }

    /// This fetch is over; its last checkpoint is not touched by what was not written.
    fn write_failed(&self, error: io::Error) -> StoreError {
        let (inner, needed) = (&self.shared.store.inner, self.shared.size);
        let stored = {
            let mut state = self.state();
            state.stage = Stage::Poisoned;
            state.stored.is_some()
        };
        if !stored {
            return match is_full(&error) {
                true => StoreError::OutputFull { needed, usable: 0 },
                false => StoreError::io("write a piece")(error),
            };
        }
        let failure = inner.space.io(needed, "write a piece")(error);
        inner.faults.note(Some(self.shared.hash), &failure);
        failure
    }

    /// Reads exactly these bytes; blocks.
    ///
    /// # Errors
    /// `InvalidInput` when one of them was not verified yet; the disk's.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if !self.state().verified.has(offset, buf.len() as u64) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "these bytes are not here yet",
            ));
        }
        self.shared.target.file().read_exact_at(buf, offset)
    }

    /// The same for bytes that leave the store: what an earlier fetch had brought is verified again. Blocks.
    ///
    /// # Errors
    /// As [`Self::read_at`]; `InvalidData` when they are not the content's any more: then this fetch is over, and nothing
    /// of it is believed.
    pub fn read_sound(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, buf)?;
        let (shared, end) = (&self.shared, offset + buf.len() as u64);
        for group in (offset / GROUP * GROUP..end).step_by(GROUP as usize) {
            if !shared.resumed.has(group, 1) {
                continue;
            }
            let mut whole = vec![0; (shared.size - group).min(GROUP) as usize];
            self.read_at(group, &mut whole)?;
            let layer = shared.layer.get();
            if !layer.is_some_and(|layer| layer.verify(group, &whole)) {
                self.rotten(group);
                let source = "the part that was kept is damaged";
                return Err(io::Error::new(io::ErrorKind::InvalidData, source));
            }
            // What is handed out is what was verified.
            let (from, to) = (offset.max(group), end.min(group + whole.len() as u64));
            let sound = &whole[(from - group) as usize..(to - group) as usize];
            buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(sound);
        }
        Ok(())
    }

    /// A kept group is not what it was.
    fn rotten(&self, group: u64) {
        let (inner, hash) = (&self.shared.store.inner, self.shared.hash);
        let what = format!("what was kept of {hash} is damaged at byte {group}");
        tracing::error!(CONTENT_HASH = %hash, "{what}");
        inner.faults.add(Some(hash), what);
        let stored = {
            let mut state = self.state();
            if matches!(state.stage, Stage::Open) {
                state.stage = Stage::Poisoned;
                state.stored.take()
            } else {
                None
            }
        };
        match stored {
            Some(stored) => {
                let giving_up = inner.clone();
                let task = async move { stored.give_up(&giving_up, hash).await };
                inner.tasks.spawn_on(task, &inner.runtime);
            }
            // It is whole, or about to be.
            None => self.shared.store.doubt(hash),
        }
    }

    /// Makes the content durable and, in the store, registers it with what it is for. When it was damaged, it is healed:
    /// its holds are complete again. Again, when it succeeded, is harmless and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`], and the fetch goes on; [`StoreError::Busy`] while another commits; any other one
    /// ends this fetch.
    pub async fn commit(&self, purpose: Purpose) -> Result<(), StoreError> {
        {
            let mut state = self.state();
            match state.stage {
                Stage::Done => return Ok(()),
                Stage::Poisoned => return Err(StoreError::Poisoned),
                Stage::Committing => {
                    return Err(StoreError::Busy {
                        hash: self.shared.hash,
                    });
                }
                Stage::Open => {}
            }
            match state.verified.missing() {
                0 => state.stage = Stage::Committing,
                missing => return Err(StoreError::Incomplete { missing }),
            }
        }
        let shared = self.shared.clone();
        self.shared
            .store
            .finish(async move {
                let result = shared.make_durable(purpose).await;
                lock(&shared.state).stage = match result {
                    Ok(()) => Stage::Done,
                    Err(_) => Stage::Poisoned,
                };
                result
            })
            .await
    }
}

impl Shared {
    async fn make_durable(self: &Arc<Self>, purpose: Purpose) -> Result<(), StoreError> {
        let _turn = self.turn.acquire().await.map_err(|_| StoreError::Stopped)?;
        let stored = {
            let mut state = lock(&self.state);
            // A checkpoint that still ran may have failed.
            if matches!(state.stage, Stage::Poisoned) {
                return Err(StoreError::Poisoned);
            }
            state.stored.take()
        };
        let Some(stored) = stored else {
            let Some(output) = self.target.users() else {
                return Err(StoreError::Poisoned);
            };
            let shared = self.clone();
            return calling(&self.store.inner, output, move || shared.sync_output()).await;
        };
        let whole = Whole {
            file: stored.file,
            layer: self.layer.get().cloned().ok_or(StoreError::NoLayer)?,
            layer_file: stored.layer_file,
            reservation: stored.reservation,
            origin: Origin::Fetch,
            purpose,
        };
        commit(self.store.inner.clone(), whole).await.map(drop)
    }

    fn sync_output(&self) -> Result<(), StoreError> {
        let synced = self.store.inner.disk.sys().sync_file(self.target.file());
        synced.map_err(|error| match is_full(&error) {
            true => StoreError::OutputFull {
                needed: self.size,
                usable: 0,
            },
            false => StoreError::Io {
                doing: "make the output durable",
                source: error,
            },
        })
    }
}
