//! What the scenarios do with parts of contents: fetches and imports that are cut and go on, and contents that rot and
//! are healed.

use std::{collections::BTreeMap, sync::Mutex};

use super::{
    super::sys::faults::{Fault, Kind},
    scenarios::{LONG, long},
    world::{Ack, World},
    *,
};

/// What is imported with checkpoints: two of them, and an end that comes after.
pub(super) fn longer() -> Vec<u8> {
    data(2, 2 * BUFFER_LEN + 100)
}

/// A content with a layer whose files are in the same folders as this one's.
fn neighbour(hash: ContentHash) -> Vec<u8> {
    let contents = (1000..).map(|seed| data(seed, GROUP_LEN + 1));
    let mut near = contents.filter(|bytes| ContentHash::of(bytes).as_bytes()[0] == hash.as_bytes()[0]);
    near.next().expect("one of 256 is")
}

/// Another content comes, and with it the fsyncs of the folders where this one was or will be.
pub(super) async fn neighbour_comes(
    world: &World,
    store: &Store,
    hash: ContentHash,
) -> Result<(), StoreError> {
    static KNOWN: Mutex<BTreeMap<u8, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let bytes = {
        let mut known = KNOWN.lock().unwrap();
        let entry = known.entry(hash.as_bytes()[0]);
        entry.or_insert_with(|| neighbour(hash)).clone()
    };
    world.import(store, 7, &bytes).await
}

fn groups_there(incoming: &Incoming) -> Vec<usize> {
    let there = |&group: &usize| {
        let offset = group as u64 * GROUP;
        incoming.has(offset, (incoming.size() - offset).min(GROUP))
    };
    (0..incoming.size().div_ceil(GROUP) as usize)
        .filter(there)
        .collect()
}

pub(super) fn write(incoming: &Incoming, bytes: &[u8], group: usize) -> Result<(), StoreError> {
    let piece = bytes.chunks(GROUP_LEN).nth(group).unwrap();
    assert!(incoming.write_piece(group as u64 * GROUP, piece)?);
    Ok(())
}

/// Fetches these groups, with a checkpoint after each, and one more that is in none; then nobody wants it any more.
pub(super) async fn fetch_some(
    world: &World,
    store: &Store,
    groups: &[usize],
    late: Option<usize>,
) -> Result<(), StoreError> {
    let hash = ContentHash::of(&long());
    let incoming = store.begin(hash, LONG as u64).await?;
    let _ = incoming.set_layer(layer_of(&long()));
    for &group in groups {
        write(&incoming, &long(), group)?;
        incoming.checkpoint().await?;
        world.ack(Ack::Kept(hash, groups_there(&incoming)));
    }
    late.map_or(Ok(()), |group| write(&incoming, &long(), group))
}

/// Fetches what is missing, and holds it.
pub(super) async fn fetch_rest(world: &World, store: &Store) -> Result<(), StoreError> {
    let publication = of_first(&long());
    bring_all(store, &long(), Purpose::Hold(publication.clone())).await?;
    world.came(publication);
    Ok(())
}

/// What is held of these bytes.
fn of_first(bytes: &[u8]) -> Publication {
    let (hash, size) = (ContentHash::of(bytes), bytes.len() as u64);
    publication(1, Imported { hash, size })
}

/// The same after a neighbour came.
pub(super) async fn neighbour_then_rest(world: &World, store: &Store) -> Result<(), StoreError> {
    neighbour_comes(world, store, ContentHash::of(&long())).await?;
    fetch_rest(world, store).await
}

/// Fetches whatever is not there yet.
pub(super) async fn bring_all(store: &Store, bytes: &[u8], purpose: Purpose) -> Result<(), StoreError> {
    let layer = layer_of(bytes);
    let (hash, size) = (layer.hash(), layer.size());
    let incoming = store.begin(hash, size).await?;
    let _ = incoming.set_layer(layer);
    let there = groups_there(&incoming);
    for group in (0..bytes.chunks(GROUP_LEN).len()).filter(|group| !there.contains(group)) {
        write(&incoming, bytes, group)?;
    }
    incoming.commit(purpose).await
}

/// Imports up to the first checkpoint; then the source cannot be read.
pub(super) async fn cut_import(world: &World, store: &Store) {
    world.fill_source(&longer());
    let sys = world.sys.clone();
    let progress: ProgressSink = Arc::new(move |done| {
        if done == BUFFER_LEN as u64 {
            sys.arm(Some(Fault::Next(Kind::Read, rustix::io::Errno::IO)));
        }
    });
    let cut = world.import_source(store, 1, progress).await;
    assert!(matches!(cut, Err(StoreError::Io { .. })), "{cut:?}");
    assert!(!world.sys.armed());
}

/// Goes on with an import until its file has its name and its row is about to be.
pub(super) async fn import_killed_before_its_row(world: &World, store: &Store) {
    let failed = world.import_source(store, 1, quiet()).await;
    assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
}

/// After a kill nothing more was done; what was done is there.
pub(super) async fn killed(world: &World, store: Store) -> Option<Store> {
    store.close().await;
    drop(store);
    world.sys.arm(None);
    None
}

/// How a content rots.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Group,
    Layer,
    Small,
    Short,
}

impl Damage {
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Small => b"small".to_vec(),
            _ => long(),
        }
    }

    fn good(self) -> Vec<usize> {
        match self {
            Self::Group => vec![0, 2],
            Self::Layer => vec![0, 1, 2],
            Self::Small => Vec::new(),
            Self::Short => vec![0],
        }
    }

    /// The disk has other bytes, durably.
    pub(super) fn happens(self, world: &World, store: &Store) {
        let hash = ContentHash::of(&self.bytes());
        let kind = match self {
            Self::Layer => disk::Kind::Layer,
            _ => disk::Kind::Content,
        };
        let path = store.inner.disk.named(kind, hash);
        let file = File::options().write(true).open(path).unwrap();
        match self {
            Self::Group => world.sys.write_at(&file, GROUP + 9, b"rotten"),
            Self::Layer | Self::Small => world.sys.write_at(&file, 1, b"rot"),
            Self::Short => world.sys.set_len(&file, GROUP + 5),
        }
        .unwrap();
        world.sys.sync_file(&file).unwrap();
        world.ack(Ack::Rotten(hash));
    }
}

pub(super) async fn verify(world: &World, store: &Store, damage: Damage) -> Result<Verdict, StoreError> {
    let hash = ContentHash::of(&damage.bytes());
    let verdict = store.verify(hash, None, quiet()).await?;
    if verdict != Verdict::Good && !damage.good().is_empty() {
        world.ack(Ack::Kept(hash, damage.good()));
    }
    Ok(verdict)
}

pub(super) async fn verify_and_heal(world: &World, store: &Store, damage: Damage) -> Result<(), StoreError> {
    if verify(world, store, damage).await? == Verdict::Good {
        return Ok(());
    }
    let hash = ContentHash::of(&damage.bytes());
    neighbour_comes(world, store, hash).await?;
    bring_all(store, &damage.bytes(), Purpose::Hold(of_first(&damage.bytes()))).await?;
    world.ack(Ack::Over(hash));
    Ok(())
}
