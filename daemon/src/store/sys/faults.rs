//! [`Sys`] as the tests have it: the same calls, and each of them counted, written down and, when told so, made to fail.
//! The journal is what [`super::power`] makes a disk from as a loss of power would have left it. Test builds only.
//!
//! Without [`Sys::recording`] it passes everything on.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use rustix::io::Errno;

use super::Real;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Kind {
    Create,
    MakeFolder,
    Rename,
    Remove,
    SyncFile,
    SyncFolder,
    Write,
    Allocate,
    SetLen,
    Reflink,
    Read,
    Commit,
    /// The test looks: see [`Sys::look`].
    Look,
}

/// A file, whatever its names are: its place in the order in which they were first seen.
pub(super) type Inode = usize;

/// What an operation changed. Paths are relative to the base of the recording.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Nothing,
    Created(PathBuf, Inode),
    Folder(PathBuf),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
    FolderSynced(PathBuf),
    FileSynced(Inode),
    /// An fsync failed: what was dirty counts as clean from now on and never comes to the disk.
    Lost(Inode),
    FolderLost(PathBuf),
    Wrote(Inode, u64, Arc<[u8]>),
    /// At least so long.
    Grown(Inode, u64),
    Length(Inode, u64),
}

/// The database's files, by name.
pub(super) type Database = Arc<Vec<(&'static str, Vec<u8>)>>;

/// One operation.
#[derive(Clone, Debug)]
pub(in crate::store) struct Step {
    pub(in crate::store) kind: Kind,
    /// For messages: of what.
    pub(in crate::store) path: PathBuf,
    pub(super) effect: Effect,
    /// As it was before this step.
    pub(super) database: Database,
}

/// What is to go wrong, once.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Fault {
    /// The operation with this index in the journal fails.
    At(usize, Errno),
    /// The next one of this kind fails.
    Next(Kind, Errno),
    /// Before the operation with this index the power goes: it and all that come later fail.
    PowerLoss(usize),
    /// The same before an operation of this kind, after so many others of it.
    DownAt(Kind, usize),
}

/// What happened below a folder.
#[derive(Debug)]
pub(super) struct Journal {
    base: PathBuf,
    /// The folder with the database, relative to the base.
    pub(super) store: PathBuf,
    pub(super) steps: Vec<Step>,
    /// Paths of files when they were first seen; None for files that a user passed.
    pub(super) inodes: Vec<Option<PathBuf>>,
    by_number: HashMap<(u64, u64), Inode>,
    fault: Option<Fault>,
    clones: bool,
    gate: Gate,
}

/// Called before each read of a file that a user passed.
#[derive(Clone, Default)]
struct Gate(Option<Arc<Waiting>>);

type Waiting = dyn Fn(&Sys) + Send + Sync;

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a gate" } else { "no gate" })
    }
}

/// The calls and what the tests do to them. All clones are one.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Sys {
    real: Real,
    journal: Option<Arc<Mutex<Journal>>>,
}

impl Sys {
    /// Writes down what happens below the empty folder `base`, where the store is in the folder `store`.
    pub(in crate::store) fn recording(base: &Path, store: &str) -> Self {
        let journal = Journal {
            base: base.to_owned(),
            store: store.into(),
            steps: Vec::new(),
            inodes: Vec::new(),
            by_number: HashMap::new(),
            fault: None,
            clones: false,
            gate: Gate::default(),
        };
        Self {
            real: Real::default(),
            journal: Some(Arc::new(Mutex::new(journal))),
        }
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.as_ref().expect("a recording").lock().unwrap()
    }

    /// From now on this is to go wrong, or nothing.
    pub(in crate::store) fn arm(&self, fault: Option<Fault>) {
        self.journal().fault = fault;
    }

    /// Whether what was to go wrong is still to come.
    pub(in crate::store) fn armed(&self) -> bool {
        self.journal().fault.is_some()
    }

    /// Reflinks succeed, on whatever file system.
    pub(in crate::store) fn pretend_clones(&self) {
        self.journal().clones = true;
    }

    /// This is called, and may wait, before each read of a file that a user passed: so that work beside it comes to its
    /// end first, and every run has the same operations in the same order.
    pub(in crate::store) fn gate(&self, gate: impl Fn(&Self) + Send + Sync + 'static) {
        self.journal().gate = Gate(Some(Arc::new(gate)));
    }

    /// How many operations there were.
    pub(in crate::store) fn count(&self) -> usize {
        self.journal().steps.len()
    }

    /// The operations from an index on.
    pub(in crate::store) fn steps(&self, from: usize) -> Vec<Step> {
        self.journal().steps[from..].to_vec()
    }

    /// An operation that does nothing; power can be lost here too.
    pub(in crate::store) fn look(&self) -> usize {
        let mut journal = self.journal();
        journal.step(Kind::Look, Path::new(""), Effect::Nothing);
        journal.steps.len() - 1
    }

    /// Announces the operation, does it, and writes down what it changed.
    fn call<T>(
        &self,
        kind: Kind,
        path: &Path,
        real: impl FnOnce() -> io::Result<T>,
        effect: impl FnOnce(&mut Journal, &T) -> Effect,
    ) -> io::Result<T> {
        let Some(journal) = &self.journal else {
            return real();
        };
        let mut journal = journal.lock().unwrap();
        if let Some(error) = journal.fails(kind, path) {
            return Err(error);
        }
        journal.step(kind, path, Effect::Nothing);
        let result = real();
        if let Ok(value) = &result {
            let effect = effect(&mut journal, value);
            journal.steps.last_mut().expect("just written").effect = effect;
        }
        result
    }

    /// The same for a call on an open file.
    fn on_file<T>(
        &self,
        kind: Kind,
        file: &File,
        real: impl FnOnce() -> io::Result<T>,
        effect: impl FnOnce(Inode, &T) -> Effect,
    ) -> io::Result<T> {
        let Some(journal) = &self.journal else {
            return real();
        };
        let (inode, path) = {
            let mut journal = journal.lock().unwrap();
            let inode = journal.inode(file);
            (inode, journal.inodes[inode].clone())
        };
        let path = path.unwrap_or_else(|| "a passed file".into());
        let result = self.call(kind, &path, real, |_, value| effect(inode, value));
        if let (Kind::SyncFile, Err(_)) = (kind, &result) {
            journal.lock().unwrap().lost(Effect::Lost(inode));
        }
        result
    }

    pub(in crate::store) fn create(&self, path: &Path) -> io::Result<File> {
        let effect = |journal: &mut Journal, file: &File| {
            let path = journal.relative(path);
            journal.by_number.remove(&number(file));
            let inode = journal.inode(file);
            journal.inodes[inode] = Some(path.clone());
            Effect::Created(path, inode)
        };
        self.call(Kind::Create, path, || self.real.create(path), effect)
    }

    pub(in crate::store) fn make_folder(&self, path: &Path) -> io::Result<()> {
        let effect = |journal: &mut Journal, (): &()| Effect::Folder(journal.relative(path));
        self.call(Kind::MakeFolder, path, || self.real.make_folder(path), effect)
    }

    pub(in crate::store) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let replaced = number_of(to);
        let effect = |journal: &mut Journal, (): &()| {
            journal.forget(replaced);
            Effect::Renamed(journal.relative(from), journal.relative(to))
        };
        self.call(Kind::Rename, from, || self.real.rename(from, to), effect)
    }

    pub(in crate::store) fn remove(&self, path: &Path) -> io::Result<()> {
        let gone = number_of(path);
        let effect = |journal: &mut Journal, (): &()| {
            journal.forget(gone);
            Effect::Removed(journal.relative(path))
        };
        self.call(Kind::Remove, path, || self.real.remove(path), effect)
    }

    pub(in crate::store) fn sync_file(&self, file: &File) -> io::Result<()> {
        let effect = |inode, (): &()| Effect::FileSynced(inode);
        self.on_file(Kind::SyncFile, file, || self.real.sync_file(file), effect)
    }

    pub(in crate::store) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let effect = |journal: &mut Journal, (): &()| Effect::FolderSynced(journal.relative(path));
        let result = self.call(Kind::SyncFolder, path, || self.real.sync_folder(path), effect);
        if let (Err(_), Some(journal)) = (&result, &self.journal) {
            let mut journal = journal.lock().unwrap();
            let path = journal.relative(path);
            journal.lost(Effect::FolderLost(path));
        }
        result
    }

    pub(in crate::store) fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let effect = |inode, (): &()| Effect::Wrote(inode, offset, bytes.into());
        let real = || self.real.write_at(file, offset, bytes);
        self.on_file(Kind::Write, file, real, effect)
    }

    pub(in crate::store) fn allocate(&self, file: &File, size: u64) -> io::Result<bool> {
        let effect = |inode, _: &bool| Effect::Grown(inode, size);
        self.on_file(Kind::Allocate, file, || self.real.allocate(file, size), effect)
    }

    pub(in crate::store) fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        let effect = |inode, (): &()| Effect::Length(inode, size);
        self.on_file(Kind::SetLen, file, || self.real.set_len(file, size), effect)
    }

    pub(in crate::store) fn reflink(&self, target: &File, source: &File) -> io::Result<bool> {
        let pretend = self.journal.is_some() && self.journal().clones;
        let real = || match pretend {
            true => {
                let bytes = bytes_of(source)?;
                self.real.write_at(target, 0, &bytes)?;
                Ok(true)
            }
            false => self.real.reflink(target, source),
        };
        let effect = |inode, &cloned: &bool| match bytes_of(source) {
            Ok(bytes) if cloned => Effect::Wrote(inode, 0, bytes.into()),
            _ => Effect::Nothing,
        };
        self.on_file(Kind::Reflink, target, real, effect)
    }

    pub(in crate::store) fn read_full(&self, file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let gate = self.journal.as_ref().and_then(|journal| {
            let mut journal = journal.lock().unwrap();
            let inode = journal.inode(file);
            let passed = journal.inodes[inode].is_none();
            passed.then(|| journal.gate.0.clone()).flatten()
        });
        if let Some(gate) = gate {
            gate(self);
        }
        let real = || self.real.read_full(file, offset, buf);
        self.on_file(Kind::Read, file, real, |_, _| Effect::Nothing)
    }

    pub(in crate::store) fn before_commit(&self) -> io::Result<()> {
        let path = Path::new("metadata.db");
        self.call(
            Kind::Commit,
            path,
            || self.real.before_commit(),
            |_, ()| Effect::Nothing,
        )
    }
}

impl Journal {
    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.base).unwrap_or(path).to_owned()
    }

    /// Which file that is; one that was not seen yet was passed by a user.
    fn inode(&mut self, file: &File) -> Inode {
        let new = self.inodes.len();
        let inode = *self.by_number.entry(number(file)).or_insert(new);
        if inode == new {
            self.inodes.push(None);
        }
        inode
    }

    /// A file is gone; its number may be given to another one.
    fn forget(&mut self, number: Option<(u64, u64)>) {
        if let Some(number) = number {
            self.by_number.remove(&number);
        }
    }

    fn step(&mut self, kind: Kind, path: &Path, effect: Effect) {
        let database = match self.steps.last() {
            // Nothing commits while the folders are made, of which there are many.
            Some(last) if (last.kind, kind) == (Kind::MakeFolder, Kind::MakeFolder) => last.database.clone(),
            _ => self.read_database(),
        };
        self.steps.push(Step {
            kind,
            path: self.relative(path),
            effect,
            database,
        });
    }

    /// A commit that returned is in these files, and durable: that is SQLite's promise.
    fn read_database(&self) -> Database {
        let folder = self.base.join(&self.store);
        let read = |name| Some((name, fs::read(folder.join(name)).ok()?));
        Arc::new(
            ["metadata.db", "metadata.db-wal"]
                .into_iter()
                .filter_map(read)
                .collect(),
        )
    }

    /// Whether this operation is the one that fails. It is written down as one that did nothing.
    fn fails(&mut self, kind: Kind, path: &Path) -> Option<io::Error> {
        let index = self.steps.len();
        let errno = match self.fault? {
            Fault::At(at, errno) if at == index => errno,
            Fault::Next(of, errno) if of == kind => errno,
            Fault::PowerLoss(at) if at < index => return Some(Errno::IO.into()),
            Fault::DownAt(of, others @ 1..) if of == kind => {
                self.fault = Some(Fault::DownAt(of, others - 1));
                return None;
            }
            Fault::DownAt(of, 0) if of == kind => {
                self.fault = Some(Fault::PowerLoss(index));
                self.step(kind, path, Effect::Nothing);
                return Some(Errno::IO.into());
            }
            Fault::PowerLoss(at) if at == index => {
                self.step(kind, path, Effect::Nothing);
                return Some(Errno::IO.into());
            }
            _ => return None,
        };
        self.fault = None;
        self.step(kind, path, Effect::Nothing);
        Some(errno.into())
    }

    /// An fsync failed; after a loss of power nothing more is written down.
    fn lost(&mut self, effect: Effect) {
        if !matches!(self.fault, Some(Fault::PowerLoss(_))) {
            self.steps.last_mut().expect("the fsync").effect = effect;
        }
    }
}

fn number(file: &File) -> (u64, u64) {
    let meta = file.metadata().unwrap();
    (meta.dev(), meta.ino())
}

fn number_of(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

fn bytes_of(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0)?;
    Ok(bytes)
}
