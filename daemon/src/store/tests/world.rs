//! Where the scenarios of the fault layer take place: a folder, every call below it, and what the store promised to its
//! callers on the way.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    super::sys::{Sys, faults::Kind},
    *,
};

/// The most that a store of these tests takes; its file system must have more.
pub(super) const QUOTA: u64 = 64 << 20;

/// Imports are cut after each buffer; fetches only where a scenario says so.
const EVERY: CheckpointEvery = CheckpointEvery {
    bytes: BUFFER_LEN as u64,
    time: Duration::MAX,
};

/// What the store has said to its callers.
#[derive(Clone, Debug)]
pub(super) enum Ack {
    /// This is held.
    Held(Publication),
    /// Asked to hold it no longer.
    Dropping(Uuid),
    /// It is not held any more.
    Dropped(Uuid),
    /// It is about to be published under this id.
    Noted(Uuid),
    /// That comes to an end.
    Ending(Uuid),
    /// A user's file has these bytes, durably.
    Delivered(Vec<u8>),
    /// A fetch of this content goes on with these groups.
    Kept(ContentHash, Vec<usize>),
    /// The next import of the world's source goes on after so many bytes.
    Hashed(u64),
    /// The disk has other bytes of this content, and the store was not told.
    Rotten(ContentHash),
    /// This content is whole, or was given up: nothing more is promised of a part.
    Over(ContentHash),
}

/// What must be true of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    pub(super) held: Vec<Publication>,
    pub(super) dropped: Vec<Uuid>,
    pub(super) noted: Vec<Uuid>,
    pub(super) delivered: Vec<Vec<u8>>,
    pub(super) kept: Vec<(ContentHash, Vec<usize>)>,
    pub(super) hashed: u64,
    pub(super) rotten: Vec<ContentHash>,
    /// The file of which an import was begun.
    pub(super) source: PathBuf,
}

/// A folder, the calls below it, and what was promised.
pub(super) struct World {
    folder: TempDir,
    pub(super) sys: Sys,
    source: tempfile::NamedTempFile,
    acks: Arc<Mutex<Vec<(usize, Ack)>>>,
}

/// A folder that is quick to work in: what is durable is for the model to say, not for a disk.
pub(super) fn quick_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

pub(super) async fn open(base: &Path, sys: Sys) -> Result<Store, StoreError> {
    let config = StoreConfig {
        path: base.join("store"),
        max_size: Some(QUOTA),
        reserve_free: 0,
    };
    Store::open_with(config, sys, EVERY).await
}

/// Each try to publish has an id of its own.
pub(super) fn noted() -> (Uuid, Purpose) {
    let (id, note) = (Uuid::new_v4(), "a note".to_owned());
    (id, Purpose::Publish { id, note })
}

/// How far imports are that were cut.
pub(super) async fn hashed(reader: &sqlx::SqlitePool) -> Result<u64, StoreError> {
    let mut reader = reader.acquire().await?;
    let rows = cut_imports::all(&mut reader).await?;
    Ok(rows.iter().map(|row| row.done).sum())
}

impl World {
    pub(super) fn new() -> Self {
        let folder = quick_folder();
        let sys = Sys::recording(folder.path(), "store");
        Self {
            folder,
            sys,
            source: tempfile::NamedTempFile::new().unwrap(),
            acks: Arc::default(),
        }
    }

    pub(super) fn base(&self) -> &Path {
        self.folder.path()
    }

    /// Before each read of a source the checkpoint beside it comes to its end, and what is in the database then is
    /// promised.
    pub(super) async fn open(&self) -> Result<Store, StoreError> {
        let store = open(self.base(), self.sys.clone()).await?;
        let (tasks, reader) = (store.inner.tasks.clone(), store.inner.metadata.reader().clone());
        let acks = self.acks.clone();
        self.sys.gate(move |sys| {
            while tasks.len() > 1 {
                std::thread::yield_now();
            }
            if let Ok(done @ 1..) = Handle::current().block_on(hashed(&reader)) {
                acks.lock().unwrap().push((sys.count(), Ack::Hashed(done)));
            }
        });
        Ok(store)
    }

    pub(super) fn ack(&self, ack: Ack) {
        self.acks.lock().unwrap().push((self.sys.count(), ack));
    }

    /// What was promised before the operation `point`.
    pub(super) fn promises(&self, point: usize) -> Promises {
        let mut promises = Promises {
            source: self.source.path().to_owned(),
            ..Promises::default()
        };
        for (at, ack) in self.acks.lock().unwrap().iter() {
            match ack.clone() {
                _ if *at > point => {}
                Ack::Held(publication) => promises.held.push(publication),
                Ack::Dropping(id) => promises.held.retain(|held| held.id != id),
                Ack::Dropped(id) => promises.dropped.push(id),
                Ack::Noted(id) => promises.noted.push(id),
                Ack::Ending(id) => promises.noted.retain(|noted| *noted != id),
                Ack::Delivered(bytes) => promises.delivered.push(bytes),
                Ack::Kept(hash, groups) => {
                    promises.kept.retain(|kept| kept.0 != hash);
                    promises.kept.push((hash, groups));
                }
                Ack::Hashed(done) => promises.hashed = done,
                Ack::Rotten(hash) => promises.rotten.push(hash),
                Ack::Over(hash) => {
                    promises.rotten.retain(|rotten| *rotten != hash);
                    promises.kept.retain(|kept| kept.0 != hash);
                    promises.hashed = 0;
                }
            }
        }
        promises
    }

    /// Promised with the row that was just written: files may have been removed since.
    fn ack_with_row(&self, acks: [Ack; 2]) {
        let steps = self.sys.steps(0);
        let row = steps.iter().rposition(|step| step.kind == Kind::Commit);
        let after = row.map_or(0, |row| row + 1);
        let mut all = self.acks.lock().unwrap();
        all.extend(acks.map(|ack| (after, ack)));
    }

    /// A fetch was just committed, and is held.
    pub(super) fn came(&self, publication: Publication) {
        self.ack_with_row([Ack::Over(publication.hash), Ack::Held(publication)]);
    }

    /// Publishes, and holds, what was just imported and noted.
    pub(super) async fn publish(
        &self,
        store: &Store,
        (id, noted): (u128, Uuid),
        content: Imported,
    ) -> Result<(), StoreError> {
        self.ack_with_row([Ack::Over(content.hash), Ack::Noted(noted)]);
        let publication = publication(id, content);
        store.add_hold(&publication).await?;
        self.ack(Ack::Held(publication));
        self.ack(Ack::Ending(noted));
        store.published_or_not(noted).await
    }

    pub(super) async fn import(&self, store: &Store, id: u128, bytes: &[u8]) -> Result<(), StoreError> {
        let (noted, purpose) = noted();
        let imported = store
            .import_file(passed(bytes), purpose, quiet(), &never())
            .await?;
        self.publish(store, (id, noted), imported).await
    }

    /// What is to be imported with checkpoints.
    pub(super) fn fill_source(&self, bytes: &[u8]) {
        fs::write(self.source.path(), bytes).unwrap();
    }

    pub(super) async fn import_source(
        &self,
        store: &Store,
        id: u128,
        progress: ProgressSink,
    ) -> Result<(), StoreError> {
        let source = File::open(self.source.path()).unwrap();
        let (noted, purpose) = noted();
        let imported = store
            .import_file(source.into(), purpose, progress, &never())
            .await?;
        self.publish(store, (id, noted), imported).await
    }

    pub(super) async fn drop_hold(&self, store: &Store, id: u128) -> Result<(), StoreError> {
        let id = Uuid::from_u128(id);
        self.ack(Ack::Dropping(id));
        store.drop_hold(id).await?;
        self.ack(Ack::Dropped(id));
        Ok(())
    }
}
