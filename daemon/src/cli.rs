//! The command line of `p2pd`.

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use p2p_packaging::{Section, package_files};
use p2p_service::{
    accept,
    config::Sources,
    lifecycle::{Lifecycle, Signals},
    logging::{self, LogLevel, Place},
};

use crate::{App, Config, config::LOG_VARIABLE, detach, first_steps, reload::Reloading};

/// How long a stop may take before what still runs is cut.
const DRAIN: Duration = Duration::from_secs(10);

/// How long what hangs may take at the very end.
const HANGING: Duration = Duration::from_secs(1);

/// Exit code for wrong usage and wrong configuration.
const USAGE: u8 = 2;

/// The peer daemon: keeps content, serves it to other peers, fetches and verifies it.
#[derive(Debug, Parser)]
#[command(name = "p2pd", version)]
pub struct Cli {
    /// Configuration file; the default one may be missing.
    #[arg(long, value_name = "FILE", env = "P2PD_CONFIG")]
    config: Option<PathBuf>,
    /// Goes before environment and file, for example store.max_size=1TiB.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only check the configuration.
    #[arg(long, conflicts_with = "detach")]
    check_config: bool,
    /// Leave the terminal, for hosts without systemd.
    #[arg(long)]
    detach: bool,
    /// Nothing: run the daemon.
    #[command(subcommand)]
    command: Option<Command>,
}

/// Anything else than to run.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// What the package says after it has started the daemon.
    #[command(hide = true)]
    FirstSteps,
    /// Write what the package has besides the program: man pages, completions.
    #[command(hide = true)]
    PackageFiles {
        /// Where to.
        folder: PathBuf,
    },
}

impl Cli {
    /// Runs until stopped.
    #[must_use]
    pub fn run(self) -> ExitCode {
        if let Some(Command::PackageFiles { folder }) = &self.command {
            return match package_files::<Self>(Section::Administration, folder) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error, 1),
            };
        }
        let sources = Sources {
            file: self.config,
            set: self.set,
        };
        let config = match Config::read(&sources) {
            Ok(config) => config,
            Err(error) => return complain(&error, USAGE),
        };
        if let Err(error) = logging::from_environment(LOG_VARIABLE) {
            return complain(&error, USAGE);
        }
        if let Some(Command::FirstSteps) = self.command {
            return first_steps::run(&config);
        }
        if self.check_config {
            return print(&Config::verdict(&sources));
        }
        if self.detach {
            return match detach::run(config, sources) {
                Ok(line) => print(&line),
                Err(refused) => complain(&refused, refused.exit_code()),
            };
        }
        let level = match logging::init(LOG_VARIABLE, &config.log.level, &Place::StandardError) {
            Ok(level) => level,
            Err(error) => return complain(&error, 1),
        };
        match serve(config, sources, level, || ()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("p2pd: {error}");
    ExitCode::from(code)
}

fn print(line: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs until stopped; `up` is called when every listener is.
///
/// # Errors
/// Why it did not come up, or that a part of it died.
pub(crate) fn serve(
    config: Config,
    sources: Sources,
    level: LogLevel,
    up: impl FnOnce(),
) -> anyhow::Result<()> {
    let control = accept::handed_over()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let signals = Signals::catch()?;
        let lifecycle = Lifecycle::new();
        let app = App::build(config, control, Reloading { sources, level }, lifecycle.clone()).await?;
        let running = app.spawn().await?;
        up();
        let ended = lifecycle.run(signals, DRAIN, || running.reloader.reload()).await;
        running.close().await;
        ended
    });
    // A call on a user's file may never return.
    runtime.shutdown_timeout(HANGING);
    ended
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
