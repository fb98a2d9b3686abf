//! The command line: every verb and flag, and nothing of what they do. Owns no state.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};
use p2p_proto::{FileName, Visibility};

/// Puts files in, finds them by name on any machine, and gets them verified from every machine that has them.
#[derive(Debug, Parser)]
#[command(
    name = "p2pctl",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
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
    /// Drop this peer's copy of a file
    Rm(RmArgs),
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
    /// Who may see it: public (every account of the directory) or private (yours only)
    #[arg(long, value_name = "WHO", default_value_t = Visibility::Public)]
    pub(crate) visibility: Visibility,
}

#[derive(Debug, Args)]
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

fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("\"{text}\" is no duration; write for example 500ms, 30s, 5min or 2h");
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|signed| Duration::try_from(signed).ok())
            .ok_or_else(bad)?,
    };
    // A year bounds the arithmetic with deadlines.
    let year = Duration::from_secs(366 * 86_400);
    if duration.is_zero() || duration > year {
        return Err(bad());
    }
    Ok(duration)
}

fn fingerprint(text: &str) -> Result<String, String> {
    let digits = text
        .strip_prefix("sha256:")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(format!("sha256:{digits}"))
    } else {
        Err("a fingerprint is \"sha256:\" and 64 hex digits".to_owned())
    }
}

fn file_name(text: &str) -> Result<FileName, p2p_proto::name::BadName> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Cli, clap::Error> {
        let arguments: Vec<OsString> = std::iter::once("p2pctl")
            .chain(line.iter().copied())
            .map(Into::into)
            .collect();
        parse(&arguments)
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_after_the_verb() {
        for line in [
            ["--json", "--timeout", "5min", "--socket", "/s", "status"],
            ["status", "--json", "--timeout", "5min", "--socket", "/s"],
        ] {
            let globals = parsed(&line).unwrap().globals;
            assert!(globals.json);
            assert_eq!(globals.timeout, Some(Duration::from_secs(300)));
            assert_eq!(globals.socket.as_deref(), Some(Path::new("/s")));
        }
    }

    #[test]
    fn a_reference_passes_through_untouched() {
        for text in [
            "ana/scan.tar@1",
            "hash:DEADBEEF",
            "name:x",
            "A\u{308}",
            "../x",
            "a b",
            "",
        ] {
            let Command::Download(args) = parsed(&["download", text]).unwrap().command else {
                panic!("download");
            };
            assert_eq!(args.reference, text);
        }
        let Command::Info(args) = parsed(&["info", "--", "-rf"]).unwrap().command else {
            panic!("info");
        };
        assert_eq!(args.reference, "-rf");
    }

    #[test]
    fn a_dash_is_an_output_and_an_input() {
        let Command::Download(args) = parsed(&["download", "x", "-o", "-"]).unwrap().command else {
            panic!("download");
        };
        assert!(args.streams());
        let Command::Upload(args) = parsed(&["upload", "-", "--name", "x"]).unwrap().command else {
            panic!("upload");
        };
        assert_eq!(args.paths, [PathBuf::from("-")]);
    }

    #[test]
    fn list_has_an_alias() {
        assert!(matches!(parsed(&["ls"]).unwrap().command, Command::List));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            &[][..],
            &["frobnicate"],
            &["upload"],
            &["upload", "x", "--visibility", "group:lab"],
            &["upload", "x", "--name", "../x"],
            &["upload", "x", "--name", "a\u{202e}b"],
            &["upload", "x", "--copies", "2"],
            &["rm", "x", "--all"],
            &["login", "--password", "secret"],
            &["login", "--password-stdin", "--password-file", "f"],
            &["login", "--ca-fingerprint", "sha256:12"],
            &["login", "--trust-on-first-use", "--ca-file", "f"],
            &["search", "--limit", "0"],
            &["download", "x", "--on-conflict", "maybe"],
            &["status", "--timeout", "0s"],
            &["status", "--timeout", "soon"],
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn refused_arguments_still_say_where_json_goes() {
        let words = |line: &[&str]| line.iter().map(OsString::from).collect::<Vec<_>>();
        for line in [
            &["p2pctl", "download", "-o", "-"][..],
            &["p2pctl", "download", "-o-", "--x"],
            &["p2pctl", "--json", "download", "--output=-"],
        ] {
            assert!(wanted_stdout_for_bytes(&words(line)), "{line:?}");
        }
        for line in [
            &["p2pctl", "download", "-o", "x"][..],
            &["p2pctl", "upload", "-o", "-"],
        ] {
            assert!(!wanted_stdout_for_bytes(&words(line)), "{line:?}");
        }
        assert_eq!(
            verb_among(&words(&["p2pctl", "ls", "-x"])).as_deref(),
            Some("list")
        );
    }
}
