//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use p2p_proto::UserName;

/// The directory and location service: accounts, who is alive, who holds what
#[derive(Debug, Parser)]
#[command(name = "p2p-directory", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Read this file instead of the default one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the directory
    Serve {
        /// Only check the configuration
        #[arg(long)]
        check_config: bool,
    },
    /// Make the CA and the database (serve does it by itself)
    Init,
    /// Print the fingerprint of the CA
    CaFingerprint,
    /// What the package says after it has started the directory
    #[command(hide = true)]
    FirstSteps,
    /// Administer the directory that runs on this machine
    #[command(subcommand)]
    Admin(Admin),
}

/// What to administer.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Accounts
    #[command(subcommand)]
    User(UserCommand),
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account; without --password-stdin a strong password is made and shown once
    Add {
        /// Its name
        name: UserName,
        /// How it gets its password
        #[command(flatten)]
        password: PasswordSource,
        /// It may administer
        #[arg(long)]
        admin: bool,
    },
    /// List the accounts
    List,
    /// End the sessions of an account and refuse its logins
    Disable {
        /// Its name
        name: UserName,
    },
    /// Let a disabled account log in again
    Enable {
        /// Its name
        name: UserName,
    },
    /// Set a password; sessions that exist stay
    Passwd {
        /// Its name
        name: UserName,
        /// How it gets its password
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Remove an account, its sessions, peers and publications
    Remove {
        /// Its name
        name: UserName,
    },
}

/// Where a password comes from: never from an argument.
#[derive(Clone, Copy, Debug, Args)]
pub struct PasswordSource {
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_go_anywhere() {
        let cli = Cli::parse_from([
            "p2p-directory",
            "admin",
            "user",
            "add",
            "ana",
            "--json",
            "--config",
            "x.toml",
        ]);
        assert!(cli.json && cli.config.is_some());
        assert!(Cli::try_parse_from(["p2p-directory", "admin", "user", "add", "../x"]).is_err());
    }
}
