//! `p2p-directory.toml`: every key is optional, an unknown one is an error. Environment and file are layered by the
//! `service` crate; here is what the keys mean and what they may be.

mod durations;
mod entries;
mod limits;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use p2p_service::{
    config::{ConfigError, LogFilter, Naming, Sources},
    paths::default_paths,
};
use serde::Deserialize;

pub use durations::{Liveness, Session};
pub use limits::Limits;

/// The program's name, as folders and groups have it.
pub const PROGRAM: &str = "p2p-directory";

/// What its environment variables begin with.
pub const ENV_PREFIX: &str = "P2P_DIRECTORY_";

/// Overrides `[log] level`, in the syntax of `tracing`'s env filter.
pub const LOG_VARIABLE: &str = "P2P_DIRECTORY_LOG";

/// The configuration.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keys and database.
    pub state_dir: PathBuf,
    /// The admin socket.
    pub runtime_dir: PathBuf,
    /// `[api]`
    pub api: Api,
    /// `[database]`
    pub database: Database,
    /// `[liveness]`
    pub liveness: Liveness,
    /// `[session]`
    pub session: Session,
    /// `[limits]`
    pub limits: Limits,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        let paths = default_paths(PROGRAM);
        Self {
            state_dir: paths.state_dir,
            runtime_dir: paths.runtime_dir,
            api: Api::default(),
            database: Database::default(),
            liveness: Liveness::default(),
            session: Session::default(),
            limits: Limits::default(),
            log: Log::default(),
            metrics: Metrics::default(),
        }
    }
}

impl Config {
    /// Reads environment, file and defaults.
    ///
    /// # Errors
    /// Names file, line and key.
    pub fn load(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read(&Sources::file(explicit))
    }

    /// The configuration from flags, environment and file.
    ///
    /// # Errors
    /// Names file, line and key, or the variable or the flag.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        with_naming(|naming| sources.load(naming))
    }

    /// What `--check-config` says of a good one.
    #[must_use]
    pub fn verdict(sources: &Sources) -> String {
        with_naming(|naming| sources.verdict(naming))
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.runtime_dir.join("admin.sock")
    }

    /// Where the database is.
    #[must_use]
    pub fn database_file(&self) -> PathBuf {
        self.state_dir.join("directory.db")
    }
}

fn with_naming<T>(read: impl FnOnce(Naming<'_>) -> T) -> T {
    read(Naming {
        prefix: ENV_PREFIX,
        reserved: &[LOG_VARIABLE, "P2P_DIRECTORY_CONFIG"],
        default_file: &default_paths(PROGRAM).config_file,
    })
}

/// Where the API is.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Names and addresses in its certificate; empty: this host's.
    pub names: Vec<ServerName>,
}

impl Default for Api {
    fn default() -> Self {
        let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, p2p_proto::DIRECTORY_PORT));
        Self {
            listen: vec![any],
            names: Vec::new(),
        }
    }
}

/// A DNS name or an IP address.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct ServerName(String);

impl TryFrom<String> for ServerName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match rustls::pki_types::ServerName::try_from(text.as_str()) {
            Ok(rustls::pki_types::ServerName::IpAddress(_)) => {
                // The one spelling of it.
                let address = text
                    .parse::<std::net::IpAddr>()
                    .map_err(|error| error.to_string())?;
                Ok(Self(address.to_string()))
            }
            Ok(_) => Ok(Self(text.to_lowercase())),
            Err(_) => Err(format!("\"{text}\" is no host name or address")),
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where it remembers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Which database.
    pub url: DatabaseUrl,
}

/// `sqlite`: a file in the state folder.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum DatabaseUrl {
    /// In the state folder.
    #[default]
    Sqlite,
}

impl TryFrom<String> for DatabaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "sqlite" => Ok(Self::Sqlite),
            _ if text.starts_with("postgres") => {
                Err("PostgreSQL comes with a later version; use \"sqlite\"".to_owned())
            }
            // The text is not repeated: a database's URL may hold a password.
            _ => Err("the database is \"sqlite\"".to_owned()),
        }
    }
}

/// What it logs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,p2p_directory::routes=debug`.
    pub level: LogFilter,
}

/// Where figures are served, besides the admin socket.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// By plain HTTP; empty: nowhere.
    #[serde(deserialize_with = "p2p_service::config::address_or_nowhere")]
    pub listen: Option<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p2p-directory.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_file_is_read() {
        let config = load(
            "state_dir = \"/var/lib/p2p-directory\"\nruntime_dir = \"/run/p2p-directory\"\n\
             [api]\nlisten = [\"[::]:7400\"]\nnames = []\n[database]\nurl = \"sqlite\"\n\
             [liveness]\nping_interval = \"10s\"\nlease = \"30s\"\n\
             [session]\nlifetime = \"90d\"\ncertificate_ttl = \"7d\"\n\
             [limits]\npublications_per_account = 100_000\nholds_per_peer = 1_000_000\nindex_changes = 1000\n\
             addresses_per_peer = 8\nreports_per_account = 10_000\nrequests_per_second = 500\n[metrics]\nlisten = \"\"\n",
        )
        .unwrap();
        let defaults = Config {
            state_dir: "/var/lib/p2p-directory".into(),
            runtime_dir: "/run/p2p-directory".into(),
            ..Config::default()
        };
        assert_eq!(config, defaults);
    }

    #[test]
    fn the_packaged_file_says_the_defaults() {
        let packaged = include_str!("../../../packaging/p2p-directory.toml");
        let said = |line: &str| match line.strip_prefix('#') {
            Some(said) if !said.starts_with(' ') => format!("{said}\n"),
            _ => format!("{line}\n"),
        };
        let spoken: String = packaged.lines().map(said).collect();
        let defaults = Config {
            state_dir: "/var/lib/p2p-directory".into(),
            runtime_dir: "/run/p2p-directory".into(),
            ..Config::default()
        };
        assert_eq!(load(&spoken).unwrap(), defaults);
        assert_eq!(load(packaged).unwrap(), Config::default());
        for entry in defaults.entries() {
            let key = entry.key.rsplit('.').next().unwrap();
            assert!(
                packaged.contains(&format!("#{key} = ")),
                "{key} is not in the file"
            );
        }
    }

    #[test]
    fn each_error_names_line_and_reason() {
        for (text, line, word) in [
            ("\n[api]\nport = 1\n", ":3", "unknown key port"),
            (
                "[metrics]\nlisten = \"7402\"\n",
                ":2",
                "metrics.listen: \"7402\" is no address",
            ),
            (
                "[events]\nurl = \"x\"\n",
                ":1",
                "[events] comes with a later version",
            ),
            (
                "[liveness]\nping = \"1s\"\n",
                ":2",
                "unknown key ping; known here: ping_interval, lease",
            ),
            (
                "[api]\nlisen = []\n",
                ":2",
                "unknown key lisen; did you mean listen?",
            ),
            ("[database]\nurl = \"postgres://x\"\n", ":2", "later version"),
            ("[liveness]\nlease = \"5s\"\n", ":", "longer than"),
            (
                "[session]\nlifetime = \"long\"\n",
                ":2",
                "session.lifetime: \"long\"",
            ),
            ("[api]\nnames = [\"a b\"]\n", ":2", "a b"),
            ("[limits]\nindex_changes = 0\n", ":", "index_changes"),
            ("[limits]\nfriends = 1\n", ":2", "friends"),
            (
                "[log]\nlevel = \"loud\"\n",
                ":2",
                "log.level: \"loud\" is no level",
            ),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(word), "{error}");
            assert!(error.contains(&format!("p2p-directory.toml{line}")), "{error}");
        }
    }
}
