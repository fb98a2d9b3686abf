//! What `passwd`, `limit`, `priority` `completions` and `package-files` take. Owns no state.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{rate, transfer_id};

#[derive(Debug, Args)]
pub(crate) struct PasswdArgs {
    /// Read the old and the new password from stdin, a line each
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// The most that is sent in a second: 20MiB, 500k or unlimited
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) up: Option<Rate>,
    /// The most that comes in a second: 20MiB, 500k or unlimited
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) down: Option<Rate>,
    /// One transfer, as `transfers` shows it [default: all of them together]
    #[arg(value_name = "ID", value_parser = transfer_id)]
    pub(crate) id: Option<String>,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// As fast as it goes.
    Unlimited,
    /// So many bytes in a second; at least 1.
    Bytes(u64),
}

#[derive(Debug, Args)]
pub(crate) struct PriorityArgs {
    /// The transfer's number, as `transfers` shows it
    #[arg(value_name = "ID", value_parser = transfer_id)]
    pub(crate) id: String,
    /// When it begins
    #[arg(value_name = "PRIORITY", value_enum)]
    pub(crate) priority: Priority,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Priority {
    /// Before the others
    High,
    /// In turn
    Normal,
    /// When no other one waits
    Low,
}

impl Priority {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct PackageFilesArgs {
    /// Where to
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// In ~/.bashrc: source <(p2pctl completions bash)
    Bash,
    /// Into a folder of $fpath, as _p2pctl
    Zsh,
    /// Into ~/.config/fish/completions/p2pctl.fish
    Fish,
}
