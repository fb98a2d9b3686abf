//! `p2pd.toml`: every key is optional. Environment (`P2PD_…`, `__` between levels) over file over default.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use p2p_proto::{ByteCount, PEER_PORT, PeerName, rest::session::AcceptCopies};
use p2p_service::{
    config::{ConfigError, HumanDuration, Limit},
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
    pub max_active: u16,
    /// Bytes per second to others.
    pub upload_limit: Later<Unlimited>,
    /// Bytes per second from others.
    pub download_limit: Later<Unlimited>,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where they are served.
    pub listen: Later<Nowhere>,
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
            max_active: 4,
            upload_limit: Later::default(),
            download_limit: Later::default(),
        }
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

/// The default of a key whose other values come with a later version.
pub trait OnlyValue: Default {
    /// Does the text say the default?
    fn is_default(text: &str) -> bool;
}

/// A key that is documented, and of which this version takes only the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Later<T>(std::marker::PhantomData<T>);

impl<'de, T: OnlyValue> Deserialize<'de> for Later<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if T::is_default(&text) {
            return Ok(Self(std::marker::PhantomData));
        }
        Err(serde::de::Error::custom(format!(
            "\"{text}\" comes with a later version; leave the default"
        )))
    }
}

macro_rules! only {
    ($($name:ident = $text:literal),*) => {$(
        #[doc = concat!("Only `", $text, "` so far.")]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl OnlyValue for $name {
            fn is_default(text: &str) -> bool {
                text == $text
            }
        }
    )*};
}

only!(Unlimited = "unlimited", Nowhere = "");

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p2pd.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_file_is_read() {
        let text = r#"
            peer_name = "nas"
            state_dir = "/var/lib/p2pd"
            runtime_dir = "/run/p2pd"
            [peer]
            listen = ["[::]:7401"]
            advertise = []
            [control]
            group = "p2pd"
            shared_session = false
            [directory]
            urls = ["https://directory.example:7400"]
            [store]
            path = ""
            max_size = "unlimited"
            reserve_free = "1GiB"
            accept_copies = "own"
            scrub_rate = "8MiB"
            scrub_every = "30d"
            [transfer]
            max_active = 4
            upload_limit = "unlimited"
            download_limit = "unlimited"
            [log]
            level = "info"
            [metrics]
            listen = ""
        "#;
        let config = load(text).unwrap();
        assert_eq!(config.store_path(), Path::new("/var/lib/p2pd/store"));
        assert_eq!(config.store.reserve_free, ByteCount(1 << 30));
    }

    #[test]
    fn whose_copies_are_taken_and_how_fast_is_hashed_can_be_said() {
        let config = load("[store]\naccept_copies = \"cluster\"\nscrub_rate = \"off\"\n").unwrap();
        assert_eq!(config.store.accept_copies, AcceptCopies::Cluster);
        assert_eq!(config.store.scrub_rate, ScrubRate(None));
        assert!(load("[store]\nscrub_rate = \"0B\"\n").is_err());
        assert!(load("[store]\naccept_copies = \"all\"\n").is_err());
    }

    #[test]
    fn what_comes_later_and_what_is_unknown_is_refused_by_line() {
        for (text, line, word) in [
            ("\n[transfer]\nupload_limit = \"20MiB\"\n", ":3:", "later version"),
            ("[metrics]\nlisten = \"127.0.0.1:7402\"\n", ":2:", "later version"),
            ("peername = \"nas\"\n", ":1:", "peername"),
            ("peer_name = \"Not A Name\"\n", ":1:", "peer name"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(line) && error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_packaged_file_says_the_defaults() {
        let packaged = include_str!("../../packaging/p2pd.toml");
        let spoken: String = packaged
            .lines()
            .map(|line| {
                line.strip_prefix('#')
                    .filter(|rest| !rest.starts_with(' '))
                    .unwrap_or(line)
            })
            .collect::<Vec<_>>()
            .join("\n");
        load(packaged).unwrap();
        load(&spoken).unwrap();
    }
}
