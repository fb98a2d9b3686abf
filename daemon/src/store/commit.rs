//! How a file becomes a content: bytes and layer fsynced, renamed, their folders fsynced, and only then the row in the
//! database. A crash before the row leaves files that nobody names, and `Store::open` removes them or, when a checkpoint
//! speaks of them, takes them back to `partial/`; after it all is durable. An error in between has the same end: new files
//! go, under whatever name, a checkpoint stays, nothing is registered. Only after a failed fsync of the bytes the
//! checkpoint goes too.

use std::sync::Arc;

use p2p_proto::{ContentHash, rest::publications::Publication};
use sqlx::{Connection, Sqlite, Transaction};
use uuid::Uuid;

use super::{
    Inner, Store, blocking, cut_imports, damage,
    disk::{Disk, Kind, TempFile},
    error::StoreError,
    holds,
    layer::Layer,
    metadata::{self, Writer},
    partials, publishing,
    space::Reservation,
};
use crate::events::What;

/// A content that is durable and registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What it is.
    pub hash: ContentHash,
    /// Its bytes.
    pub size: u64,
}

/// What a content is for. It is written in the transaction that makes it one: no crash comes between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing: unless it is held soon it goes with the next start.
    Nothing,
    /// It is held under this publication.
    Hold(Publication),
    /// It is about to be published, and lives until that came to an end ([`super::Store::published_or_not`]).
    Publish {
        /// What it will be known as.
        id: Uuid,
        /// What the publisher has to remember of it; not the store's to read.
        note: String,
    },
}

/// All bytes of a content, written but not yet durable.
pub(super) struct Whole {
    pub(super) file: TempFile,
    pub(super) layer: Layer,
    /// The layer, durable already.
    pub(super) layer_file: Option<TempFile>,
    pub(super) reservation: Reservation,
    pub(super) origin: Origin,
    pub(super) purpose: Purpose,
}

/// Where the bytes come from, and what the database knows of that.
pub(super) enum Origin {
    /// It knows nothing.
    New,
    /// A fetch, with a row in `partials` if it had a checkpoint. Its guard is with the caller.
    Fetch,
    /// An import with a checkpoint, under this name.
    CutImport(String),
}

/// Runs to its end once begun: call it through `Store::finish`.
pub(super) async fn commit(inner: Arc<Inner>, whole: Whole) -> Result<Imported, StoreError> {
    let done = Imported {
        hash: whole.layer.hash(),
        size: whole.layer.size(),
    };
    let mut whole = make_durable(&inner, whole).await?;
    if let Origin::CutImport(name) = &whole.origin {
        cut_imports::will_be(&inner, name, done.hash).await?;
    }
    let mut writer = inner.metadata.writer().await?;
    let known = metadata::size_of(&mut writer, done.hash).await?.is_some();
    // What an earlier fetch left is of no use any more, unless a fetch is at it.
    let paused = match whole.origin {
        Origin::Fetch => None,
        Origin::New | Origin::CutImport(_) => inner.fetching.pause(done.hash),
    };
    let disk = inner.disk.clone();
    let placing = blocking(move || {
        let placed = whole.place(&disk, known);
        Ok((whole, placed.map_err(StoreError::io("name the content"))))
    });
    let placed;
    (whole, placed) = placing.await?;
    let registered = match placed {
        Ok(()) => register(&inner, &mut writer, &whole, known, paused.is_some()).await,
        Err(error) => Err(whole.refused(&inner, error)),
    };
    let Registered {
        tx,
        idle,
        held,
        healed,
    } = match registered {
        Ok(registered) => registered,
        Err(error) => {
            if !known {
                withdraw(&inner, whole).await;
            }
            return Err(error);
        }
    };
    // When this fails nobody knows what is in the log of the database: the next start finds out.
    tx.commit().await?;
    whole.settle(known, done.size);
    if let Some(size) = idle {
        inner.space.partial_removed(size);
        let disk = inner.disk.clone();
        let removed = blocking(move || Ok(disk.remove_partial(&done.hash.to_string()))).await?;
        if let Err(error) = removed {
            tracing::warn!(%error, CONTENT_HASH = %done.hash, "what a fetch left stays until the next start");
        }
    }
    inner.arrived.notify_one();
    if healed {
        let old = |publication: &Publication| held.as_ref().is_none_or(|new| new.id != publication.id);
        let store = Store { inner: inner.clone() };
        store
            .tell_holders(done.hash, old, |publication| What::Healed { publication })
            .await;
    }
    if let Some(publication) = held {
        inner.teller.tell(What::Stored { publication });
    }
    Ok(done)
}

/// A content's transaction, to be committed.
struct Registered<'c> {
    tx: Transaction<'c, Sqlite>,
    /// The size of the partial that it ends on which nobody worked.
    idle: Option<u64>,
    /// Its new hold.
    held: Option<Publication>,
    /// It was damaged.
    healed: bool,
}

/// The transaction that makes it a content.
async fn register<'c>(
    inner: &Inner,
    writer: &'c mut Writer,
    whole: &Whole,
    known: bool,
    paused: bool,
) -> Result<Registered<'c>, StoreError> {
    let (hash, size) = (whole.layer.hash(), whole.layer.size());
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut healed = false;
    if !known {
        metadata::register(&mut tx, hash, size).await?;
        healed = damage::heal(&mut tx, hash).await?;
    }
    let mut idle = None;
    match &whole.origin {
        Origin::Fetch => drop(partials::delete(&mut tx, hash).await?),
        _ if paused => idle = partials::delete(&mut tx, hash).await?,
        _ => {}
    }
    if let Origin::CutImport(name) = &whole.origin {
        cut_imports::delete(&mut tx, name).await?;
    }
    let mut held = None;
    match &whole.purpose {
        Purpose::Nothing => {}
        Purpose::Hold(publication) => {
            let new = holds::insert(&mut tx, publication).await?;
            held = new.then(|| publication.clone());
        }
        Purpose::Publish { id, note } => publishing::insert(&mut tx, *id, hash, note).await?,
    }
    inner.before_commit()?;
    Ok(Registered {
        tx,
        idle,
        held,
        healed,
    })
}

/// Takes back the names of a content that no row knows, while nobody else may give names: into `partial/` when a
/// checkpoint speaks of it.
async fn withdraw(inner: &Inner, whole: Whole) {
    let (disk, hash, size) = (inner.disk.clone(), whole.layer.hash(), whole.layer.size());
    let gone = blocking(move || {
        let back = match &whole.origin {
            Origin::Fetch if whole.file.is_kept() => disk.bring_back(hash, size),
            Origin::CutImport(name) if whole.file.is_kept() => disk.bring_back_import(name, hash),
            _ => Ok(()),
        };
        Ok(back.and_then(|()| disk.remove_content(hash)))
    })
    .await;
    if let Ok(Err(error)) = gone {
        tracing::warn!(%error, CONTENT_HASH = %hash, "the file of a failed commit stays until the next start");
    }
}

/// The bytes and the layer. When the bytes' fsync fails, all that the database knows of them is forgotten.
async fn make_durable(inner: &Arc<Inner>, whole: Whole) -> Result<Whole, StoreError> {
    let disk = inner.disk.clone();
    let (mut whole, synced, layer) = blocking(move || {
        let synced = whole
            .file
            .sync()
            .map_err(StoreError::io("make the content durable"));
        let layer = match (&synced, &whole.layer_file) {
            (Ok(()), None) => write_layer(&disk, &whole.layer),
            _ => Ok(None),
        };
        Ok((whole, synced, layer))
    })
    .await?;
    if let Err(error) = synced {
        let error = whole.refused(inner, error);
        whole.give_up(inner).await;
        return Err(error);
    }
    match layer {
        Ok(Some(file)) => whole.layer_file = Some(file),
        Ok(None) => {}
        Err(error) => return Err(whole.refused(inner, error)),
    }
    Ok(whole)
}

impl Whole {
    /// The disk did: that is remembered, and a full one called so.
    fn refused(&self, inner: &Inner, error: StoreError) -> StoreError {
        inner.faults.note(Some(self.layer.hash()), &error);
        self.reservation.named(error)
    }

    /// Nothing of it may be believed.
    async fn give_up(mut self, inner: &Arc<Inner>) {
        self.reservation.keep(0);
        let forgotten = match &self.origin {
            Origin::New => Ok(0),
            Origin::Fetch => partials::forget(inner, self.layer.hash(), false).await,
            Origin::CutImport(name) => cut_imports::forget(inner, name, false).await,
        };
        if let Err(error) = forgotten {
            tracing::warn!(%error, "a partial that is not to be believed stays in the metadata");
        }
        self.unkeep();
    }

    /// What has no place goes when this goes.
    fn unkeep(&mut self) {
        self.file.keep(false);
        if let Some(file) = &mut self.layer_file {
            file.keep(false);
        }
    }

    /// Gives both files their names, durably. One copy is enough, if it is there.
    fn place(&mut self, disk: &Disk, known: bool) -> std::io::Result<()> {
        let (hash, size) = (self.layer.hash(), self.layer.size());
        if known && disk.has_content(hash, size) {
            return Ok(());
        }
        if let Some(layer) = &mut self.layer_file {
            disk.place(layer, Kind::Layer, hash)?;
        }
        disk.place(&mut self.file, Kind::Content, hash)
    }

    /// It is registered.
    fn settle(mut self, known: bool, size: u64) {
        self.unkeep();
        if known {
            self.reservation.keep(0);
        } else {
            self.reservation.settle(size);
        }
    }
}

/// The layer in a file of its own, durable but without a name; none for a content of one group.
fn write_layer(disk: &Disk, layer: &Layer) -> Result<Option<TempFile>, StoreError> {
    if layer.values().is_empty() {
        return Ok(None);
    }
    let file = disk
        .create_temporary()
        .map_err(StoreError::io("make a temporary file"))?;
    file.write_at(0, layer.values().as_flattened())
        .map_err(StoreError::io("write the layer"))?;
    file.sync().map_err(StoreError::io("make the layer durable"))?;
    Ok(Some(file))
}
