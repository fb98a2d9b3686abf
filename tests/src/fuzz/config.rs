//! `p2pd.toml` and `p2p-directory.toml` from any text, below any variables: refused in one line that says where, or a
//! configuration that keeps its bounds.
//!
//! An input is a byte that says which file, the file, and after a zero byte lines of `KEY=value` as variables.

use std::{path::Path, time::Duration};

use p2p_proto::ByteCount;
use p2p_service::config::{ConfigError, layered};

const FILE: &str = "/etc/fuzzed.toml";
const PREFIX: &str = "P_";

/// So many variables are set at most: each is read anew with the whole file.
const MAX_VARIABLES: usize = 4;

/// One input.
///
/// # Panics
/// When a message is none, or what is accepted is out of its bounds.
pub fn run(data: &[u8]) {
    let (which, text) = data.split_first().unwrap_or((&0, &[]));
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let (file, variables) = text.split_once('\0').unwrap_or((text, ""));
    let variables: Vec<(String, String)> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
        .take(MAX_VARIABLES)
        .collect();
    if which.is_multiple_of(2) {
        match layered(Path::new(FILE), file, PREFIX, &variables) {
            Ok(config) => peers(&config),
            Err(error) => message(&error, file, &variables),
        }
    } else {
        match layered(Path::new(FILE), file, PREFIX, &variables) {
            Ok(config) => directorys(&config),
            Err(error) => message(&error, file, &variables),
        }
    }
}

/// One line that begins with the place.
fn message(error: &ConfigError, text: &str, variables: &[(String, String)]) {
    let told = error.to_string();
    assert!(told.lines().count() == 1, "{told:?}");
    match error {
        ConfigError::File { line, message, .. } => {
            let lines = text.matches('\n').count() + 1;
            assert!((1..=lines).contains(line), "line {line} of {lines}");
            assert!(!message.is_empty());
            assert!(told.starts_with(&format!("{FILE}:{line}: ")), "{told:?}");
        }
        ConfigError::Environment { variable, message } => {
            assert!(variables.iter().any(|(name, _)| name == variable), "{told:?}");
            assert!(!message.is_empty());
        }
        ConfigError::Read { .. } => panic!("no file was read"),
    }
}

fn peers(config: &p2p_daemon::Config) {
    let name = config.peer_name.as_ref();
    assert!(name.is_none_or(|name| (1..=63).contains(&name.as_str().len())));
    assert_ne!(config.store.scrub_rate.0, Some(ByteCount(0)));
    assert!(!config.store_path().as_os_str().is_empty() || config.state_dir.as_os_str().is_empty());
    assert!(config.control_socket().ends_with("control.sock"));
}

fn directorys(config: &p2p_directory::config::Config) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let (liveness, session) = (config.liveness, config.session);
    assert!(
        liveness.ping_interval >= Duration::from_millis(50),
        "{liveness:?}"
    );
    assert!(
        liveness.lease > liveness.ping_interval && liveness.lease <= DAY,
        "{liveness:?}"
    );
    let seconds = Duration::from_secs(2);
    assert!(
        (seconds..=DAY * 365).contains(&session.certificate_ttl),
        "{session:?}"
    );
    assert!((seconds..=DAY * 3650).contains(&session.lifetime), "{session:?}");
    let limits = config.limits;
    assert!((1..=50_000).contains(&limits.index_changes), "{limits:?}");
    assert!((1..=64).contains(&limits.addresses_per_peer), "{limits:?}");
    assert!(
        (1..=1_000_000).contains(&limits.requests_per_second),
        "{limits:?}"
    );
    let counts = [
        limits.publications_per_account,
        limits.holds_per_peer,
        limits.reports_per_account,
    ];
    assert!(
        counts.iter().all(|count| (1..=1_000_000_000).contains(count)),
        "{limits:?}"
    );
}
