//! The command line of `p2pd`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use p2p_service::{
    config::ConfigError,
    lifecycle::{Lifecycle, Signals},
    logging, notify,
};

use crate::{App, Config, first_steps};

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
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check the configuration.
    #[arg(long)]
    check_config: bool,
    /// Nothing: run the daemon.
    #[command(subcommand)]
    command: Option<Command>,
}

/// Anything else than to run.
#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// What the package says after it has started the daemon.
    #[command(hide = true)]
    FirstSteps,
}

impl Cli {
    /// Runs until stopped.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let config = match Config::load(self.config.as_deref()) {
            Ok(config) => config,
            Err(error) => return complain(&error),
        };
        if self.check_config {
            return ExitCode::SUCCESS;
        }
        if let Some(Command::FirstSteps) = self.command {
            return first_steps::run(&config);
        }
        let result = logging::init("P2PD_LOG", &config.log.level).and_then(|()| serve(config));
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

fn complain(error: &ConfigError) -> ExitCode {
    eprintln!("p2pd: {error}");
    ExitCode::from(USAGE)
}

fn serve(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let signals = Signals::catch()?;
        let lifecycle = Lifecycle::new();
        let app = App::build(config, lifecycle.clone()).await?;
        let running = app.spawn().await?;
        let ended = lifecycle.run(signals, DRAIN, reload).await;
        running.close().await;
        ended
    });
    // A call on a user's file may never return.
    runtime.shutdown_timeout(HANGING);
    ended
}

/// Nothing of the configuration can change while running, so far.
fn reload() {
    notify::reloading();
    tracing::warn!("what changed in the configuration needs a restart");
    notify::ready();
}
