//! Reading: a content that is open. It owns its descriptor, so it reads on when the content was dropped meanwhile; it
//! changes nothing, so a crash is nothing to it.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use p2p_proto::ContentHash;

use super::{
    Store, blocking,
    disk::{Disk, Kind},
    error::StoreError,
    layer::Layer,
};

/// A complete content, open to read.
#[derive(Clone)]
pub struct Content(Arc<Opened>);

struct Opened {
    layer: Layer,
    file: File,
    /// Damage was found: nothing more of it is handed out.
    condemned: AtomicBool,
}

impl Content {
    /// What it is.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.0.layer.hash()
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.layer.size()
    }

    /// What its groups are checked with.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.0.layer
    }

    /// Reads exactly these bytes; blocks. They are what is on the disk: whoever takes them checks them.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end, `InvalidData` once damage was found, and the disk's. After one of these, or bytes
    /// that do not verify: [`Store::doubt`].
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.0.condemned.load(Ordering::Relaxed) {
            let source = "the stored copy is damaged";
            return Err(io::Error::new(io::ErrorKind::InvalidData, source));
        }
        self.0.file.read_exact_at(buf, offset)
    }

    pub(super) fn file(&self) -> &File {
        &self.0.file
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({}, {} bytes)", self.hash(), self.size())
    }
}

/// The contents that somebody has open, so that a second reader needs no second layer in memory.
#[derive(Default)]
pub(super) struct OpenContents(Mutex<HashMap<ContentHash, Weak<Opened>>>);

impl OpenContents {
    fn map(&self) -> MutexGuard<'_, HashMap<ContentHash, Weak<Opened>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, hash: ContentHash) -> Option<Content> {
        self.map().get(&hash).and_then(Weak::upgrade).map(Content)
    }

    /// The one that is open already when two open it at once: all who read it must be found by [`Self::condemn`].
    fn put(&self, content: Content) -> Content {
        let mut map = self.map();
        if let Some(first) = map.get(&content.hash()).and_then(Weak::upgrade) {
            return Content(first);
        }
        map.retain(|_, opened| opened.strong_count() > 0);
        map.insert(content.hash(), Arc::downgrade(&content.0));
        content
    }

    pub(super) fn forget(&self, hash: ContentHash) {
        self.map().remove(&hash);
    }

    /// Who has it open reads no more of it.
    pub(super) fn condemn(&self, hash: ContentHash) {
        if let Some(opened) = self.map().remove(&hash).and_then(|opened| opened.upgrade()) {
            opened.condemned.store(true, Ordering::Relaxed);
        }
    }
}

impl Store {
    /// Opens a complete content; None when it is not here, or is known to be damaged: then [`Store::begin`] goes on with
    /// what is good of it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file is gone or has another length, or its layer does not merge to the hash. That
    /// is then looked into, as after [`Store::doubt`].
    pub async fn content(&self, hash: ContentHash) -> Result<Option<Content>, StoreError> {
        let Some(size) = self.inner.metadata.size_of(hash).await? else {
            return Ok(None);
        };
        if let Some(content) = self.inner.open_contents.get(hash) {
            return Ok(Some(content));
        }
        let disk = self.inner.disk.clone();
        match blocking(move || open(&disk, hash, size)).await {
            Ok(content) => {
                let content = self.inner.open_contents.put(content);
                // Dropped, or found damaged, while it was opened?
                if self.inner.metadata.size_of(hash).await?.is_none() {
                    self.inner.open_contents.forget(hash);
                    return Ok(None);
                }
                Ok(Some(content))
            }
            // Dropped between the look into the database and the look into the folder?
            Err(StoreError::Damaged { .. }) if self.inner.metadata.size_of(hash).await?.is_none() => Ok(None),
            Err(error) => {
                if matches!(error, StoreError::Damaged { .. } | StoreError::Io { .. }) {
                    self.inner.faults.note(Some(hash), &error);
                    self.doubt(hash);
                }
                Err(error)
            }
        }
    }
}

fn open(disk: &Disk, hash: ContentHash, size: u64) -> Result<Content, StoreError> {
    let damaged = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Damaged { hash },
        _ => StoreError::Io {
            doing: "open a stored content",
            source: error,
        },
    };
    let file = disk.open_named(Kind::Content, hash).map_err(damaged)?;
    if file.metadata().map_err(damaged)?.len() != size {
        return Err(StoreError::Damaged { hash });
    }
    let layer = read_layer(disk, hash, size).map_err(damaged)?;
    let layer = layer.ok_or(StoreError::Damaged { hash })?;
    let condemned = AtomicBool::new(false);
    Ok(Content(Arc::new(Opened {
        layer,
        file,
        condemned,
    })))
}

/// The layer of a complete content; None when what is there is not it.
pub(super) fn read_layer(disk: &Disk, hash: ContentHash, size: u64) -> io::Result<Option<Layer>> {
    let count = Layer::group_count(size) as usize;
    let mut values = Vec::new();
    if count > 0 {
        let file = disk.open_named(Kind::Layer, hash)?;
        // The length is checked before memory is taken for it.
        if file.metadata()?.len() != count as u64 * 32 {
            return Ok(None);
        }
        values = vec![[0; 32]; count];
        if disk.sys().read_full(&file, 0, values.as_flattened_mut())? != count * 32 {
            return Ok(None);
        }
    }
    Ok(Layer::from_values(hash, size, values).ok())
}
