//! A service manager's end of sd_notify: what it hears of a program.

use std::{
    cell::RefCell,
    collections::HashMap,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::wait;

/// A service manager.
pub struct Manager {
    socket: UnixDatagram,
    /// What a program finds in `NOTIFY_SOCKET`.
    pub path: PathBuf,
    /// The last status line, which stays until there is another one.
    status: RefCell<Option<String>>,
}

impl Manager {
    /// Listens in this folder.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn listen(folder: &Path) -> Self {
        let path = folder.join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(wait::SOON)).expect("a socket");
        Self {
            socket,
            path,
            status: RefCell::default(),
        }
    }

    /// The next message, as `KEY=value` lines.
    ///
    /// # Panics
    /// When none comes.
    pub fn hear(&self) -> HashMap<String, String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message within 30 s");
        let text = String::from_utf8(buffer[..length].to_vec()).expect("text");
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let heard: HashMap<_, _> = lines
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if let Some(status) = heard.get("STATUS") {
            *self.status.borrow_mut() = Some(status.clone());
        }
        heard
    }

    /// The status line; waits for the first.
    ///
    /// # Panics
    /// When none comes.
    pub fn status(&self) -> String {
        let known = self.status.borrow().clone();
        known.unwrap_or_else(|| self.until("STATUS")["STATUS"].clone())
    }

    /// Hears until one of these comes; all lines of that message.
    ///
    /// # Panics
    /// When none comes.
    pub fn until(&self, key: &str) -> HashMap<String, String> {
        for _ in 0..100 {
            let heard = self.hear();
            if heard.contains_key(key) {
                return heard;
            }
        }
        panic!("100 messages without {key}");
    }

    /// Hears what came so far, and then nothing of the program's life for so long: a watchdog would bite now.
    ///
    /// # Panics
    /// When the program says that it is alive.
    pub fn hears_no_life(&self, limit: Duration) {
        let mut buffer = [0; 4096];
        self.socket.set_nonblocking(true).expect("a socket");
        while self.socket.recv(&mut buffer).is_ok() {}
        self.socket.set_nonblocking(false).expect("a socket");
        self.socket.set_read_timeout(Some(limit)).expect("a socket");
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            assert!(!text.contains("WATCHDOG=1"), "{text}");
        }
        self.socket.set_read_timeout(Some(wait::SOON)).expect("a socket");
    }
}
