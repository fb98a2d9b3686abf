//! The command line: every verb and flag, and nothing of what they do. Owns no state.

mod managing;
mod moving;
mod values;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};
pub(crate) use managing::{
    CompletionsArgs, LimitArgs, PackageFilesArgs, PasswdArgs, PriorityArgs, Rate, Shell,
};
pub(crate) use moving::{CopiesArgs, ReplicateArgs, TransferArgs, TransfersArgs, VerifyArgs};
use p2p_proto::{FileName, Visibility};
use values::{duration, file_name, fingerprint};

/// Puts files in, finds them by name on any machine, and gets them verified from every machine that has them.
#[derive(Debug, Parser)]
#[command(
    name = "p2pctl",
    version,
    propagate_version = true,
    after_help = "Without a command, on a terminal: the menu."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// None: the menu, where there is a terminal.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// The daemon's control socket [default: $XDG_RUNTIME_DIR/p2pd/control.sock if it exists, else
    /// /run/p2pd/control.sock]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "P2PCTL_SOCKET",
        hide_env_values = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub(crate) socket: Option<PathBuf>,
    /// One JSON object on stdout, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No messages and no progress; errors and data stay
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Also say what happens on the way
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No progress lines
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
    /// Give up after this time, for example 30s, 5min or 2h
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log this peer in to a directory
    Login(LoginArgs),
    /// End the session; the directory stops listing this peer at once
    Logout,
    /// Who is logged in here
    Whoami,
    /// Change the account's password
    Passwd(PasswdArgs),
    /// The daemon, its session, directory, store and health on one screen
    Status,
    /// Publish files, or stdin with `-`
    Upload(UploadArgs),
    /// Get a file by name or hash
    Download(DownloadArgs),
    /// Get a file into the local store only: this peer becomes a holder
    Fetch(FetchArgs),
    /// What this peer holds
    #[command(visible_alias = "ls")]
    List,
    /// Find files in the whole network
    Search(SearchArgs),
    /// Everything about one file
    Info(RefArgs),
    /// Every peer that you may see
    Peers,
    /// Place copies of a published file on other peers
    Replicate(ReplicateArgs),
    /// What runs, waits, or ended lately
    Transfers(TransfersArgs),
    /// Wait until a transfer ends
    Wait(TransferArgs),
    /// Stop a transfer where it is; what came stays
    Pause(TransferArgs),
    /// Let a paused transfer go on
    Resume(TransferArgs),
    /// End a transfer; what came is thrown away
    Cancel(TransferArgs),
    /// Say which of the waiting transfers begin first
    Priority(PriorityArgs),
    /// Show or set how fast bytes may go, for all transfers or for one
    Limit(LimitArgs),
    /// Hash stored content again; what is damaged is fetched again where another peer has it
    Verify(VerifyArgs),
    /// Drop this peer's copy of a file
    Rm(RmArgs),
    /// Never evict a file that is stored here
    Pin(RefArgs),
    /// Let a pinned file be evicted again
    Unpin(RefArgs),
    /// Show what happens, one line for each event, until Ctrl-C
    Watch,
    /// A numbered menu, for those who do not want to learn commands
    Menu,
    /// Print the script that completes commands in a shell
    Completions(CompletionsArgs),
    /// Write what the package has besides the program: man pages, completions
    #[command(hide = true)]
    PackageFiles(PackageFilesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The directory; HOST means https://HOST:7400 [default: the last one, or the first configured]
    #[arg(long, value_name = "URL|HOST")]
    pub(crate) directory: Option<String>,
    /// The account [default: your Unix user name]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Read the password from stdin
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) password_stdin: bool,
    /// Read the password from a file
    #[arg(long, value_name = "F")]
    pub(crate) password_file: Option<PathBuf>,
    /// What your administrator says that the directory's CA is
    #[arg(long, value_name = "sha256:HEX", value_parser = fingerprint, group = "trust")]
    pub(crate) ca_fingerprint: Option<String>,
    /// Trust whatever CA the directory shows now
    #[arg(long, group = "trust")]
    pub(crate) trust_on_first_use: bool,
    /// The directory's CA certificates
    #[arg(long, value_name = "PEM", group = "trust")]
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UploadArgs {
    /// Files; `-` is stdin and needs --name
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Publish under this name [default: the file's own]
    #[arg(long, value_name = "NAME", value_parser = file_name, allow_hyphen_values = true)]
    pub(crate) name: Option<FileName>,
    /// Who may see it: public (every account of the directory), private (yours only) or group:NAME
    #[arg(long, value_name = "WHO", default_value_t = Visibility::Public)]
    pub(crate) visibility: Visibility,
    #[command(flatten)]
    pub(crate) copies: CopiesArgs,
    /// Do not wait for the copies; they go on being placed
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DownloadArgs {
    /// NAME, OWNER/NAME, NAME@VERSION, a hash, or 8 or more digits of one
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Where to: a file, a folder, or `-` for stdout [default: ./NAME]
    #[arg(short, long, value_name = "PATH|DIR|-", allow_hyphen_values = true)]
    pub(crate) output: Option<PathBuf>,
    /// What to do when the output exists with other content
    #[arg(long, value_name = "HOW", value_enum, default_value_t = OnConflict::Fail)]
    pub(crate) on_conflict: OnConflict,
    /// When no holder is online, wait for one
    #[arg(long)]
    pub(crate) wait: bool,
    /// Leave no copy in the local store
    #[arg(long)]
    pub(crate) no_keep: bool,
}

impl DownloadArgs {
    /// The bytes go to stdout.
    pub(crate) fn streams(&self) -> bool {
        self.output.as_deref() == Some(Path::new("-"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnConflict {
    /// Stop with exit code 11
    Fail,
    /// Leave it alone; exit code 0
    Skip,
    /// Replace it, atomically
    Overwrite,
    /// Deliver as `name (1).ext`, or the next free number
    Rename,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// NAME, OWNER/NAME, NAME@VERSION, a hash, or 8 or more digits of one
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// When no holder is online, wait for one
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// A part of the name; without it, everything visible
    #[arg(value_name = "QUERY")]
    pub(crate) query: Option<String>,
    /// Only files of this account
    #[arg(long, value_name = "U")]
    pub(crate) owner: Option<String>,
    /// At most this many [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct RefArgs {
    /// NAME, OWNER/NAME, NAME@VERSION, a hash, or 8 or more digits of one
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
}

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// NAME, OWNER/NAME, NAME@VERSION, a hash, or 8 or more digits of one
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Withdraw your version too: other holders stop serving it
    #[arg(long)]
    pub(crate) unpublish: bool,
    /// With --unpublish: every version of the name
    #[arg(long, requires = "unpublish")]
    pub(crate) all: bool,
    /// Drop the last known copy as well
    #[arg(long)]
    pub(crate) force: bool,
}

/// Reads the arguments, the program's own name first.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// What is printed where a command is missing.
pub(crate) fn help() -> String {
    Cli::command().render_help().to_string()
}

/// Whether refused arguments asked for JSON.
pub(crate) fn wanted_json(arguments: &[OsString]) -> bool {
    let mut flags = arguments.iter().take_while(|word| *word != "--");
    flags.any(|word| word == "--json")
}

/// The verb among arguments that clap refused, to point at its help.
pub(crate) fn verb_among(arguments: &[OsString]) -> Option<String> {
    let words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let command = Cli::command();
    words
        .filter_map(|word| command.find_subcommand(word))
        .map(|verb| verb.get_name().to_owned())
        .next()
}

/// Whether refused arguments asked for JSON on stderr: a download whose bytes go to stdout.
pub(crate) fn wanted_stdout_for_bytes(arguments: &[OsString]) -> bool {
    let follows = |word: &OsStr, next: Option<&OsString>| {
        (word == "-o" || word == "--output") && next.is_some_and(|next| next == "-")
    };
    let written = |word: &OsStr| word == "-o-" || word == "-o=-" || word == "--output=-";
    verb_among(arguments).as_deref() == Some("download")
        && arguments
            .iter()
            .enumerate()
            .any(|(at, word)| written(word) || follows(word, arguments.get(at + 1)))
}

#[cfg(test)]
mod tests;
