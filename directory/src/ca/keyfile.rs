//! Files of the authority: written under a temporary name, synced and renamed, so that after a crash a file is there
//! wholly or not at all.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use zeroize::Zeroizing;

use super::CaError;

/// No file of the authority is larger, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Reads the file; `None` when it is missing.
///
/// # Errors
/// When it cannot be read or is far too large.
pub fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, CaError> {
    let failed = |source| CaError::File {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.len() > MAX_FILE => {
            return Err(CaError::Damaged {
                path: path.to_owned(),
                what: "far too large".to_owned(),
            });
        }
        Ok(_) => {}
    }
    Ok(Some(Zeroizing::new(fs::read(path).map_err(failed)?)))
}

/// Reads a text file; `None` when it is missing.
///
/// # Errors
/// When it cannot be read or is no text.
pub fn read_text(path: &Path) -> Result<Option<Zeroizing<String>>, CaError> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(CaError::Damaged {
            path: path.to_owned(),
            what: "not a text".to_owned(),
        }),
    }
}

/// Writes the file with this mode; it is on disk when this returns.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), CaError> {
    try_write(path, content, mode).map_err(|source| CaError::File {
        path: path.to_owned(),
        source,
    })
}

fn try_write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Made with 0600, so that a key is never open to others, not even for a moment.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.key");
        assert!(read(&path).unwrap().is_none());
        write(&path, b"one", 0o600).unwrap();
        write(&path, b"two", 0o600).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
