//! The way in for bytes from other peers. A piece is written only when the layer says that it is the content's, so what
//! is in the file is good or zero. Owns the temporary file and the bitmap of groups that were written; a crash leaves the
//! file in `tmp/`, and the fetch begins anew.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use p2p_proto::ContentHash;

use super::{
    Store, blocking,
    claims::FetchGuard,
    commit::{Whole, commit},
    disk::{TempFile, free_bytes},
    error::{StoreError, is_full},
    groups::Groups,
    layer::Layer,
    space::Reservation,
    sys::Sys,
};

/// A content that is being fetched. Clones are handles to one; with the last of them all is gone that was not committed.
#[derive(Clone)]
pub struct Incoming(Arc<Shared>);

struct Shared {
    store: Store,
    hash: ContentHash,
    size: u64,
    /// Also the file of `target`, so that reading goes on after the commit.
    file: File,
    layer: OnceLock<Layer>,
    state: Mutex<State>,
    _fetching: Option<FetchGuard>,
}

struct State {
    verified: Groups,
    stage: Stage,
}

enum Stage {
    /// Takes pieces, into the store.
    Stored {
        file: TempFile,
        reservation: Reservation,
    },
    /// Takes pieces, into a file that the user passed.
    Passed,
    /// A commit runs.
    Committing,
    /// All is durable.
    Done,
    /// A write or an fsync failed.
    Poisoned,
}

impl Store {
    /// Takes `size` bytes of room and begins to fetch a content into the store.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while it is fetched already; [`StoreError::NoSpace`] before the first byte.
    pub async fn begin(&self, hash: ContentHash, size: u64) -> Result<Incoming, StoreError> {
        let guard = self.inner.fetching.begin(hash).ok_or(StoreError::Busy { hash })?;
        let store = self.clone();
        blocking(move || {
            let mut reservation = Reservation::new(store.inner.space.clone());
            reservation.promise(size)?;
            reservation.claim_disk(size)?;
            let file = store
                .inner
                .disk
                .create_temporary()
                .map_err(reservation.io("make a temporary file"))?;
            match store.inner.disk.sys().allocate(file.file(), size) {
                Ok(true) => reservation.wrote(size),
                Ok(false) => {}
                Err(error) if is_full(&error) => return Err(reservation.full()),
                Err(error) => {
                    return Err(StoreError::Io {
                        doing: "take the space",
                        source: error,
                    });
                }
            }
            let handle = file
                .file()
                .try_clone()
                .map_err(StoreError::io("open the file twice"))?;
            let stage = Stage::Stored { file, reservation };
            Ok(Incoming::new(store, hash, size, handle, stage, Some(guard)))
        })
        .await
    }

    /// Begins to fetch a content into an empty regular file that the user passed: it takes no room in the store and
    /// never becomes part of it. Blocks for as long as it takes to claim the space there.
    ///
    /// # Errors
    /// [`StoreError::NotRegular`], [`StoreError::NotEmpty`], [`StoreError::OutputFull`].
    pub fn begin_into(&self, hash: ContentHash, size: u64, file: OwnedFd) -> Result<Incoming, StoreError> {
        let file = File::from(file);
        super::export::check_target(&file)?;
        let usable = free_bytes(&file).map_err(StoreError::io("measure the free space of the output"))?;
        let full = StoreError::OutputFull { needed: size, usable };
        if size > usable {
            return Err(full);
        }
        match self.inner.disk.sys().allocate(&file, size) {
            Ok(_) => {}
            Err(error) if is_full(&error) => return Err(full),
            Err(error) => {
                return Err(StoreError::Io {
                    doing: "take the space of the output",
                    source: error,
                });
            }
        }
        Ok(Incoming::new(self.clone(), hash, size, file, Stage::Passed, None))
    }
}

impl Incoming {
    fn new(
        store: Store,
        hash: ContentHash,
        size: u64,
        file: File,
        stage: Stage,
        fetching: Option<FetchGuard>,
    ) -> Self {
        let layer = OnceLock::new();
        // A content of one group is checked by its hash alone.
        if let Ok(whole) = Layer::from_values(hash, size, Vec::new()) {
            layer.get_or_init(|| whole);
        }
        let mut verified = Groups::new(size);
        // Of an empty content nothing has to come; it is complete if it is the one.
        if size == 0 && hash == ContentHash::of(&[]) {
            verified.add(0, 0);
        }
        let state = Mutex::new(State { verified, stage });
        Self(Arc::new(Shared {
            store,
            hash,
            size,
            file,
            layer,
            state,
            _fetching: fetching,
        }))
    }

    fn sys(&self) -> &Sys {
        self.0.store.inner.disk.sys()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is changed in single steps, so a panic elsewhere does not spoil it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being fetched.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.0.hash
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The layer, once it is known.
    #[must_use]
    pub fn layer(&self) -> Option<&Layer> {
        self.0.layer.get()
    }

    /// Says how pieces are verified: once, before the first one. A content of one group needs none.
    ///
    /// # Errors
    /// [`StoreError::WrongLayer`] for another content's, and for a second one.
    pub fn set_layer(&self, layer: Layer) -> Result<(), StoreError> {
        if layer.hash() != self.0.hash || layer.size() != self.0.size {
            return Err(StoreError::WrongLayer);
        }
        self.0.layer.set(layer).map_err(|_| StoreError::WrongLayer)
    }

    /// Verifies the bytes (whole groups, as in [`Layer::verify`]) and writes them at `offset` with one `pwrite`; blocks.
    /// False when they are not the content's: then nothing was written. A piece that is there already is not written
    /// again.
    ///
    /// # Errors
    /// [`StoreError::NoLayer`]; [`StoreError::Poisoned`] after an earlier failure; those of the disk.
    pub fn write_piece(&self, offset: u64, bytes: &[u8]) -> Result<bool, StoreError> {
        let layer = self.0.layer.get().ok_or(StoreError::NoLayer)?;
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
        let written = self.sys().write_at(&self.0.file, offset, bytes);
        let mut state = self.state();
        match written {
            Ok(()) => {
                state.verified.add(offset, bytes.len() as u64);
                if let Stage::Stored { reservation, .. } = &mut state.stage {
                    reservation.wrote(bytes.len() as u64);
                }
                Ok(true)
            }
            Err(error) => {
                let full = is_full(&error);
                let store_full = self.0.store.inner.space.full(self.0.size);
                let stage = std::mem::replace(&mut state.stage, Stage::Poisoned);
                Err(match stage {
                    Stage::Stored { .. } if full => store_full,
                    Stage::Passed if full => StoreError::OutputFull {
                        needed: self.0.size,
                        usable: 0,
                    },
                    _ => StoreError::Io {
                        doing: "write a piece",
                        source: error,
                    },
                })
            }
        }
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
        self.0.file.read_exact_at(buf, offset)
    }

    /// Makes the content durable and, in the store, registers it; its bringer then has a claim on it as after an import.
    /// Again, when it succeeded, is harmless.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`], and the fetch goes on; [`StoreError::Busy`] while another commits; any other one
    /// ends this fetch.
    pub async fn commit(&self) -> Result<(), StoreError> {
        let stage = {
            let mut state = self.state();
            match state.stage {
                Stage::Done => return Ok(()),
                Stage::Poisoned => return Err(StoreError::Poisoned),
                Stage::Committing => return Err(StoreError::Busy { hash: self.0.hash }),
                Stage::Stored { .. } | Stage::Passed => {}
            }
            match state.verified.missing() {
                0 => std::mem::replace(&mut state.stage, Stage::Committing),
                missing => return Err(StoreError::Incomplete { missing }),
            }
        };
        let this = self.clone();
        self.0
            .store
            .finish(async move {
                let result = this.make_durable(stage).await;
                this.state().stage = if result.is_ok() {
                    Stage::Done
                } else {
                    Stage::Poisoned
                };
                result
            })
            .await
    }

    async fn make_durable(&self, stage: Stage) -> Result<(), StoreError> {
        match stage {
            Stage::Stored { file, reservation } => {
                let layer = self.0.layer.get().cloned().ok_or(StoreError::NoLayer)?;
                commit(
                    self.0.store.inner.clone(),
                    Whole {
                        file,
                        layer,
                        reservation,
                    },
                )
                .await
                .map(drop)
            }
            _ => {
                let this = self.clone();
                blocking(move || {
                    this.sys()
                        .sync_file(&this.0.file)
                        .map_err(|error| match is_full(&error) {
                            true => StoreError::OutputFull {
                                needed: this.0.size,
                                usable: 0,
                            },
                            false => StoreError::Io {
                                doing: "make the output durable",
                                source: error,
                            },
                        })
                })
                .await
            }
        }
    }
}
