//! What a start does with what an earlier run left: rows and files are brought into agreement, and what counts for nothing
//! is removed. Each step can be repeated, so a crash in between costs nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use p2p_proto::ContentHash;
use sqlx::Connection;

use super::{
    blocking, cut_imports,
    disk::{Disk, Kind},
    error::StoreError,
    layer::{GROUP, Layer},
    metadata::{self, Metadata},
    partial_files::layer_name,
    partials::{self, before},
};

/// A partial that did not grow for so long is given up.
const EXPIRE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is there after a start.
pub(super) struct Recovered {
    /// Bytes of contents.
    pub(super) stored: u64,
    /// Bytes kept for partial contents and cut imports.
    pub(super) partial: u64,
}

/// Makes the folder and the database agree. Nobody else may have the store yet.
pub(super) async fn recover(disk: &Arc<Disk>, metadata: &Metadata) -> Result<Recovered, StoreError> {
    let unheld = forget(disk, metadata).await?;
    let contents: HashMap<_, _> = metadata.contents().await?.into_iter().collect();
    let (partial, known) = check(disk, metadata, &contents).await?;
    let stored = contents.values().sum();
    let sweeper = disk.clone();
    let swept = blocking(move || {
        let good = |kind, hash: ContentHash| {
            contents
                .get(&hash)
                .is_some_and(|&size| kind == Kind::Content || Layer::group_count(size) > 0)
        };
        sweeper
            .sweep(&good, &|name| known.contains(name))
            .map_err(StoreError::io("remove what a crash left"))
    })
    .await?;
    if unheld + swept > 0 {
        tracing::info!(
            unheld,
            files = swept,
            "removed what an earlier run left unfinished"
        );
    }
    Ok(Recovered { stored, partial })
}

/// Forgets what nobody wants any more. Returns how many contents went.
async fn forget(disk: &Disk, metadata: &Metadata) -> Result<u64, StoreError> {
    let mut writer = metadata.writer().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let unheld = metadata::forget_all_unheld(&mut tx).await?;
    partials::forget_useless(&mut tx, before(EXPIRE)).await?;
    sqlx::query("DELETE FROM imports WHERE changed_at <= ?")
        .bind(before(EXPIRE))
        .execute(&mut *tx)
        .await?;
    let announced = disk.sys().before_commit();
    announced.map_err(StoreError::io("write the store's metadata"))?;
    tx.commit().await?;
    Ok(unheld)
}

/// Takes back what a commit or a quarantine left on its way, and forgets the rows whose files are not what they say.
/// Returns the bytes kept for the others, and the names of their files.
async fn check(
    disk: &Arc<Disk>,
    metadata: &Metadata,
    contents: &HashMap<ContentHash, u64>,
) -> Result<(u64, HashSet<String>), StoreError> {
    let mut writer = metadata.writer().await?;
    let fetches = partials::all(&mut writer).await?;
    let mut imports = cut_imports::all(&mut writer).await?;
    for import in &mut imports {
        import.hash = import.hash.filter(|hash| !contents.contains_key(hash));
    }
    let looking = disk.clone();
    let (true_fetches, lost_fetches, true_imports, lost_imports) = blocking(move || {
        look(&looking, fetches, imports).map_err(StoreError::io("look at what an earlier run left"))
    })
    .await?;
    if !lost_fetches.is_empty() || !lost_imports.is_empty() {
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        for hash in lost_fetches {
            partials::delete(&mut tx, hash).await?;
        }
        for name in lost_imports {
            cut_imports::delete(&mut tx, &name).await?;
        }
        let announced = disk.sys().before_commit();
        announced.map_err(StoreError::io("write the store's metadata"))?;
        tx.commit().await?;
    }
    let bytes = true_fetches.iter().map(|(_, size)| size);
    let bytes = bytes.chain(true_imports.iter().map(|(_, done)| done)).sum();
    let names = true_fetches.iter().map(|(hash, _)| hash.to_string());
    let names = names.chain(true_imports.into_iter().map(|(name, _)| name));
    let names = names.flat_map(|name| [layer_name(&name), name]).collect();
    Ok((bytes, names))
}

/// Rows of fetches and imports that are true, and those that are not.
type Looked = (
    Vec<(ContentHash, u64)>,
    Vec<ContentHash>,
    Vec<(String, u64)>,
    Vec<String>,
);

fn look(
    disk: &Disk,
    fetches: Vec<partials::Partial>,
    imports: Vec<cut_imports::CutImport>,
) -> std::io::Result<Looked> {
    let mut looked = Looked::default();
    for partials::Partial { hash, size, .. } in fetches {
        disk.bring_back(hash, size)?;
        if disk.has_partial(hash, size)? {
            looked.0.push((hash, size));
        } else {
            looked.1.push(hash);
        }
    }
    for cut_imports::CutImport { name, done, hash } in imports {
        if let Some(hash) = hash {
            disk.bring_back_import(&name, hash)?;
        }
        let copy = disk.partial_len(&name)?.unwrap_or(0);
        let values = disk.partial_len(&layer_name(&name))?.unwrap_or(0);
        if copy >= done && values >= done / GROUP * 32 {
            looked.2.push((name, done));
        } else {
            looked.3.push(name);
        }
    }
    Ok(looked)
}
