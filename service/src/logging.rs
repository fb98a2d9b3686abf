//! Where log lines go: to journald with fields when standard error is the journal, else to standard error as text; of a
//! program that has left its terminal, to journald or to a file ([`file`]). Never to two. What repeats itself is counted
//! rather than said ([`flood`]).
//!
//! A field's name is the same everywhere, and in upper case as journald has it: docs/logs.md lists them, and says which level
//! is for what.

mod file;
mod flood;

use std::{
    env,
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt::MakeWriter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use self::{file::LogFile, flood::Flood};
use crate::config::LogFilter;

pub use self::flood::tell_floods;

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

/// Where journald listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The variable's filter is none.
    #[error("{variable}: {message}")]
    Filter {
        /// Which variable.
        variable: String,
        /// What is wrong.
        message: String,
    },
    /// The journal or the file cannot be written to.
    #[error("{place}: {source}")]
    Place {
        /// Which.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is a log already.
    #[error("the log was begun twice")]
    Twice,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The journal when standard error is one, else standard error.
    StandardError,
    /// The journal.
    Journal,
    /// This file.
    File(PathBuf),
}

impl Place {
    /// For a program without a terminal: the journal where there is one, else the file.
    #[must_use]
    pub fn journal_or(file: &Path) -> Self {
        let reached = UnixDatagram::unbound().and_then(|socket| socket.connect(JOURNAL));
        match reached {
            Ok(()) => Self::Journal,
            Err(_) => Self::File(file.to_owned()),
        }
    }
}

/// Changes what is logged while the program runs.
#[derive(Clone)]
pub struct LogLevel {
    filter: reload::Handle<EnvFilter, Registry>,
    /// The environment has said what is logged.
    pinned: Option<&'static str>,
}

impl LogLevel {
    /// Logs what `level` says from now on, unless the environment said something.
    pub fn set(&self, level: &LogFilter) {
        if self.pinned.is_some() {
            return;
        }
        if let Err(error) = self.filter.reload(filter(level)) {
            tracing::error!("what is logged stays as it was: {error}");
        }
    }

    /// The variable that goes before the configuration, when it is set.
    #[must_use]
    pub const fn pinned(&self) -> Option<&'static str> {
        self.pinned
    }
}

/// The filter in this variable; `None` when it is unset or empty.
///
/// # Errors
/// A filter that is none.
pub fn from_environment(variable: &str) -> Result<Option<LogFilter>, LogError> {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(filter) => Ok(Some(filter)),
            Err(message) => Err(LogError::Filter {
                variable: variable.to_owned(),
                message,
            }),
        },
        Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
        Err(error @ env::VarError::NotUnicode(_)) => Err(LogError::Filter {
            variable: variable.to_owned(),
            message: error.to_string(),
        }),
    }
}

/// Begins to log there. What is logged says the environment variable if it is set, else `level`.
///
/// # Errors
/// A filter that is none; a place that cannot be written to; logging that has begun already.
pub fn init(variable: &'static str, level: &LogFilter, place: &Place) -> Result<LogLevel, LogError> {
    let given = from_environment(variable)?;
    let (layer, handle) = reload::Layer::new(filter(given.as_ref().unwrap_or(level)));
    let registry = tracing_subscriber::registry().with(layer);
    let begun = match place {
        Place::StandardError if stderr_is_the_journal() => registry.with(journal()?).try_init(),
        Place::Journal => registry.with(journal()?).try_init(),
        Place::StandardError => {
            let terminal = rustix::termios::isatty(std::io::stderr());
            let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
            let colour = terminal && !dumb && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            registry.with(lines(std::io::stderr, colour)).try_init()
        }
        Place::File(path) => {
            let file = LogFile::open(path).map_err(|source| at(path.display().to_string(), source))?;
            registry.with(lines(file, false)).try_init()
        }
    };
    begun.map_err(|_| LogError::Twice)?;
    Ok(LogLevel {
        filter: handle,
        pinned: given.map(|_| variable),
    })
}

fn at(place: String, source: std::io::Error) -> LogError {
    LogError::Place { place, source }
}

/// What comes later in the list wins, so a filter may still ask a library.
fn filter(level: &LogFilter) -> EnvFilter {
    let quiet: String = QUIET.iter().map(|library| format!("{library}=warn,")).collect();
    let all = EnvFilter::try_new(format!("{quiet}{}", level.as_str()));
    // A filter was read by this function's like when it was made.
    all.unwrap_or_else(|_| EnvFilter::new("info"))
}

type Filtered = tracing_subscriber::layer::Layered<reload::Layer<EnvFilter, Registry>, Registry>;

fn journal() -> Result<impl Layer<Filtered> + Send + Sync, LogError> {
    let journal = tracing_journald::layer().map_err(|source| at(JOURNAL.to_owned(), source))?;
    Ok(journal.with_field_prefix(None).with_filter(Flood))
}

/// Time, level, message, fields.
fn lines<W>(writer: W, colour: bool) -> impl Layer<Filtered> + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false)
        .with_ansi(colour)
        .with_filter(Flood)
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
