//! `p2pd.toml`: every key is optional. Environment (`P2PD_…`, `__` between levels) over file over default.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use p2p_proto::{ByteCount, PEER_PORT, PeerName};
use p2p_service::{
    config::{ConfigError, Limit},
    paths,
};
use serde::Deserialize;

/// Variables that begin with `P2PD_` and are no keys.
const OTHER_VARIABLES: [&str; 1] = ["P2PD_LOG"];

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What this peer wants to be called; default: the host's name.
    pub peer_name: Option<PeerName>,
    /// Key, session and, unless set otherwise, the store.
    pub state_dir: PathBuf,
    /// The sockets.
    pub runtime_dir: PathBuf,
    /// The peer port.
    pub peer: Peer,
    /// The control socket.
    pub control: Control,
    /// Where the directory is.
    pub directory: Directory,
    /// Stored content.
    pub store: Store,
    /// What runs at once.
    pub transfer: Transfer,
    /// What is logged.
    pub log: Log,
}

/// `[peer]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peer {
    /// Socket addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// What others dial: `HOST:PORT` or `HOST`; default: the addresses of this host.
    pub advertise: Vec<String>,
}

/// `[control]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// The group whose members may use the socket of the system service.
    pub group: String,
}

/// `[directory]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    /// Offered when `p2pctl login` names none.
    pub urls: Vec<String>,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Default: `state_dir/store`.
    pub path: PathBuf,
    /// The most bytes that are kept.
    pub max_size: Limit,
    /// Never fill the disk beyond this.
    pub reserve_free: ByteCount,
}

/// `[transfer]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transfer {
    /// Downloads that run at once; more wait.
    pub max_active: u16,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `p2p_daemon::peer=debug`.
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        let paths = paths::default_paths("p2pd");
        Self {
            peer_name: None,
            state_dir: paths.state_dir,
            runtime_dir: paths.runtime_dir,
            peer: Peer::default(),
            control: Control::default(),
            directory: Directory::default(),
            store: Store::default(),
            transfer: Transfer::default(),
            log: Log::default(),
        }
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), PEER_PORT)],
            advertise: Vec::new(),
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { group: "p2pd".into() }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            max_size: Limit(None),
            reserve_free: ByteCount(1 << 30),
        }
    }
}

impl Default for Transfer {
    fn default() -> Self {
        Self { max_active: 4 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}

impl Config {
    /// The configuration in the given file, or in the default one if it exists.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, a bad value: with file, line and key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let default = paths::default_paths("p2pd").config_file;
        p2p_service::config::load_with("P2PD_", file, &default, &OTHER_VARIABLES)
    }

    /// Where contents are stored.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        if self.store.path.as_os_str().is_empty() {
            self.state_dir.join("store")
        } else {
            self.store.path.clone()
        }
    }

    /// The control socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.runtime_dir.join("control.sock")
    }

    /// The socket over which descriptors are passed.
    #[must_use]
    pub fn descriptor_socket(&self) -> PathBuf {
        self.runtime_dir.join("descriptor.sock")
    }
}
