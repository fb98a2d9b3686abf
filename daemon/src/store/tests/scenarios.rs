//! Pieces of the store's work for the fault layer: each is prepared on a sound store, done with every operation
//! recorded, and says what it was promised on the way.

use rustix::io::Errno;

use super::{
    super::sys::faults::{Fault, Kind, Step},
    cuts::{self, Damage},
    world::{Ack, World, noted},
    *,
};

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
    /// With checkpoints, dropped and begun again.
    FetchCut,
    /// A copy for another peer: cut before a restart, finished after it, and acknowledged.
    Replica,
    /// What a fetch left is given up.
    Discard,
    /// An import with checkpoints.
    ImportCut,
    /// One that was cut before a restart.
    ImportOn,
    /// A group rots, is found and healed.
    Rot,
    /// The same where an earlier fetch had left a part.
    RotAfterCut,
    /// The layer rots.
    RotLayer,
    /// All of a content of one group.
    RotSmall,
    /// A file that has lost its end.
    RotShort,
    /// A damaged content is dropped.
    RotDropped,
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
    /// A start after a kill in the commit of a fetch with a checkpoint, before its row.
    KilledFetch,
    /// The same of an import.
    KilledImport,
    /// A start after a kill while damage was put aside.
    KilledRot,
}

impl Scenario {
    pub(super) const ALL: [Self; 29] = [
        Self::Import,
        Self::ImportSmall,
        Self::ImportClone,
        Self::ImportTwice,
        Self::Stream,
        Self::Fetch,
        Self::FetchInto,
        Self::FetchCut,
        Self::Replica,
        Self::Discard,
        Self::ImportCut,
        Self::ImportOn,
        Self::Rot,
        Self::RotAfterCut,
        Self::RotLayer,
        Self::RotSmall,
        Self::RotShort,
        Self::RotDropped,
        Self::Drop,
        Self::Forget,
        Self::RestartIndex,
        Self::Export,
        Self::ExportClone,
        Self::FirstOpen,
        Self::CutOpen,
        Self::Sweep,
        Self::KilledFetch,
        Self::KilledImport,
        Self::KilledRot,
    ];

    /// The store itself is opened in it.
    pub(super) fn opens(self) -> bool {
        matches!(self, Self::FirstOpen | Self::CutOpen | Self::Sweep) || self.is_killed()
    }

    pub(super) fn is_killed(self) -> bool {
        matches!(self, Self::KilledFetch | Self::KilledImport | Self::KilledRot)
    }

    /// What of it the store does not answer with an error: it is only late, or looks elsewhere.
    pub(super) fn bears(self, step: &Step) -> bool {
        let layer = step.path.extension().is_some_and(|end| end == "layer");
        match (self, step.kind) {
            // A checkpoint that has no place is not made.
            (
                Self::ImportCut | Self::ImportOn | Self::KilledImport,
                Kind::Create | Kind::Commit | Kind::Read,
            ) => true,
            (Self::ImportCut | Self::ImportOn | Self::KilledImport, Kind::Write) => layer,
            // What cannot be read of a part is as good as none.
            (Self::FetchCut | Self::Replica | Self::KilledFetch, Kind::Read) => true,
            // What cannot be read is damaged, and what cannot be put aside waits for the fetch that heals.
            (
                Self::Rot
                | Self::RotAfterCut
                | Self::RotLayer
                | Self::RotSmall
                | Self::RotShort
                | Self::KilledRot,
                Kind::Read | Kind::Rename | Kind::SyncFolder | Kind::SyncFile | Kind::SetLen,
            ) => true,
            _ => false,
        }
    }
}

pub(super) fn long() -> Vec<u8> {
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
            Self::Replica => {
                cuts::fetch_some(world, &store, &[2], None).await.unwrap();
                store.close().await;
                drop(store);
                return Some(world.open().await.unwrap());
            }
            Self::Discard => cuts::fetch_some(world, &store, &[2], Some(0)).await.unwrap(),
            Self::ImportCut => world.fill_source(&cuts::longer()),
            Self::ImportOn => {
                cuts::cut_import(world, &store).await;
                store.close().await;
                drop(store);
                return Some(world.open().await.unwrap());
            }
            Self::Rot
            | Self::RotAfterCut
            | Self::RotLayer
            | Self::RotSmall
            | Self::RotShort
            | Self::RotDropped => {
                if self == Self::RotAfterCut {
                    cuts::fetch_some(world, &store, &[0], None).await.unwrap();
                }
                let damage = self.damage();
                world.import(&store, 1, &damage.bytes()).await.unwrap();
                damage.happens(world, &store);
                if self == Self::RotDropped {
                    store
                        .verify(ContentHash::of(&long()), None, quiet())
                        .await
                        .unwrap();
                }
            }
            Self::KilledFetch => {
                cuts::fetch_some(world, &store, &[2, 0], None).await.unwrap();
                world.sys.arm(Some(Fault::DownAt(Kind::Commit, 0)));
                cuts::fetch_rest(world, &store).await.unwrap_err();
                return cuts::killed(world, store).await;
            }
            Self::KilledImport => {
                cuts::cut_import(world, &store).await;
                world.sys.arm(Some(Fault::DownAt(Kind::SyncFolder, 1)));
                cuts::import_killed_before_its_row(world, &store).await;
                return cuts::killed(world, store).await;
            }
            Self::KilledRot => {
                world.import(&store, 1, &long()).await.unwrap();
                Damage::Group.happens(world, &store);
                world.sys.arm(Some(Fault::DownAt(Kind::Rename, 0)));
                cuts::verify(world, &store, Damage::Group).await.unwrap();
                return cuts::killed(world, store).await;
            }
            _ => {}
        }
        Some(store)
    }

    /// Does it. A store that it opens it closes again when it is done.
    pub(super) async fn run(self, world: &World, store: Option<&Store>) -> Result<(), StoreError> {
        let Some(store) = store else {
            let store = world.open().await?;
            let done = match self {
                Self::Sweep => Ok(()),
                Self::KilledFetch => cuts::neighbour_then_rest(world, &store).await,
                Self::KilledImport => {
                    cuts::neighbour_comes(world, &store, ContentHash::of(&cuts::longer())).await?;
                    world.import_source(&store, 1, quiet()).await
                }
                Self::KilledRot => cuts::verify_and_heal(world, &store, Damage::Group).await,
                _ => world.import(&store, 1, &long()).await,
            };
            store.close().await;
            return done;
        };
        match self {
            Self::Import | Self::ImportClone => world.import(store, 1, &long()).await,
            Self::ImportTwice => world.import(store, 2, &long()).await,
            Self::ImportSmall => world.import(store, 1, b"small").await,
            Self::Stream => {
                let mut stream = store.import_stream().await?;
                stream.push(data(1, BUFFER_LEN + 5).into()).await?;
                let (noted, purpose) = noted();
                let imported = stream.finish(purpose).await?;
                world.publish(store, (1, noted), imported).await
            }
            Self::Fetch => fetch(world, store).await,
            Self::FetchInto => fetch_into(world, store).await,
            Self::FetchCut => {
                cuts::fetch_some(world, store, &[2, 0], Some(1)).await?;
                cuts::fetch_rest(world, store).await
            }
            Self::Replica => {
                cuts::fetch_some(world, store, &[1], Some(0)).await?;
                cuts::fetch_rest(world, store).await
            }
            Self::Discard => {
                let hash = ContentHash::of(&long());
                world.ack(Ack::Over(hash));
                store.discard(hash).await.map(drop)
            }
            Self::ImportCut | Self::ImportOn => world.import_source(store, 1, quiet()).await,
            Self::Rot | Self::RotAfterCut | Self::RotLayer | Self::RotSmall | Self::RotShort => {
                cuts::verify_and_heal(world, store, self.damage()).await
            }
            Self::RotDropped => world.drop_hold(store, 1).await,
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
            Self::FirstOpen
            | Self::CutOpen
            | Self::Sweep
            | Self::KilledFetch
            | Self::KilledImport
            | Self::KilledRot => unreachable!("no store is given"),
        }
    }

    fn damage(self) -> Damage {
        match self {
            Self::RotLayer => Damage::Layer,
            Self::RotSmall => Damage::Small,
            Self::RotShort => Damage::Short,
            _ => Damage::Group,
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
    let publication = publication(1, Imported { hash, size });
    incoming.commit(Purpose::Hold(publication.clone())).await?;
    world.came(publication);
    Ok(())
}

async fn fetch_into(world: &World, store: &Store) -> Result<(), StoreError> {
    let (target, _) = output();
    let incoming = store
        .begin_into(ContentHash::of(&long()), LONG as u64, target)
        .await?;
    bring(&incoming, &long())?;
    incoming.commit(Purpose::Nothing).await?;
    world.ack(Ack::Delivered(long()));
    Ok(())
}
