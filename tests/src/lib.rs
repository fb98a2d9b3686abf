//! Boots the real programs for whole-system tests: a directory and peers, each in a folder of its own below a temporary
//! one, on free loopback ports. Whatever was started is ended when its handle is dropped.

pub mod calls;
pub mod check;
pub mod control;
pub mod data;
pub mod directory;
pub mod first_hour;
pub mod forge;
pub mod fuzz;
pub mod hanging;
pub mod help;
pub mod http2;
pub mod journal;
pub mod lab;
pub mod liar;
pub mod line;
pub mod listener;
pub mod machine;
pub mod manager;
pub mod meddler;
pub mod normal;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod release;
pub mod schema;
pub mod terminal;
pub mod torture;
pub mod transcript;
pub mod visitor;
pub mod wait;

pub use directory::{Account, Directory};
pub use peer::{Answer, Peer};
pub use process::Process;
pub use terminal::Terminal;

/// A directory with one account, and peers that are logged in to it.
pub struct World {
    /// The directory.
    pub directory: Directory,
    /// The account.
    pub ana: Account,
    /// The peers, logged in as `ana`.
    pub peers: Vec<Peer>,
    /// Everything is below this folder. Removed last: whoever ends badly shows his log first.
    pub folder: tempfile::TempDir,
}

impl World {
    /// Starts a directory, and as many peers as there are names.
    #[must_use]
    pub fn start(names: &[&str]) -> Self {
        Self::with_directory(names, "")
    }

    /// The same with more lines in the directory's configuration.
    #[must_use]
    pub fn with_directory(names: &[&str], config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let directory = Directory::start(&folder.path().join("directory"), config);
        let ana = directory.add_user("ana");
        let mut world = Self {
            folder,
            directory,
            ana,
            peers: Vec::new(),
        };
        for name in names {
            let peer = world.peer(name, "");
            peer.login(&world.directory, &world.ana);
            world.peers.push(peer);
        }
        world
    }

    /// Starts one more peer, not logged in, with more lines in its configuration.
    #[must_use]
    pub fn peer(&self, name: &str, config: &str) -> Peer {
        Peer::start(&self.folder.path().join(name), name, config)
    }

    /// Starts one more peer, logged in to an account of its own.
    #[must_use]
    pub fn stranger(&self, peer: &str, user: &str) -> (Peer, Account) {
        let account = self.directory.add_user(user);
        let peer = self.peer(peer, "");
        peer.login(&self.directory, &account);
        (peer, account)
    }

    /// A peer that others reach through the proxy, logged in as `ana`.
    #[must_use]
    pub fn behind(&self, proxy: &proxy::Proxy, name: &str) -> Peer {
        let peer = self.peer(name, &proxy.advertised());
        proxy.leads_to(peer.port);
        peer.login(&self.directory, &self.ana);
        peer
    }

    /// A path for a file of the test's.
    #[must_use]
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the test's with so many bytes from this seed; its path and the BLAKE3 hash in hex.
    #[must_use]
    pub fn file(&self, name: &str, seed: u64, length: u64) -> (std::path::PathBuf, String) {
        let path = self.path(name);
        let hash = data::file(&path, seed, length);
        (path, hash)
    }
}
