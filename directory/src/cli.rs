//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use p2p_proto::{GroupName, UserName};

use crate::admin::types::PeerRef;

/// The directory and location service: accounts, who is alive, who holds what
#[derive(Debug, Parser)]
#[command(name = "p2p-directory", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Read this file instead of the default one
    #[arg(long, global = true, value_name = "FILE", env = "P2P_DIRECTORY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Go before environment and file, for example liveness.lease=1m
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
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
    /// Copy the database and the keys into one archive, also while the directory runs
    Backup {
        /// A new file; a restore is: stop, empty the state folder, untar there, start
        file: PathBuf,
    },
    /// What the package says after it has started the directory
    #[command(hide = true)]
    FirstSteps,
    /// Write what the package has besides the program: man pages, completions
    #[command(hide = true)]
    PackageFiles {
        /// Where to
        folder: PathBuf,
    },
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
    /// Groups of accounts: what is published to one is there for its members only
    #[command(subcommand)]
    Group(GroupCommand),
    /// Peers: the machines that accounts are logged in on
    #[command(subcommand)]
    Peer(PeerCommand),
    /// What runs, until when its certificates last, how much there is of what
    Status,
}

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Make a group, or add accounts to it
    Add {
        /// Its name; made when there is none
        name: GroupName,
        /// Accounts that become members
        users: Vec<UserName>,
    },
    /// Remove accounts from a group; without accounts, remove the group, and what was published to it becomes private
    Remove {
        /// Its name
        name: GroupName,
        /// Accounts that are no members any more
        users: Vec<UserName>,
    },
    /// List the groups and their members
    List,
}

/// What to do with peers.
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// List the peers
    List,
    /// Shut a peer out: its session ends, every other peer refuses it, and its key cannot log in again
    Revoke {
        /// Its name or id
        peer: PeerRef,
    },
    /// Let a revoked peer's key log in again
    Allow {
        /// Its name or id
        peer: PeerRef,
    },
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
        /// Make it a member of this group; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<GroupName>,
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
