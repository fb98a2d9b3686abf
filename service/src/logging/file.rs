//! A log file for programs that have neither a terminal nor a journal. When it is large it becomes `NAME.1`, whose place
//! the one before had, so the two never take more than [`LARGE`] twice. A crash loses nothing that was written.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

/// The largest file, in bytes.
const LARGE: u64 = 16 << 20;

/// A file that lines are appended to.
pub(super) struct LogFile {
    path: PathBuf,
    large: u64,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    length: u64,
}

impl LogFile {
    /// Appends to this file; makes it for this user alone.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_size(path, LARGE)
    }

    fn with_size(path: &Path, large: u64) -> io::Result<Self> {
        Ok(Self {
            open: Mutex::new(open(path)?),
            path: path.to_owned(),
            large,
        })
    }

    fn begin_anew(&self) -> io::Result<Open> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        fs::rename(&self.path, old)?;
        open(&self.path)
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let file = File::options().create(true).append(true).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    Ok(Open { file, length })
}

/// One line's turn with the file.
pub(super) struct Line<'a>(MutexGuard<'a, Open>);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.file.write(bytes)?;
        self.0.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file.flush()
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Between two lines. Where the file cannot be put aside, a long one is better than none.
        if open.length >= self.large
            && let Ok(next) = self.begin_anew()
        {
            *open = next;
        }
        Line(open)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn two_files_of_a_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p2pd.log");
        let log = LogFile::with_size(&path, 20).unwrap();
        for number in 10..20 {
            writeln!(log.make_writer(), "line {number}").unwrap();
        }
        let again = LogFile::with_size(&path, 20).unwrap();
        writeln!(again.make_writer(), "line 20").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let old = fs::read_to_string(folder.path().join("p2pd.log.1")).unwrap();
        let new = fs::read_to_string(&path).unwrap();
        assert_eq!(old + &new, "line 16\nline 17\nline 18\nline 19\nline 20\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
