//! The store on a real folder: what comes in goes out the same, what is refused leaves nothing, and what a crash left
//! is gone after the next start.

mod crash;
mod cuts;
mod damage;
mod failing;
mod fetching;
mod holding;
mod importing;
mod invariants;
mod keeping;
mod kept;
mod locations;
mod power;
mod resuming;
mod scenarios;
mod world;

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use p2p_proto::{ContentHash, Visibility, rest::publications::Publication};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(super) use super::{layer::tests::data, *};
pub(super) use crate::user_file::UserFile;

pub(super) const GROUP_LEN: usize = GROUP as usize;

/// One byte around every threshold of the store: a group, a buffer.
pub(super) const SIZES: [usize; 11] = [
    0,
    1,
    16 * 1024,
    GROUP_LEN - 1,
    GROUP_LEN,
    GROUP_LEN + 1,
    BUFFER_LEN - 1,
    BUFFER_LEN,
    BUFFER_LEN + 1,
    2 * BUFFER_LEN + GROUP_LEN + 1,
    5 * BUFFER_LEN + 7,
];

/// A store in a folder of its own.
pub(super) struct Home {
    folder: TempDir,
}

impl Home {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("state/store")
    }

    pub(super) async fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(StoreConfig {
            path: self.path(),
            max_size: None,
            reserve_free: 0,
        })
        .await
    }

    pub(super) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub(super) async fn open_limited(&self, max_size: Option<u64>, reserve_free: u64) -> Store {
        Store::open(StoreConfig {
            path: self.path(),
            max_size,
            reserve_free,
        })
        .await
        .unwrap()
    }

    /// With checkpoints after so many bytes, and never by time.
    pub(super) async fn open_eager(&self, max_size: Option<u64>, bytes: u64) -> Store {
        let config = StoreConfig {
            path: self.path(),
            max_size,
            reserve_free: 0,
        };
        let time = std::time::Duration::MAX;
        Store::open_with(config, Sys::default(), CheckpointEvery { bytes, time })
            .await
            .unwrap()
    }

    /// What a daemon that is killed now would leave. Nothing may be written meanwhile.
    pub(super) fn killed(&self) -> Self {
        let copy = Self::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            fs::create_dir_all(copy.path().join(&folder)).unwrap();
            for entry in fs::read_dir(self.path().join(&folder)).unwrap() {
                let name = folder.join(entry.unwrap().file_name());
                if self.path().join(&name).is_dir() {
                    folders.push(name);
                } else {
                    fs::copy(self.path().join(&name), copy.path().join(&name)).unwrap();
                }
            }
        }
        copy
    }

    pub(super) fn layer_path(&self, hash: ContentHash) -> PathBuf {
        self.path()
            .join("layer")
            .join(&hash.to_string()[..2])
            .join(hash.to_string())
    }

    /// Files below `folder`, relative to the store.
    pub(super) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let found = files_below(&self.path().join(folder)).into_iter();
        found
            .map(|path| path.strip_prefix(self.path()).unwrap().to_owned())
            .collect()
    }

    pub(super) fn content_path(&self, hash: ContentHash) -> PathBuf {
        self.path()
            .join("content")
            .join(&hash.to_string()[..2])
            .join(hash.to_string())
    }
}

/// All files below a folder.
pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// Ends a store as a clean stop does.
pub(super) async fn stop(store: Store) {
    store.close().await;
}

/// Until nothing runs in the background.
pub(super) async fn settled(store: &Store) {
    store.inner.tasks.close();
    store.inner.tasks.wait().await;
    store.inner.tasks.reopen();
}

pub(super) fn layer_of(bytes: &[u8]) -> Layer {
    let mut builder = LayerBuilder::new();
    builder.push(bytes);
    builder.finish()
}

/// Writes group `index` of `bytes`.
pub(super) fn write_group(incoming: &Incoming, bytes: &[u8], index: usize) {
    let group = bytes.chunks(GROUP_LEN).nth(index).unwrap();
    assert!(incoming.write_piece(index as u64 * GROUP, group).unwrap());
}

pub(super) fn quiet() -> ProgressSink {
    Arc::new(|_| {})
}

/// Nobody cancels it.
pub(super) fn never() -> CancellationToken {
    CancellationToken::new()
}

/// A descriptor of a file with these bytes.
pub(super) fn passed(bytes: &[u8]) -> UserFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

/// An empty file, and a second descriptor of it to look into later.
pub(super) fn output() -> (UserFile, File) {
    let file = tempfile::tempfile().unwrap();
    (file.try_clone().unwrap().into(), file)
}

pub(super) fn bytes_of(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}

pub(super) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

pub(super) async fn import(store: &Store, bytes: &[u8]) -> Imported {
    store
        .import_file(passed(bytes), Purpose::Nothing, quiet(), &never())
        .await
        .unwrap()
}

pub(super) fn publication(id: u128, content: Imported) -> Publication {
    Publication {
        id: Uuid::from_u128(id),
        owner: "ana".parse().unwrap(),
        name: format!("file {id}").parse().unwrap(),
        version: 1,
        hash: content.hash,
        size: content.size,
        visibility: Visibility::Private,
        published_at: Timestamp::from_second(1_790_000_000).unwrap(),
    }
}

pub(super) async fn read_all(store: &Store, hash: ContentHash) -> Vec<u8> {
    let content = store.content(hash).await.unwrap().unwrap();
    let mut bytes = vec![0; content.size() as usize];
    content.read_at(0, &mut bytes).unwrap();
    bytes
}
