//! Where log lines go: to journald with fields when standard error is the journal, else to standard error as text.
//! Never both.

use std::{env, os::fd::AsFd};

use anyhow::Context;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Libraries that say too much.
const QUIET: [&str; 8] = [
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "sqlx",
    "tonic",
    "tower",
];

/// Begins to log. The filter is in the environment variable if it is set, else it is `level`.
///
/// # Errors
/// A filter that is none; logging that has begun already.
pub fn init(env_var: &str, level: &str) -> anyhow::Result<()> {
    let (text, from) = match env::var(env_var) {
        Ok(text) if !text.is_empty() => (text, env_var),
        _ => (level.to_owned(), "log.level"),
    };
    let quiet: String = QUIET.iter().map(|library| format!("{library}=warn,")).collect();
    // What comes later in the list wins.
    let filter = EnvFilter::try_new(format!("{quiet}{text}")).with_context(|| format!("{from}: {text}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    if stderr_is_the_journal() {
        let journal = tracing_journald::layer()
            .context("journald")?
            .with_field_prefix(None);
        registry.with(journal).try_init()?;
    } else {
        let terminal = rustix::termios::isatty(std::io::stderr());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
        registry.with(lines).try_init()?;
    }
    Ok(())
}

/// systemd names the journal's stream in `JOURNAL_STREAM` as `device:inode`.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr().as_fd()) else {
        return false;
    };
    is_stream(&stream, stat.st_dev, stat.st_ino)
}

fn is_stream(text: &str, device: u64, inode: u64) -> bool {
    text.split_once(':')
        .is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(is_stream("9:4711", 9, 4711));
        for other in ["", "9", "9:", "8:4711", "9:4712", "9:4711:1"] {
            assert!(!is_stream(other, 9, 4711), "{other}");
        }
    }
}
