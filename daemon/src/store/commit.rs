//! How a temporary file becomes a content: bytes and layer fsynced, renamed, their folders fsynced, and only then the
//! row in the database. A crash before the row leaves files that nobody names, and `Store::open` removes them; after it
//! all is durable. An error in between has the same end: the files go, under whatever name, and nothing is registered.

use std::sync::Arc;

use p2p_proto::ContentHash;

use super::{
    Inner, blocking,
    disk::{Disk, Kind, TempFile},
    error::{StoreError, is_full},
    layer::Layer,
    metadata,
    space::Reservation,
};

/// A content that is durable and registered, and that its bringer has a claim on until it is held
/// ([`super::Store::add_hold`]) or given up ([`super::Store::forget_unheld`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What it is.
    pub hash: ContentHash,
    /// Its bytes.
    pub size: u64,
}

/// All bytes of a content, written but not yet durable.
pub(super) struct Whole {
    pub(super) file: TempFile,
    pub(super) layer: Layer,
    pub(super) reservation: Reservation,
}

/// Runs to its end once begun: call it through `Store::finish`.
pub(super) async fn commit(inner: Arc<Inner>, whole: Whole) -> Result<Imported, StoreError> {
    let Whole {
        file,
        layer,
        reservation,
    } = whole;
    let done = Imported {
        hash: layer.hash(),
        size: layer.size(),
    };
    let disk = inner.disk.clone();
    let synced = blocking(move || {
        file.sync().map_err(StoreError::io("make the content durable"))?;
        let layer = write_layer(&disk, &layer)?;
        Ok((file, layer))
    });
    let (file, layer) = match synced.await {
        Err(StoreError::Io { source, .. }) if is_full(&source) => return Err(reservation.full()),
        other => other?,
    };
    let mut writer = inner.metadata.writer().await?;
    let known = metadata::size_of(&mut writer, done.hash).await?.is_some();
    let disk = inner.disk.clone();
    let place = move || {
        // One copy is enough, if it is there.
        if known && disk.has_content(done.hash, done.size) {
            return Ok(());
        }
        if let Some(layer) = layer {
            disk.place(layer, Kind::Layer, done.hash)?;
        }
        disk.place(file, Kind::Content, done.hash)
    };
    let placed = blocking(|| Ok(place())).await?;
    let placed = placed.map_err(reservation.io("name the content"));
    if !known {
        if let Err(error) = placed.and_then(|()| inner.before_commit()) {
            withdraw(&inner, done.hash).await;
            return Err(error);
        }
        // When this fails nobody knows what is in the log of the database: the next start finds out.
        metadata::register(&mut writer, done.hash, done.size).await?;
        reservation.settle(done.size);
    } else {
        placed?;
    }
    inner.claims.add(done.hash);
    Ok(done)
}

/// Takes back the names of a content that no row knows, while nobody else may give names.
async fn withdraw(inner: &Inner, hash: ContentHash) {
    let disk = inner.disk.clone();
    let gone = blocking(move || Ok(disk.remove_content(hash))).await;
    if let Ok(Err(error)) = gone {
        tracing::warn!(%error, CONTENT_HASH = %hash, "the file of a failed commit stays until the next start");
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
