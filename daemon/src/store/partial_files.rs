//! The folder `partial/`: the bytes of unfinished fetches, damaged contents and cut imports, each under a name with its
//! chaining values beside it in `<name>.layer`. A file here counts when a row in the database knows its name, and then
//! only for what that row says. What no row knows the next start removes.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use p2p_proto::ContentHash;

use super::{
    disk::{Disk, Kind, TempFile},
    layer::{ChainingValue, Layer},
};

/// The name of the file with the chaining values of the file `name`.
pub(super) fn layer_name(name: &str) -> String {
    format!("{name}.layer")
}

impl Disk {
    pub(super) fn partials(&self) -> PathBuf {
        self.root().join("partial")
    }

    /// An empty file of this name, removed again unless it is placed or kept. One that no row knew is replaced.
    pub(super) fn create_partial(&self, name: &str) -> io::Result<TempFile> {
        let path = self.partials().join(name);
        let file = match self.sys().create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.sys().remove(&path)?;
                self.sys().create(&path)
            }
            other => other,
        }?;
        Ok(TempFile::new(file, self.sys(), path, false))
    }

    /// The file of this name, to go on with; kept. None when it is not there.
    pub(super) fn open_partial(&self, name: &str) -> io::Result<Option<TempFile>> {
        let path = self.partials().join(name);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(TempFile::new(file, self.sys(), path, true))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the names in `partial/` durable.
    pub(super) fn sync_partials(&self) -> io::Result<()> {
        self.sys().sync_folder(&self.partials())
    }

    /// Bytes of the file of this name; None when it is not there.
    pub(super) fn partial_len(&self, name: &str) -> io::Result<Option<u64>> {
        match fs::metadata(self.partials().join(name)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the files of a partial content of `size` bytes are as long as they must be.
    pub(super) fn has_partial(&self, hash: ContentHash, size: u64) -> io::Result<bool> {
        let (name, layer) = (hash.to_string(), layer_len(size));
        Ok(self.partial_len(&name)? == Some(size)
            && (layer == 0 || self.partial_len(&layer_name(&name))? == Some(layer)))
    }

    /// Removes the file of this name and its layer; one that is not there is fine. Returns the bytes of the disk that
    /// they took. Not fsynced: what a crash brings back is removed by the next `Store::open`.
    pub(super) fn remove_partial(&self, name: &str) -> io::Result<u64> {
        let mut freed = 0;
        for name in [name, &layer_name(name)] {
            let path = self.partials().join(name);
            let taken = fs::metadata(&path).map_or(0, |meta| meta.blocks() * 512);
            match self.sys().remove(&path) {
                Ok(()) => freed += taken,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(freed)
    }

    /// Reads the chaining values beside the file of this name: `count` of them, None when there are fewer.
    pub(super) fn partial_values(&self, name: &str, count: usize) -> io::Result<Option<Vec<ChainingValue>>> {
        let file = match File::open(self.partials().join(layer_name(name))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // The length is looked at before memory is taken for it.
        if file.metadata()?.len() < count as u64 * 32 {
            return Ok(None);
        }
        let mut values = vec![[0; 32]; count];
        let read = self.sys().read_full(&file, 0, values.as_flattened_mut())?;
        Ok((read == count * 32).then_some(values))
    }

    /// Takes what a partial's row speaks of out of `content/` and `layer/`, durably, when it is there and not in
    /// `partial/`: a commit that did not come to its row, or damage that was recorded and not yet put aside. The
    /// database must not know the content as a good one, and nobody else may give or take names meanwhile.
    pub(super) fn bring_back(&self, hash: ContentHash, size: u64) -> io::Result<()> {
        let mut moved = Vec::new();
        let result = self.move_back(hash, size, &mut moved);
        if result.is_err() {
            // As it was, so that the next one does it anew: what a failed fsync left out no later one writes.
            for (from, to) in moved.iter().rev() {
                if let Err(error) = self.sys().rename(to, from) {
                    tracing::warn!(%error, CONTENT_HASH = %hash, "a file on its way back to partial/ stays there");
                }
            }
        }
        result
    }

    fn move_back(&self, hash: ContentHash, size: u64, moved: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
        let name = hash.to_string();
        for (kind, name) in [(Kind::Content, name.clone()), (Kind::Layer, layer_name(&name))] {
            if kind == Kind::Layer && layer_len(size) == 0 || self.partial_len(&name)?.is_some() {
                continue;
            }
            let (from, to) = (self.named(kind, hash), self.partials().join(name));
            if kind == Kind::Content && fs::metadata(&from).is_ok_and(|meta| meta.len() != size) {
                let file = OpenOptions::new().write(true).open(&from)?;
                self.sys().set_len(&file, size)?;
                if let Err(error) = self.sys().sync_file(&file) {
                    // Of its length nothing is known any more.
                    self.sys().remove(&from)?;
                    return Err(error);
                }
            }
            match self.sys().rename(&from, &to) {
                Ok(()) => moved.push((from, to)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        // The old names may come back: no row knows those.
        match moved.is_empty() {
            true => Ok(()),
            false => self.sync_partials(),
        }
    }

    /// The same for the copy of an import, when a content of this hash is not known as a good one.
    pub(super) fn bring_back_import(&self, name: &str, hash: ContentHash) -> io::Result<()> {
        if self.partial_len(name)?.is_some() {
            return Ok(());
        }
        let (from, to) = (self.named(Kind::Content, hash), self.partials().join(name));
        match self.sys().rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        let synced = self.sync_partials();
        if synced.is_err() {
            self.sys().rename(&to, &from)?;
        }
        synced
    }
}

/// Bytes of the layer of a content of `size` bytes.
const fn layer_len(size: u64) -> u64 {
    Layer::group_count(size) * size_of::<ChainingValue>() as u64
}
