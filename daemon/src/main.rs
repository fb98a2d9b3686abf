//! `p2pd`: parses the command line and runs the daemon.

use std::process::ExitCode;

use clap::Parser;
use p2p_daemon::cli::Cli;

fn main() -> ExitCode {
    p2p_service::tls::install_crypto_provider();
    Cli::parse().run()
}
