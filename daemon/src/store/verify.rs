//! Verifying: a stored content is read back whole and every group checked. Changes nothing itself but the time at which
//! a content was found good; what is found damaged is put aside by `damage`. A crash leaves what was not yet recorded to
//! be found again.

use std::{fs::File, io, os::unix::fs::MetadataExt, time::Duration};

use p2p_proto::ContentHash;
use rustix::fs::Advice;
use sqlx::Connection;
use tokio::time::Instant;

use super::{
    ProgressSink, Store, blocking,
    buffer::{BUFFER_LEN, Buffer},
    content, damage,
    disk::{Disk, Kind},
    error::StoreError,
    groups::Groups,
    layer::{GROUP, Layer, LayerBuilder},
    metadata, partials,
};

/// How fast a stored content is read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// On average; 0 counts as 1.
    pub bytes_per_second: u64,
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte is the content's.
    Good,
    /// It is not served any more. What is good of it is a partial, with which [`Store::begin`] goes on.
    Damaged {
        /// What is wrong.
        reason: String,
    },
}

/// What was found, and in which file.
pub(super) struct Found {
    /// Device and inode; None when the file is gone.
    pub(super) identity: Option<(u64, u64)>,
    /// Those that are good.
    pub(super) groups: Groups,
    /// None when it is not known any more.
    pub(super) layer: Option<Layer>,
    /// `layer` is what is in the layer's file.
    pub(super) layer_stored: bool,
    reason: Option<String>,
}

/// Which file a content has; None when it has none.
pub(super) fn identity(disk: &Disk, hash: ContentHash) -> io::Result<Option<(u64, u64)>> {
    match std::fs::metadata(disk.named(Kind::Content, hash)) {
        Ok(meta) => Ok(Some((meta.dev(), meta.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Store {
    /// Reads a stored content back and checks all of it, not faster than `pace`. `progress` is told the bytes that were
    /// read. What is damaged is put aside: not served from now on, its holds partial, until it is fetched again. Dropped,
    /// it stops.
    ///
    /// # Errors
    /// [`StoreError::NotStored`]; those of the database; when the system cannot say whether the content is good.
    pub async fn verify(
        &self,
        hash: ContentHash,
        pace: Option<Pace>,
        progress: ProgressSink,
    ) -> Result<Verdict, StoreError> {
        loop {
            let mut reader = self.inner.metadata.reader().acquire().await?;
            if let Some(reason) = damage::reason(&mut reader, hash).await? {
                return Ok(Verdict::Damaged { reason });
            }
            let size = metadata::size_of(&mut reader, hash).await?;
            drop(reader);
            let size = size.ok_or(StoreError::NotStored { hash })?;
            let found = self.examine(hash, size, pace, &progress).await?;
            let Some(reason) = found.reason.clone() else {
                self.note_good(hash).await?;
                return Ok(Verdict::Good);
            };
            let quarantine = damage::quarantine(self.inner.clone(), hash, size, reason.clone(), found);
            if self.finish(quarantine).await? {
                return Ok(Verdict::Damaged { reason });
            }
            // It was replaced or dropped meanwhile: what is there now?
        }
    }

    async fn note_good(&self, hash: ContentHash) -> Result<(), StoreError> {
        let inner = self.inner.clone();
        self.finish(async move {
            let mut writer = inner.metadata.writer().await?;
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(
                "INSERT INTO verified (hash, at) SELECT hash, ?2 FROM contents WHERE hash = ?1
                 ON CONFLICT (hash) DO UPDATE SET at = excluded.at",
            )
            .bind(&hash.as_bytes()[..])
            .bind(partials::now())
            .execute(&mut *tx)
            .await?;
            inner.before_commit()?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn examine(
        &self,
        hash: ContentHash,
        size: u64,
        pace: Option<Pace>,
        progress: &ProgressSink,
    ) -> Result<Found, StoreError> {
        let disk = self.inner.disk.clone();
        let mut exam = blocking(move || Exam::begin(&disk, hash, size)).await?;
        let begun = Instant::now();
        while exam.done < size && exam.file.is_some() {
            let disk = self.inner.disk.clone();
            exam = blocking(move || {
                exam.step(&disk)?;
                Ok(exam)
            })
            .await?;
            progress(exam.done);
            if let Some(Pace { bytes_per_second }) = pace {
                let due = exam.done as f64 / bytes_per_second.max(1) as f64;
                let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
                if let Some(due) = begun.checked_add(due) {
                    tokio::time::sleep_until(due).await;
                }
            }
        }
        for (what, error) in [
            ("the content", &exam.unreadable),
            ("a content's layer", &exam.layer_unreadable),
        ] {
            if let Some(error) = error {
                let faults = &self.inner.faults;
                faults.add(Some(hash), format!("cannot read {what}: {error}"));
            }
        }
        Ok(exam.end())
    }
}

/// One content that is looked at.
struct Exam {
    hash: ContentHash,
    size: u64,
    file: Option<File>,
    /// Of the file, as it is.
    len: u64,
    identity: Option<(u64, u64)>,
    layer: Option<Layer>,
    /// Makes the layer anew when the stored one is no good.
    builder: Option<LayerBuilder>,
    groups: Groups,
    buffer: Buffer,
    done: u64,
    /// The first read error.
    unreadable: Option<io::Error>,
    /// The layer's.
    layer_unreadable: Option<io::Error>,
}

const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// The file or its bytes are not to be had; other errors say nothing of them.
fn is_damage(error: &io::Error) -> bool {
    let missing = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    );
    missing || error.raw_os_error() == Some(EIO)
}

/// None for what is damage.
fn unless_damage<T>(result: io::Result<T>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(StoreError::io("open a stored content")(error)),
    }
}

impl Exam {
    fn begin(disk: &Disk, hash: ContentHash, size: u64) -> Result<Self, StoreError> {
        let file = unless_damage(disk.open_named(Kind::Content, hash))?;
        let (layer, layer_unreadable) = match content::read_layer(disk, hash, size) {
            Err(error) if error.raw_os_error() == Some(EIO) => (None, Some(error)),
            other => (unless_damage(other)?.flatten(), None),
        };
        let (mut len, mut identity) = (0, None);
        if let Some(file) = &file {
            let meta = file.metadata();
            let meta = meta.map_err(StoreError::io("look at a stored content"))?;
            (len, identity) = (meta.len(), Some((meta.dev(), meta.ino())));
            // The disk is asked, not memory; only a wish.
            let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
        }
        Ok(Self {
            hash,
            size,
            file,
            len,
            identity,
            builder: layer.is_none().then(LayerBuilder::new),
            layer,
            groups: Groups::new(size),
            buffer: Buffer::new(),
            done: 0,
            unreadable: None,
            layer_unreadable,
        })
    }

    /// The next buffer.
    fn step(&mut self, disk: &Disk) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let want = (self.size - self.done).min(BUFFER_LEN as u64) as usize;
        let bytes = &mut self.buffer.bytes_mut()[..want];
        let offset = self.done;
        let whole = match disk.sys().read_full(file, offset, bytes) {
            Ok(read) => read == want,
            Err(error) if is_damage(&error) => {
                self.unreadable.get_or_insert(error);
                false
            }
            Err(error) => return Err(StoreError::io("read a stored content")(error)),
        };
        self.done += want as u64;
        match (&self.layer, &mut self.builder) {
            (Some(layer), _) if whole && layer.verify(offset, bytes) => self.groups.add(offset, want as u64),
            (Some(layer), _) => {
                // Which of them is it?
                for (index, group) in bytes.chunks_mut(GROUP as usize).enumerate() {
                    let at = offset + index as u64 * GROUP;
                    match disk.sys().read_full(file, at, group) {
                        Ok(read) if read == group.len() && layer.verify(at, group) => {
                            self.groups.add(at, read as u64);
                        }
                        Ok(_) => {}
                        Err(error) => {
                            self.unreadable.get_or_insert(error);
                        }
                    }
                }
            }
            (None, Some(builder)) if whole => builder.push(bytes),
            // Without a layer and without all bytes nothing can be known.
            (None, _) => self.builder = None,
        }
        Ok(())
    }

    fn end(mut self) -> Found {
        let layer_stored = self.layer.is_some();
        if let Some(built) = self.builder.take().map(LayerBuilder::finish)
            && self.file.is_some()
            && built.hash() == self.hash
            && built.size() == self.size
        {
            self.groups.add(0, self.size);
            self.layer = Some(built);
        }
        // Of an empty content there is nothing to read.
        if self.size == 0 && self.file.is_some() && self.hash == ContentHash::of(&[]) {
            self.groups.add(0, 0);
        }
        Found {
            reason: self.reason(layer_stored),
            identity: self.identity,
            groups: self.groups,
            layer: self.layer,
            layer_stored,
        }
    }

    fn reason(&self, layer_stored: bool) -> Option<String> {
        let missing = self.groups.missing();
        let groups = self.size.div_ceil(GROUP).max(1);
        if self.file.is_none() {
            Some("its file cannot be opened".into())
        } else if let Some(error) = &self.unreadable {
            Some(format!("{missing} of {groups} groups cannot be read: {error}"))
        } else if self.len != self.size {
            Some(format!("its file has {} of {} bytes", self.len, self.size))
        } else if !layer_stored {
            Some("its layer is gone or is another content's".into())
        } else if missing > 0 {
            Some(format!("{missing} of {groups} groups are not what they were"))
        } else {
            None
        }
    }
}
