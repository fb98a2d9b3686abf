//! A journal of the test's own: a program that is started with it sees its socket where journald's is, and takes standard
//! error for the journal's stream.

use std::{
    collections::HashMap,
    fs,
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::{check, process::program};

/// The fields of an entry.
pub type Entry = HashMap<String, String>;

/// Where the entries come together.
pub struct Journal {
    folder: PathBuf,
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// Puts the socket in its place, in a view of the file system that is the program's own.
const SCRIPT: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
                      mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";

impl Journal {
    /// Begins one in this folder, which is made. None, said loudly, where this user may not mount.
    ///
    /// # Panics
    /// When the folder or the socket cannot be made; and where tests may not be left out.
    #[must_use]
    pub fn begin(folder: &Path) -> Option<Self> {
        let mut probe = Command::new("unshare");
        probe.args([
            "--mount",
            "--propagation",
            "private",
            "mount",
            "-t",
            "tmpfs",
            "none",
            "/run",
        ]);
        if !probe.output().is_ok_and(|output| output.status.success()) {
            check::not_tested("another journal needs root, to mount it");
            return None;
        }
        fs::create_dir(folder).expect("a folder");
        let socket = UnixDatagram::bind(folder.join("socket")).expect("a socket");
        let entries = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&entries);
        // Nobody waits for room: it is read as it comes, until the test's process ends.
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 17];
            while let Ok(length) = socket.recv(&mut buffer) {
                let entry = entry(&buffer[..length]);
                // The first is empty: it tries whether there is a journal.
                if entry.is_empty() {
                    continue;
                }
                written.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
            }
        });
        Some(Self {
            folder: folder.to_owned(),
            entries,
        })
    }

    /// The program, that logs here. Its standard error must be the file `log`.
    ///
    /// # Panics
    /// When that cannot be made.
    #[must_use]
    pub fn command(&self, name: &str, log: &Path) -> Command {
        fs::write(log, "").expect("a file");
        let stream = fs::metadata(log).expect("a file");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT])
            .arg(&self.folder)
            .arg(program(name))
            .env("JOURNAL_STREAM", format!("{}:{}", stream.dev(), stream.ino()));
        command
    }

    /// What came so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Those of this program whose field has this value, as `journalctl -t PROGRAM FIELD=VALUE` finds them.
    #[must_use]
    pub fn with(&self, program: &str, field: &str, value: &str) -> Vec<Entry> {
        let is =
            |entry: &Entry, field: &str, value: &str| entry.get(field).is_some_and(|found| found == value);
        let mut entries = self.entries();
        entries.retain(|entry| is(entry, "SYSLOG_IDENTIFIER", program) && is(entry, field, value));
        entries
    }
}

/// The fields of an entry in journald's own format: `KEY=value` lines, or a key, a length in 8 bytes, and the value.
fn entry(mut bytes: &[u8]) -> Entry {
    let mut fields = Entry::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match line.iter().position(|byte| *byte == b'=') {
            Some(split) => {
                fields.insert(text(&line[..split]), text(&line[split + 1..]));
                bytes = rest;
            }
            None => {
                let length = u64::from_le_bytes(rest[..8].try_into().expect("a length")) as usize;
                fields.insert(text(line), text(&rest[8..8 + length]));
                bytes = &rest[8 + length + 1..];
            }
        }
    }
    fields
}
