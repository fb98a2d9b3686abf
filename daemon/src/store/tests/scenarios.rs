//! Pieces of the store's work for the fault layer: each is prepared on a sound store, done with every operation
//! recorded, and says what it was promised on the way.

use std::sync::Mutex;

use rustix::io::Errno;

use super::{
    super::sys::{
        Sys,
        faults::{Fault, Kind},
    },
    *,
};

/// The most that a store of these tests takes; its file system must have more.
pub(super) const QUOTA: u64 = 64 << 20;

/// Three groups, so with a layer.
pub(super) const LONG: usize = 2 * GROUP_LEN + 100;

/// One thing that the store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    Import,
    ImportSmall,
    ImportClone,
    ImportTwice,
    Stream,
    Fetch,
    FetchInto,
    Drop,
    Forget,
    RestartIndex,
    Export,
    /// Here the file is full before the first byte was checked.
    ExportClone,
    /// The first start, and an import.
    FirstOpen,
    /// A start after one that failed half-way, and an import.
    CutOpen,
    /// A start that finds all sorts of leftovers.
    Sweep,
}

impl Scenario {
    pub(super) const ALL: [Self; 15] = [
        Self::Import,
        Self::ImportSmall,
        Self::ImportClone,
        Self::ImportTwice,
        Self::Stream,
        Self::Fetch,
        Self::FetchInto,
        Self::Drop,
        Self::Forget,
        Self::RestartIndex,
        Self::Export,
        Self::ExportClone,
        Self::FirstOpen,
        Self::CutOpen,
        Self::Sweep,
    ];

    /// The store itself is opened in it.
    pub(super) fn opens(self) -> bool {
        matches!(self, Self::FirstOpen | Self::CutOpen | Self::Sweep)
    }
}

/// What the store has said to its callers.
#[derive(Clone, Debug)]
pub(super) enum Ack {
    /// This is held.
    Held(Publication),
    /// Asked to hold it no longer.
    Dropping(Uuid),
    /// It is not held any more.
    Dropped(Uuid),
    /// A user's file has these bytes, durably.
    Delivered(Vec<u8>),
}

/// What must be true of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    pub(super) held: Vec<Publication>,
    pub(super) dropped: Vec<Uuid>,
    pub(super) delivered: Vec<Vec<u8>>,
}

/// A folder, the calls below it, and what was promised.
pub(super) struct World {
    folder: TempDir,
    pub(super) sys: Sys,
    acks: Mutex<Vec<(usize, Ack)>>,
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
    Store::open_on(config, sys).await
}

impl World {
    pub(super) fn new() -> Self {
        let folder = quick_folder();
        let sys = Sys::recording(folder.path(), "store");
        Self {
            folder,
            sys,
            acks: Mutex::default(),
        }
    }

    pub(super) fn base(&self) -> &Path {
        self.folder.path()
    }

    pub(super) async fn open(&self) -> Result<Store, StoreError> {
        open(self.base(), self.sys.clone()).await
    }

    pub(super) fn ack(&self, ack: Ack) {
        self.acks.lock().unwrap().push((self.sys.count(), ack));
    }

    /// What was promised before the operation `point`.
    pub(super) fn promises(&self, point: usize) -> Promises {
        let mut promises = Promises::default();
        for (at, ack) in self.acks.lock().unwrap().iter() {
            match ack.clone() {
                _ if *at > point => {}
                Ack::Held(publication) => promises.held.push(publication),
                Ack::Dropping(id) => promises.held.retain(|held| held.id != id),
                Ack::Dropped(id) => promises.dropped.push(id),
                Ack::Delivered(bytes) => promises.delivered.push(bytes),
            }
        }
        promises
    }

    pub(super) async fn hold(&self, store: &Store, id: u128, content: Imported) -> Result<(), StoreError> {
        let publication = publication(id, content);
        store.add_hold(&publication).await?;
        self.ack(Ack::Held(publication));
        Ok(())
    }

    pub(super) async fn import(&self, store: &Store, id: u128, bytes: &[u8]) -> Result<(), StoreError> {
        let imported = store.import_file(passed(bytes), quiet()).await?;
        self.hold(store, id, imported).await
    }

    async fn drop_hold(&self, store: &Store, id: u128) -> Result<(), StoreError> {
        let id = Uuid::from_u128(id);
        self.ack(Ack::Dropping(id));
        store.drop_hold(id).await?;
        self.ack(Ack::Dropped(id));
        Ok(())
    }
}

fn long() -> Vec<u8> {
    data(1, LONG)
}

impl Scenario {
    /// Makes what it begins with. No store when it opens that itself.
    pub(super) async fn prepare(self, world: &World) -> Option<Store> {
        match self {
            Self::FirstOpen => return None,
            Self::CutOpen => {
                world.sys.arm(Some(Fault::Next(Kind::SyncFolder, Errno::IO)));
                assert!(world.open().await.is_err());
                return None;
            }
            _ => {}
        }
        let store = world.open().await.unwrap();
        world.import(&store, 100, b"here all the time").await.unwrap();
        match self {
            Self::ImportClone => world.sys.pretend_clones(),
            Self::ImportTwice | Self::Export => world.import(&store, 1, &long()).await.unwrap(),
            Self::ExportClone => {
                world.import(&store, 1, &long()).await.unwrap();
                world.sys.pretend_clones();
            }
            Self::Drop => {
                world.import(&store, 1, &long()).await.unwrap();
                world.import(&store, 2, &long()).await.unwrap();
                world.import(&store, 3, b"dropped too").await.unwrap();
            }
            Self::Forget => drop(import(&store, &long()).await),
            Self::Sweep => {
                leave(world, &store).await;
                store.close().await;
                return None;
            }
            _ => {}
        }
        Some(store)
    }

    /// Does it. A store that it opens it closes again when it is done.
    pub(super) async fn run(self, world: &World, store: Option<&Store>) -> Result<(), StoreError> {
        let Some(store) = store else {
            let store = world.open().await?;
            if self != Self::Sweep {
                world.import(&store, 1, &long()).await?;
            }
            store.close().await;
            return Ok(());
        };
        match self {
            Self::Import | Self::ImportClone => world.import(store, 1, &long()).await,
            Self::ImportTwice => world.import(store, 2, &long()).await,
            Self::ImportSmall => world.import(store, 1, b"small").await,
            Self::Stream => {
                let mut stream = store.import_stream().await?;
                stream.push(data(1, BUFFER_LEN + 5).into()).await?;
                let imported = stream.finish().await?;
                world.hold(store, 1, imported).await
            }
            Self::Fetch => fetch(world, store).await,
            Self::FetchInto => fetch_into(world, store).await,
            Self::Drop => {
                for id in 1..=3 {
                    world.drop_hold(store, id).await?;
                }
                Ok(())
            }
            Self::Forget => store.forget_unheld(ContentHash::of(&long())).await.map(drop),
            Self::RestartIndex => store.restart_index().await,
            Self::Export | Self::ExportClone => {
                let (target, file) = output();
                let done = store.export(ContentHash::of(&long()), target, quiet()).await;
                let expected = if done.is_ok() { long() } else { Vec::new() };
                assert_eq!(bytes_of(&file), expected, "all of it or nothing");
                done.map(drop)
            }
            Self::FirstOpen | Self::CutOpen | Self::Sweep => unreachable!("no store is given"),
        }
    }
}

/// What a crash can leave, in the store's own way: a content that nobody holds, files whose row is gone, a temporary
/// file.
async fn leave(world: &World, store: &Store) {
    let fail_to_remove = || world.sys.arm(Some(Fault::Next(Kind::Remove, Errno::IO)));
    import(store, &long()).await;
    world.import(store, 2, b"its file stays").await.unwrap();
    fail_to_remove();
    world.drop_hold(store, 2).await.unwrap();
    let fetch = store.begin(ContentHash::of(b"abc"), 3).await.unwrap();
    fail_to_remove();
    drop(fetch);
    assert!(!world.sys.armed());
}

fn bring(incoming: &Incoming, bytes: &[u8]) -> Result<(), StoreError> {
    let mut layer = LayerBuilder::new();
    layer.push(bytes);
    incoming.set_layer(layer.finish())?;
    for index in [2, 0, 1] {
        let piece = bytes.chunks(GROUP_LEN).nth(index).unwrap();
        assert!(incoming.write_piece(index as u64 * GROUP, piece)?);
    }
    Ok(())
}

async fn fetch(world: &World, store: &Store) -> Result<(), StoreError> {
    let (hash, size) = (ContentHash::of(&long()), LONG as u64);
    let incoming = store.begin(hash, size).await?;
    bring(&incoming, &long())?;
    incoming.commit().await?;
    world.hold(store, 1, Imported { hash, size }).await
}

async fn fetch_into(world: &World, store: &Store) -> Result<(), StoreError> {
    let (target, _) = output();
    let incoming = store.begin_into(ContentHash::of(&long()), LONG as u64, target)?;
    bring(&incoming, &long())?;
    incoming.commit().await?;
    world.ack(Ack::Delivered(long()));
    Ok(())
}
