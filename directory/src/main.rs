//! `p2p-directory`: parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use p2p_directory::{cli::Cli, commands};

fn main() -> ExitCode {
    p2p_service::tls::install_crypto_provider();
    commands::run(Cli::parse())
}
