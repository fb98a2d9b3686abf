//! `p2pd.toml`: every key is optional. Flags over environment (`P2PD_…`, `__` between levels) over file over default.
//! [`entries`] lists the keys, [`live`] holds what counts now; a reload puts another one there.

mod checked;
mod entries;
mod live;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};

use p2p_proto::{ByteCount, PEER_PORT, PeerName, UserName, rest::session::AcceptCopies};
use p2p_service::{
    config::{ConfigError, HumanDuration, Limit, LogFilter, Naming, Rate, Sources},
    paths,
};
use serde::Deserialize;

pub use self::{checked::Fingerprint, live::Live};

/// Goes before `[log] level`.
pub const LOG_VARIABLE: &str = "P2PD_LOG";

/// Variables that begin with `P2PD_` and are no keys.
const OTHER_VARIABLES: [&str; 2] = [LOG_VARIABLE, "P2PD_CONFIG"];

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What this peer wants to be called; empty: the host's name.
    #[serde(deserialize_with = "checked::peer_name")]
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
    /// How the machine logs itself in.
    pub login: Login,
    /// Stored content.
    pub store: Store,
    /// What runs at once.
    pub transfer: Transfer,
    /// What is logged.
    pub log: Log,
    /// Numbers for a monitoring system.
    pub metrics: Metrics,
}

/// `[peer]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peer {
    /// Socket addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// What others dial: `HOST:PORT` or `HOST`; default: the addresses of this host.
    #[serde(deserialize_with = "checked::hosts")]
    pub advertise: Vec<String>,
}

/// `[control]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// The group whose members may use the socket of the system service.
    pub group: String,
    /// A personal session is for the whole group.
    pub shared_session: bool,
}

/// `[directory]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    /// Tried in turn when `p2pctl login` names none.
    #[serde(deserialize_with = "checked::directories")]
    pub urls: Vec<String>,
}

/// `[login]`: the machine logs itself in at the start, when there is a user.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// The account; empty: nobody is logged in.
    #[serde(deserialize_with = "checked::user")]
    pub user: Option<UserName>,
    /// A file with the password; empty: the systemd credential `password`.
    pub password_file: PathBuf,
    /// The directory's CA. Not needed once it is pinned.
    #[serde(deserialize_with = "checked::fingerprint")]
    pub ca_fingerprint: Option<Fingerprint>,
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
    /// Who may place copies here.
    pub accept_copies: AcceptCopies,
    /// Bytes per second at which stored content is hashed again in the background; `off` for never.
    pub scrub_rate: ScrubRate,
    /// So often each content.
    pub scrub_every: HumanDuration,
}

/// Bytes per second, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubRate(pub Option<ByteCount>);

impl<'de> Deserialize<'de> for ScrubRate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self(None));
        }
        match text.parse().map_err(serde::de::Error::custom)? {
            ByteCount(0) => Err(serde::de::Error::custom("write \"off\" for never")),
            rate => Ok(Self(Some(rate))),
        }
    }
}

/// `[transfer]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transfer {
    /// Downloads that run at once; more wait.
    pub max_active: NonZeroU16,
    /// Bytes per second to others.
    pub upload_limit: Rate,
    /// Bytes per second from others.
    pub download_limit: Rate,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where they are served, by plain HTTP; empty: nowhere.
    #[serde(deserialize_with = "p2p_service::config::address_or_nowhere")]
    pub listen: Option<SocketAddr>,
}

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,p2p_daemon::peer=debug`.
    pub level: LogFilter,
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
            login: Login::default(),
            store: Store::default(),
            transfer: Transfer::default(),
            log: Log::default(),
            metrics: Metrics::default(),
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
        Self {
            group: "p2pd".into(),
            shared_session: false,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            max_size: Limit(None),
            reserve_free: ByteCount(1 << 30),
            accept_copies: AcceptCopies::Own,
            scrub_rate: ScrubRate(Some(ByteCount(8 << 20))),
            scrub_every: HumanDuration(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            max_active: NonZeroU16::MIN.saturating_add(3),
            upload_limit: Rate::default(),
            download_limit: Rate::default(),
        }
    }
}

impl Config {
    /// The configuration in the given file, or in the default one if it exists.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, a bad value: with file, line and key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read(&Sources::file(file))
    }

    /// The configuration from flags, environment and file.
    ///
    /// # Errors
    /// The same, or the variable's or the flag's name.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        with_naming(|naming| sources.load(naming))
    }

    /// What `--check-config` says of a good one.
    #[must_use]
    pub fn verdict(sources: &Sources) -> String {
        with_naming(|naming| sources.verdict(naming))
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

fn with_naming<T>(read: impl FnOnce(Naming<'_>) -> T) -> T {
    read(Naming {
        prefix: "P2PD_",
        reserved: &OTHER_VARIABLES,
        default_file: &paths::default_paths("p2pd").config_file,
    })
}

#[cfg(test)]
mod tests;
