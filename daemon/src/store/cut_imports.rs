//! Checkpoints of imports: the copy is fsynced, the chaining values so far are made durable beside it, and then the row in
//! `imports` says how far both count. Owns those rows. After a crash the next import of the same unchanged source goes on
//! there; a row whose files are missing or short is forgotten.

use std::{fs::File, sync::Arc};

use p2p_proto::ContentHash;
use sqlx::{Connection, Row, SqliteConnection};

use super::{
    Inner, blocking,
    checkpoint::{Failed, blocking_or_failed},
    disk::TempFile,
    error::StoreError,
    layer::{ChainingValue, GROUP},
    metadata::{self, signed, unsigned},
    partial_files::layer_name,
    partials::now,
};

/// What is durable of an import.
pub(super) struct Cut {
    /// Of the copy in `partial/`.
    pub(super) name: String,
    stamp: String,
    /// The chaining values; None before the first checkpoint.
    values: Option<TempFile>,
    /// How many of them are durable.
    saved: usize,
    /// There is a row.
    pub(super) durable: bool,
}

/// What an import goes on with.
pub(super) struct Resumed {
    pub(super) cut: Cut,
    pub(super) file: TempFile,
    pub(super) values: Vec<ChainingValue>,
}

impl Cut {
    /// Nothing yet.
    pub(super) const fn new(name: String, stamp: String) -> Self {
        Self {
            name,
            stamp,
            values: None,
            saved: 0,
            durable: false,
        }
    }

    /// How many chaining values are durable.
    pub(super) const fn saved(&self) -> usize {
        self.saved
    }

    /// Bytes that are durable and hashed.
    pub(super) const fn done(&self) -> u64 {
        self.saved as u64 * GROUP
    }

    /// The values go when this goes.
    pub(super) const fn unkeep(&mut self) {
        if let Some(file) = &mut self.values {
            file.keep(false);
        }
    }
}

/// What is durable of an import of this source, and its files; forgets what is not as its row says.
pub(super) async fn find(inner: &Arc<Inner>, stamp: &str, size: u64) -> Result<Option<Resumed>, StoreError> {
    let row = sqlx::query("SELECT file, done FROM imports WHERE stamp = ?")
        .bind(stamp)
        .fetch_optional(inner.metadata.reader())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (name, done): (String, u64) = (row.try_get(0)?, unsigned(&row, 1)?);
    let (opening, opened, stamp) = (inner.clone(), name.clone(), stamp.to_owned());
    let resumed = blocking(move || {
        let open = || -> std::io::Result<_> {
            let disk = &opening.disk;
            let saved = usize::try_from(done / GROUP).unwrap_or(usize::MAX);
            // The last group is never closed before the end is seen.
            if saved == 0 || done >= size || disk.partial_len(&opened)?.is_none_or(|len| len < done) {
                return Ok(None);
            }
            let values = match disk.partial_values(&opened, saved) {
                Ok(values) => values,
                // Those that cannot be read are as good as none.
                Err(error) => {
                    let what = format!("cannot read what an import had hashed: {error}");
                    opening.faults.add(None, what);
                    None
                }
            };
            let (file, layer) = (
                disk.open_partial(&opened)?,
                disk.open_partial(&layer_name(&opened))?,
            );
            let (Some(values), Some(file), Some(layer)) = (values, file, layer) else {
                return Ok(None);
            };
            let cut = Cut {
                name: opened,
                stamp,
                values: Some(layer),
                saved,
                durable: true,
            };
            Ok(Some(Resumed { cut, file, values }))
        };
        open().map_err(StoreError::io("open a cut import"))
    })
    .await?;
    if resumed.is_none() {
        forget(inner, &name, true).await?;
    }
    Ok(resumed)
}

/// What became of a checkpoint.
pub(super) struct Saved {
    pub(super) cut: Cut,
    pub(super) result: Result<(), Failed>,
}

/// A checkpoint: all of `copy` that these further values speak of was written.
pub(super) async fn save(inner: Arc<Inner>, mut cut: Cut, copy: File, further: Vec<ChainingValue>) -> Saved {
    let result = async {
        let disk = inner.disk.clone();
        let (name, saved, values) = (cut.name.clone(), cut.saved, cut.values.take());
        let (count, first) = (saved + further.len(), !cut.durable);
        let (values, written) = blocking_or_failed(move || {
            disk.sys()
                .sync_file(&copy)
                .map_err(Failed::sync("make a checkpoint durable"))?;
            let file = match values {
                Some(file) => file,
                None => disk
                    .create_partial(&layer_name(&name))
                    .map_err(Failed::other("make the layer's file"))?,
            };
            // The file is handed back also after an error: what it had is still good.
            let write = || {
                file.write_at(saved as u64 * 32, further.as_flattened())
                    .map_err(Failed::other("write the layer"))?;
                file.sync().map_err(Failed::sync("make the layer durable"))?;
                match first {
                    true => disk
                        .sync_partials()
                        .map_err(Failed::sync("make a checkpoint's name durable")),
                    false => Ok(()),
                }
            };
            let written = write();
            Ok((file, written))
        })
        .await?;
        cut.values = Some(values);
        written?;
        record(&inner, &cut, count)
            .await
            .map_err(|error| Failed { error, lost: false })?;
        cut.saved = count;
        cut.durable = true;
        if let Some(file) = &mut cut.values {
            file.keep(true);
        }
        Ok(())
    }
    .await;
    Saved { cut, result }
}

async fn record(inner: &Inner, cut: &Cut, count: usize) -> Result<(), StoreError> {
    let mut writer = inner.metadata.writer().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "INSERT INTO imports (file, stamp, done, changed_at) VALUES (?, ?, ?, ?) ON CONFLICT (file) DO UPDATE
         SET done = excluded.done, changed_at = excluded.changed_at",
    )
    .bind(&cut.name)
    .bind(&cut.stamp)
    .bind(signed(count as u64 * GROUP)?)
    .bind(now())
    .execute(&mut *tx)
    .await?;
    inner.before_commit()?;
    tx.commit().await?;
    Ok(())
}

/// All is hashed, and its file is about to go to `content/`: a crash before the content's row must find it there.
pub(super) async fn will_be(inner: &Inner, name: &str, hash: ContentHash) -> Result<(), StoreError> {
    let mut writer = inner.metadata.writer().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("UPDATE imports SET hash = ?2 WHERE file = ?1")
        .bind(name)
        .bind(&hash.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    inner.before_commit()?;
    tx.commit().await?;
    Ok(())
}

/// Forgets the row; how far it was, if it was there.
pub(super) async fn delete(db: &mut SqliteConnection, name: &str) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query("DELETE FROM imports WHERE file = ? RETURNING done")
        .bind(name)
        .fetch_optional(db)
        .await?;
    row.map(|row| unsigned(&row, 0)).transpose()
}

/// Forgets the row, then removes the files. `idle`: its bytes are in nobody's reservation. Returns the bytes of the disk
/// that were freed.
pub(super) async fn forget(inner: &Arc<Inner>, name: &str, idle: bool) -> Result<u64, StoreError> {
    let mut writer = inner.metadata.writer().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let done = delete(&mut tx, name).await?;
    inner.before_commit()?;
    tx.commit().await?;
    if let Some(done) = done.filter(|_| idle) {
        inner.space.partial_removed(done);
    }
    let (disk, name) = (inner.disk.clone(), name.to_owned());
    blocking(move || {
        disk.remove_partial(&name)
            .map_err(StoreError::io("remove a cut import"))
    })
    .await
}

/// A row.
pub(super) struct CutImport {
    pub(super) name: String,
    /// Bytes that are durable and hashed.
    pub(super) done: u64,
    /// Where the file may be instead.
    pub(super) hash: Option<ContentHash>,
}

/// Every row.
pub(super) async fn all(db: &mut SqliteConnection) -> Result<Vec<CutImport>, StoreError> {
    let rows = sqlx::query("SELECT file, done, hash FROM imports")
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            let hash = row.try_get::<Option<&[u8]>, _>(2)?;
            Ok(CutImport {
                name: row.try_get(0)?,
                done: unsigned(row, 1)?,
                hash: hash.map(|_| metadata::hash(row, 2)).transpose()?,
            })
        })
        .collect()
}
