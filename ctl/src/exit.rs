//! The one place that turns a failure into an exit code and a sentence, or a JSON object. Owns no state.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use p2p_proto::{Failure, FailureKind};
use rustix::io::Errno;

use crate::{
    cli,
    output::{Output, json, one_line},
};

/// Why a verb ended without success.
#[derive(Debug)]
pub(crate) enum Stop {
    /// To be told.
    Failure(Box<Failure>),
    /// Everything was told already; only the exit code is left.
    Told(FailureKind),
    /// Nobody reads stdout any more: quiet, exit code 1.
    BrokenPipe,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl Stop {
    /// The failure of a write to stdout.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => io_failure("cannot write to stdout", error).into(),
        }
    }
}

/// Tells it to the user; the exit code.
pub(crate) fn report(stop: &Stop, out: &Output) -> ExitCode {
    let kind = match stop {
        Stop::Failure(failure) => {
            tell(failure, out);
            failure.kind
        }
        Stop::Told(kind) => *kind,
        Stop::BrokenPipe => FailureKind::Internal,
    };
    ExitCode::from(kind.exit_code())
}

fn tell(failure: &Failure, out: &Output) {
    if out.is_json() {
        // When even this cannot be written, the exit code is all that is left to say it.
        let _ = out.json("error", &json::Error::from(failure));
        return;
    }
    out.error(&sentence(failure));
    for candidate in &failure.candidates {
        out.error(&format!("  {}", one_line(candidate)));
    }
}

/// One line: `p2pctl: MESSAGE. HINT`, where a hint that is a command reads `Try: COMMAND`. An interruption is no
/// error of the program and goes without the program's name.
pub(crate) fn sentence(failure: &Failure) -> String {
    let mut line = match failure.kind {
        FailureKind::Interrupted => String::new(),
        _ => "p2pctl: ".to_owned(),
    };
    line.push_str(&one_line(&failure.message));
    if let Some(hint) = failure.hint.as_deref().filter(|hint| !hint.is_empty()) {
        line.push_str(if line.ends_with(['.', '?', '!']) {
            " "
        } else {
            ". "
        });
        if hint.starts_with("p2pctl ") || hint.starts_with("sudo ") {
            line.push_str("Try: ");
        }
        line.push_str(&one_line(hint));
    } else if failure.kind == FailureKind::Interrupted && !line.ends_with('.') {
        line.push('.');
    }
    line
}

/// Help and version (exit code 0), or wrong usage (2) in the house's form.
pub(crate) fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        ErrorKind::DisplayVersion => {
            let _ = writeln!(io::stdout(), "p2pctl {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let out = Output::for_usage(
        cli::wanted_json(arguments),
        cli::wanted_stdout_for_bytes(arguments),
    );
    report(&usage_failure(error, arguments).into(), &out)
}

/// Help on stderr, or the same as JSON, where a command is missing.
pub(crate) fn no_command(json: bool) -> ExitCode {
    if json {
        let failure = Failure::new(FailureKind::Usage, "no command given").hint("p2pctl --help");
        return report(&failure.into(), &Output::for_usage(true, false));
    }
    let _ = write!(io::stderr(), "{}", cli::help());
    ExitCode::from(FailureKind::Usage.exit_code())
}

fn usage_failure(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let rendered = error.render().to_string();
    let first = rendered.split("\n\n").next().unwrap_or_default();
    let first = first.trim_start_matches("error: ").split_whitespace();
    let mut message = first.collect::<Vec<_>>().join(" ");
    if let Some(near) = nearest(error) {
        message.push_str(&format!("; did you mean {near}?"));
    }
    let hint = match cli::verb_among(arguments) {
        Some(verb) => format!("p2pctl {verb} --help"),
        None => "p2pctl --help".to_owned(),
    };
    Failure::new(FailureKind::Usage, message).hint(hint)
}

/// The command, flag or value that was probably meant.
fn nearest(error: &clap::Error) -> Option<String> {
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    let near = kinds.into_iter().find_map(|kind| error.get(kind))?;
    match near {
        ContextValue::String(one) => Some(one.clone()),
        // The last one is the nearest.
        ContextValue::Strings(several) => several.last().cloned(),
        _ => None,
    }
}

/// The failure of a call on a file: `WHAT: why`.
pub(crate) fn io_failure(what: &str, error: &io::Error) -> Failure {
    let kind = match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => FailureKind::DiskFull,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => FailureKind::NotPermitted,
        Some(Errno::NOENT | Errno::NOTDIR) => FailureKind::NotFound,
        Some(Errno::EXIST) => FailureKind::OutputExists,
        _ => FailureKind::Internal,
    };
    Failure::new(kind, format!("{what}: {}", words(error)))
}

/// The system's words for an error, as the middle of a sentence.
pub(crate) fn words(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::ACCESS) => "permission denied".to_owned(),
        Some(Errno::NOENT) => "no such file".to_owned(),
        Some(Errno::CONNREFUSED) => "connection refused".to_owned(),
        Some(Errno::NOSPC) => "the disk is full".to_owned(),
        Some(Errno::DQUOT) => "the disk quota is used up".to_owned(),
        code => {
            let text = error.to_string();
            let text = match code {
                Some(_) => text.split(" (os error").next().unwrap_or(&text),
                None => &text,
            };
            let mut letters = text.chars();
            let first = letters.next().map(|c| c.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: FailureKind, message: &str, hint: Option<&str>) -> String {
        let mut failure = Failure::new(kind, message);
        failure.hint = hint.map(Into::into);
        sentence(&failure)
    }

    #[test]
    fn the_error_line_has_one_rule() {
        use FailureKind as Kind;
        for (kind, message, hint, expected) in [
            (
                Kind::NotFound,
                "no file \"nope\" is visible to ana",
                Some("p2pctl search nope"),
                "p2pctl: no file \"nope\" is visible to ana. Try: p2pctl search nope",
            ),
            (
                Kind::NoHolderOnline,
                "scan.tar: 0 of 3 holders online (last gpu2, 18:04)",
                Some("To wait: --wait"),
                "p2pctl: scan.tar: 0 of 3 holders online (last gpu2, 18:04). To wait: --wait",
            ),
            (
                Kind::CredentialsRefused,
                "dir.lab refused the user name or password.",
                Some("Next try in 2 s."),
                "p2pctl: dir.lab refused the user name or password. Next try in 2 s.",
            ),
            (
                Kind::Internal,
                "two\nlines\u{1b}[2J",
                None,
                "p2pctl: two lines\u{fffd}[2J",
            ),
            (Kind::Interrupted, "Interrupted", None, "Interrupted."),
            (
                Kind::Interrupted,
                "Stopped waiting; transfer 42 goes on (61 %)",
                Some("To place the file: p2pctl download scan.tar -o /data/"),
                "Stopped waiting; transfer 42 goes on (61 %). To place the file: p2pctl download scan.tar -o /data/",
            ),
        ] {
            assert_eq!(line(kind, message, hint), expected);
        }
    }

    #[test]
    fn usage_errors_are_one_line_with_the_next_step() {
        let arguments: Vec<OsString> = ["p2pctl", "upload", "--frob"].map(Into::into).to_vec();
        let failure = usage_failure(&cli::parse(&arguments).unwrap_err(), &arguments);
        assert_eq!(failure.kind, FailureKind::Usage);
        assert_eq!(failure.hint.as_deref(), Some("p2pctl upload --help"));
        assert_eq!(failure.message, "unexpected argument '--frob' found");
        let arguments: Vec<OsString> = ["p2pctl", "rm"].map(Into::into).to_vec();
        let failure = usage_failure(&cli::parse(&arguments).unwrap_err(), &arguments);
        assert_eq!(
            sentence(&failure),
            "p2pctl: the following required arguments were not provided: <REF>. Try: p2pctl rm --help"
        );
    }

    #[test]
    fn a_slip_of_the_finger_gets_what_was_meant() {
        for (line, expected) in [
            (
                &["uplod", "x"][..],
                "p2pctl: unrecognized subcommand 'uplod'; did you mean upload? Try: p2pctl --help",
            ),
            (
                &["upload", "x", "--copie", "2"],
                "p2pctl: unexpected argument '--copie' found; did you mean --copies? Try: p2pctl upload --help",
            ),
            (&["--jsn", "list"], "did you mean --json?"),
            (
                &["download", "x", "--on-conflict", "renam"],
                "did you mean rename? Try: p2pctl download --help",
            ),
            (&["priority", "42", "hihg"], "did you mean high?"),
        ] {
            let line = ["p2pctl"].iter().chain(line);
            let arguments: Vec<OsString> = line.map(Into::into).collect();
            let said = sentence(&usage_failure(&cli::parse(&arguments).unwrap_err(), &arguments));
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn system_errors_have_kinds_and_words() {
        for (errno, kind, text) in [
            (Errno::NOENT, FailureKind::NotFound, "x: no such file"),
            (Errno::ACCESS, FailureKind::NotPermitted, "x: permission denied"),
            (Errno::NOSPC, FailureKind::DiskFull, "x: the disk is full"),
            (Errno::IO, FailureKind::Internal, "x: input/output error"),
        ] {
            let failure = io_failure("x", &errno.into());
            assert_eq!((failure.kind, failure.message.as_str()), (kind, text));
        }
    }
}
