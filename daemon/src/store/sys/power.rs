//! What a disk holds after the power was lost. Of each file that is, for certain, its bytes as of its last fsync; of
//! each folder its names as of that folder's last fsync. Whatever came later may be there or not, each for itself:
//! the variants are the two ends of that and seeded mixtures. Test builds only.
//!
//! A rename counts as two changes, one per folder, and may leave both names: that is harsher than journaling file systems
//! are. As with those, it never leaves a file with neither.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use super::faults::{Effect, Inode, Journal, Sys};

const PAGE: usize = 4096;

/// What became of that which was not fsynced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Variant {
    /// Neither names nor bytes are there.
    Lost,
    /// The names are there and the files have their lengths, but in place of the bytes are zeros.
    NamesKept,
    /// The names are there and the files have the lengths that were fsynced: 0, if none.
    NamesKeptShort,
    /// Each name, each length and each page of 4 KiB is there or not.
    Mixed(u64),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Entry {
    File(Inode),
    Folder,
}

#[derive(Default)]
struct Folder {
    durable: BTreeMap<PathBuf, Entry>,
    now: BTreeMap<PathBuf, Entry>,
    /// Files' names whose change an fsync failed to write: no later one does.
    lost: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct Bytes {
    durable: Vec<u8>,
    now: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Pages that an fsync failed to write: no later one does, unless they are written again.
    lost: BTreeSet<usize>,
}

/// All of it.
struct Model {
    folders: BTreeMap<PathBuf, Folder>,
    files: Vec<Bytes>,
}

/// What is there when the power is back.
#[derive(Hash)]
pub(in crate::store) struct Image {
    /// By path; None for a folder. A folder comes before what is in it.
    entries: BTreeMap<PathBuf, Option<Vec<u8>>>,
    /// The files that users passed, in the order of their coming.
    pub(in crate::store) passed: Vec<Vec<u8>>,
}

impl Sys {
    /// The disk after a loss of power just before the operation `point`; `ignored` is the index of an fsync that did
    /// nothing.
    pub(in crate::store) fn lose_power(
        &self,
        point: usize,
        variant: Variant,
        ignored: Option<usize>,
    ) -> Image {
        let journal = self.journal();
        let model = Model::of(&journal, point, ignored);
        let mut names = BTreeMap::new();
        model.collect(&mut names, Path::new(""), variant);
        model.keep_renamed(&mut names);
        let entries = names.into_iter().map(|(path, entry)| match entry {
            Entry::File(inode) => (path, Some(model.bytes(inode, variant))),
            Entry::Folder => (path, None),
        });
        let mut entries: BTreeMap<_, _> = entries.collect();
        if entries.contains_key(&journal.store) {
            for (name, bytes) in journal.steps[point].database.iter() {
                entries.insert(journal.store.join(name), Some(bytes.clone()));
            }
        }
        let passed = (0..model.files.len()).filter(|&inode| journal.inodes[inode].is_none());
        Image {
            passed: passed.map(|inode| model.bytes(inode, variant)).collect(),
            entries,
        }
    }
}

impl Image {
    /// Its folders.
    pub(in crate::store) fn folders(&self) -> BTreeSet<PathBuf> {
        let folders = self.entries.iter().filter(|entry| entry.1.is_none());
        folders.map(|entry| entry.0.clone()).collect()
    }

    /// Its files.
    pub(in crate::store) fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        let files = self.entries.iter();
        files.filter_map(|(path, bytes)| Some((path.as_path(), bytes.as_deref()?)))
    }
}

impl Model {
    fn of(journal: &Journal, point: usize, ignored: Option<usize>) -> Self {
        let files = journal.inodes.iter().map(|_| Bytes::default()).collect();
        let folders = BTreeMap::from([(PathBuf::new(), Folder::default())]);
        let mut model = Self { folders, files };
        for (index, step) in journal.steps[..point].iter().enumerate() {
            if ignored != Some(index) {
                model.apply(&step.effect);
            }
        }
        model
    }

    fn parent(&mut self, path: &Path) -> &mut Folder {
        let parent = path.parent().expect("below the base");
        self.folders.get_mut(parent).expect("a folder that was made")
    }

    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Created(path, inode) => self.parent(path).set(path, Some(Entry::File(*inode))),
            Effect::Folder(path) => {
                self.parent(path).set(path, Some(Entry::Folder));
                self.folders.entry(path.clone()).or_default();
            }
            Effect::Renamed(from, to) => {
                let entry = self.parent(from).now.get(from).copied();
                self.parent(from).set(from, None);
                self.parent(to).set(to, entry);
            }
            Effect::Removed(path) => self.parent(path).set(path, None),
            Effect::FolderSynced(path) => {
                if let Some(folder) = self.folders.get_mut(path) {
                    folder.sync();
                }
            }
            Effect::FolderLost(path) => {
                if let Some(folder) = self.folders.get_mut(path) {
                    folder.lose();
                }
            }
            Effect::FileSynced(inode) => self.files[*inode].sync(),
            Effect::Lost(inode) => {
                let file = &mut self.files[*inode];
                file.lost.append(&mut file.dirty);
            }
            Effect::Wrote(inode, offset, bytes) => self.files[*inode].write(*offset as usize, bytes),
            Effect::Grown(inode, size) => {
                let now = &mut self.files[*inode].now;
                now.resize(now.len().max(*size as usize), 0);
            }
            Effect::Length(inode, size) => self.files[*inode].now.resize(*size as usize, 0),
        }
    }

    fn collect(&self, into: &mut BTreeMap<PathBuf, Entry>, folder: &Path, variant: Variant) {
        for (path, entry) in self.folders[folder].entries(variant) {
            if entry == Entry::Folder {
                self.collect(into, &path, variant);
            }
            into.insert(path, entry);
        }
    }

    /// A file that has a name and had one durably is under one of them.
    fn keep_renamed(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        let present: BTreeSet<_> = names.values().copied().collect();
        let named: BTreeSet<_> = self
            .folders
            .values()
            .flat_map(|folder| folder.now.values())
            .collect();
        for (at, folder) in &self.folders {
            if !at.as_os_str().is_empty() && !names.contains_key(at) {
                continue;
            }
            for (path, entry) in &folder.durable {
                if *entry != Entry::Folder && !present.contains(entry) && named.contains(entry) {
                    names.entry(path.clone()).or_insert(*entry);
                }
            }
        }
    }

    fn bytes(&self, inode: Inode, variant: Variant) -> Vec<u8> {
        let file = &self.files[inode];
        let kept = |what: usize| matches!(variant, Variant::Mixed(seed) if toss((seed, inode, what)));
        let mut bytes = file.durable.clone();
        if variant == Variant::NamesKept || kept(usize::MAX) {
            bytes.resize(file.now.len(), 0);
        }
        for &page in file.dirty.iter().filter(|&&page| kept(page)) {
            let range = page * PAGE..((page + 1) * PAGE).min(bytes.len()).min(file.now.len());
            if !range.is_empty() {
                bytes[range.clone()].copy_from_slice(&file.now[range]);
            }
        }
        bytes
    }
}

impl Folder {
    fn set(&mut self, path: &Path, entry: Option<Entry>) {
        self.lost.remove(path);
        match entry {
            Some(entry) => self.now.insert(path.to_owned(), entry),
            None => self.now.remove(path),
        };
    }

    fn sync(&mut self) {
        let paths: BTreeSet<_> = self.durable.keys().chain(self.now.keys()).cloned().collect();
        for path in paths.difference(&self.lost) {
            match self.now.get(path) {
                Some(&entry) => self.durable.insert(path.clone(), entry),
                None => self.durable.remove(path),
            };
        }
    }

    fn lose(&mut self) {
        let paths: BTreeSet<_> = self.durable.keys().chain(self.now.keys()).cloned().collect();
        let changed = |path: &PathBuf| self.durable.get(path) != self.now.get(path);
        // Folders are made once and fsynced at every start.
        let files = |path: &PathBuf| self.now.get(path) != Some(&Entry::Folder);
        let lost = paths.into_iter().filter(|path| changed(path) && files(path));
        self.lost.extend(lost.collect::<Vec<_>>());
    }

    fn entries(&self, variant: Variant) -> BTreeMap<PathBuf, Entry> {
        match variant {
            Variant::Lost => self.durable.clone(),
            Variant::NamesKept | Variant::NamesKeptShort => self.now.clone(),
            Variant::Mixed(seed) => {
                let paths: BTreeSet<_> = self.durable.keys().chain(self.now.keys()).collect();
                let one = |path: &PathBuf| match toss((seed, path)) {
                    true => self.now.get(path),
                    false => self.durable.get(path),
                };
                paths
                    .into_iter()
                    .filter_map(|path| Some((path.clone(), *one(path)?)))
                    .collect()
            }
        }
    }
}

impl Bytes {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        self.now.resize(self.now.len().max(end), 0);
        self.now[offset..end].copy_from_slice(bytes);
        for page in offset / PAGE..end.div_ceil(PAGE) {
            self.lost.remove(&page);
            self.dirty.insert(page);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for page in 0..self.now.len().div_ceil(PAGE) {
            if !self.lost.contains(&page) {
                let range = page * PAGE..((page + 1) * PAGE).min(self.now.len());
                self.durable[range.clone()].copy_from_slice(&self.now[range]);
            }
        }
        self.dirty.clear();
    }
}

/// Heads or tails, the same for the same.
fn toss(of: impl Hash) -> bool {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish().is_multiple_of(2)
}
