//! A peer's store as it lies on the disk, seen from outside.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::client::Listed;

/// Where a whole content lies.
pub(super) fn content(store: &Path, hash: &str) -> PathBuf {
    store.join("content").join(&hash[..2]).join(hash)
}

/// The files in a store that are neither named contents and layers nor its database and lock.
pub(super) fn unfinished(store: &Path) -> Vec<PathBuf> {
    let known = |name: &str| {
        name == "lock" || name.starts_with("metadata.db") || name == "content" || name == "layer"
    };
    let mut found = Vec::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if folder == store && entry.file_name().to_str().is_some_and(known) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found
}

/// The bytes of a file that were written: the space may have been taken before.
pub(super) fn written(path: &Path) -> u64 {
    let Ok(file) = fs::File::open(path) else {
        return 0;
    };
    let (mut at, mut sum) = (0, 0);
    while let Ok(begin) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
        let Ok(end) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(begin)) else {
            break;
        };
        sum += end - begin;
        at = end;
    }
    sum
}

/// Contents and layers that have their names and are not listed.
pub(super) fn strangers(store: &Path, listed: &Listed) -> Vec<PathBuf> {
    let hashes: BTreeSet<&str> = listed.values().map(|held| held.hash.as_str()).collect();
    let shards = ["content", "layer"].map(|kind| inside(&store.join(kind)));
    let mut files: Vec<PathBuf> = shards.iter().flatten().flat_map(|shard| inside(shard)).collect();
    files.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        !name.is_some_and(|name| hashes.contains(name))
    });
    files
}

/// What a folder has, itself and no deeper; nothing when there is no such folder.
pub(super) fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
