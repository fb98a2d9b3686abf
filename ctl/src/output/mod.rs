//! What a person or a script sees: data on stdout, messages and progress on stderr. Owns no state but how to write.

pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod width;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;
use table::{Column, View};

use crate::{
    cli::{Cli, ColorChoice, Command},
    exit::Stop,
};

/// How to write, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    /// Stdout carries a file's bytes.
    json_on_stderr: bool,
    quiet: bool,
    verbose: bool,
    progress: bool,
    /// A table may be drawn again in its place.
    redraws: bool,
    stdout_terminal: bool,
    color_stdout: bool,
    color_stderr: bool,
}

/// A colour that a terminal may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Red,
    Yellow,
    Green,
    Bold,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Green => "32",
            Self::Bold => "1",
        }
    }

    fn on(self, text: &str) -> String {
        format!("\x1b[{}m{text}\x1b[0m", self.code())
    }
}

impl Output {
    /// As the command line asks.
    pub(crate) fn new(cli: &Cli) -> Self {
        let globals = &cli.globals;
        let stderr_terminal = io::stderr().is_terminal();
        let stdout_terminal = io::stdout().is_terminal();
        let colors = |terminal: bool| match globals.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        Self {
            json: globals.json,
            json_on_stderr: matches!(&cli.command, Some(Command::Download(args)) if args.streams()),
            quiet: globals.quiet,
            verbose: globals.verbose > 0,
            progress: stderr_terminal && !(globals.quiet || globals.json || globals.no_progress || is_dumb()),
            redraws: !(globals.json || globals.no_progress || is_dumb()),
            stdout_terminal,
            color_stdout: colors(stdout_terminal),
            color_stderr: colors(stderr_terminal),
        }
    }

    /// For arguments that could not be understood.
    pub(crate) const fn for_usage(json: bool, json_on_stderr: bool) -> Self {
        Self {
            json,
            json_on_stderr,
            quiet: false,
            verbose: false,
            progress: false,
            redraws: false,
            stdout_terminal: false,
            color_stdout: false,
            color_stderr: false,
        }
    }

    /// The answer is one JSON object.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Moving lines may be shown.
    pub(crate) const fn shows_progress(&self) -> bool {
        self.progress
    }

    /// A line of data.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Stop> {
        writeln!(io::stdout().lock(), "{text}").map_err(|error| Stop::stdout(&error))
    }

    /// What a command did, where that is all that it has to say: not with `--quiet`.
    pub(crate) fn done(&self, text: impl Display) -> Result<(), Stop> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// A table, its head in bold.
    pub(crate) fn table<const N: usize>(
        &self,
        columns: &[Column; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<(), Stop> {
        let lines = table::lines(columns, rows, self.view());
        let (head, rows) = lines.split_first().unzip();
        if let Some(head) = head {
            self.line(self.paint(Paint::Bold, head))?;
        }
        rows.into_iter().flatten().try_for_each(|row| self.line(row))
    }

    /// Where a table on stdout is shown.
    pub(crate) fn view(&self) -> View {
        View {
            width: self.stdout_terminal.then(|| screen::Size::now().columns),
            colors: self.color_stdout,
            moves: self.stdout_terminal && !is_dumb(),
        }
    }

    /// The one object of `p2pctl.COMMAND/1`.
    pub(crate) fn json<T: Serialize>(&self, command: &str, body: &T) -> Result<(), Stop> {
        let text = json::text(command, body);
        if self.json_on_stderr {
            let _ = writeln!(io::stderr().lock(), "{text}");
            return Ok(());
        }
        writeln!(io::stdout().lock(), "{text}").map_err(|error| Stop::stdout(&error))
    }

    /// A message beside the data: not with `--quiet` or `--json`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet && !self.json {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// A message that those who read JSON should know as well: on stderr, not with `--quiet`.
    pub(crate) fn notice(&self, text: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// A message for `--verbose`.
    pub(crate) fn detail(&self, text: impl Display) {
        if self.verbose {
            self.note(text);
        }
    }

    /// An error line.
    pub(crate) fn error(&self, text: &str) {
        let text = match text.strip_prefix("p2pctl:") {
            Some(rest) if self.color_stderr => format!("{}{rest}", Paint::Red.on("p2pctl:")),
            _ => text.to_owned(),
        };
        // A closed stderr leaves the exit code.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// The text in this colour where stdout shows colours.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color_stdout {
            paint.on(text)
        } else {
            text.to_owned()
        }
    }
}

/// The terminal obeys nothing but what a typewriter does.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The colour of a state: what failed, what waits for somebody, and what is done.
pub(crate) fn state_paint(state: &str) -> Option<Paint> {
    match state.split(',').next().unwrap_or(state) {
        "failed" | "damaged" => Some(Paint::Red),
        "waiting" | "paused" => Some(Paint::Yellow),
        "done" => Some(Paint::Green),
        _ => None,
    }
}

/// The text as one harmless line: line breaks become spaces; other control characters, those that change the direction
/// and those that cannot be seen become U+FFFD. Names come from others, and a terminal obeys what it is sent.
pub(crate) fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                '\u{FFFD}'
            }
            '\u{AD}' | '\u{200B}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' => {
                '\u{FFFD}'
            }
            c if c.is_control() => '\u{FFFD}',
            c => c,
        })
        .collect()
}

/// The beginning of a hash, as text output shows it: `5c0a91e7…`.
pub(crate) fn short_hash(hash: &str) -> String {
    let start: String = one_line(hash).chars().take(8).collect();
    format!("{start}…")
}

/// `owner/name@version`.
pub(crate) fn full_name(publication: &p2p_proto::v1::Publication) -> String {
    one_line(&format!(
        "{}/{}@{}",
        publication.owner, publication.name, publication.version
    ))
}

/// The host in a directory's URL: `dir.lab` of `https://dir.lab:7400`.
pub(crate) fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    one_line(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (url, expected) in [
            ("https://dir.lab:7400", "dir.lab"),
            ("https://dir.lab", "dir.lab"),
            ("https://[::1]:7400/", "[::1]"),
            ("dir.lab:1", "dir.lab"),
            ("", ""),
        ] {
            assert_eq!(host(url), expected);
        }
    }

    #[test]
    fn others_cannot_write_to_the_terminal() {
        assert_eq!(one_line("a\nb\u{1b}[2Jc\u{202e}d"), "a b\u{fffd}[2Jc\u{fffd}d");
        assert_eq!(one_line("\u{9b}2J\u{200b}x\u{ad}"), "\u{fffd}2J\u{fffd}x\u{fffd}");
        assert_eq!(short_hash("5c0a91e7ffff"), "5c0a91e7…");
        assert_eq!(short_hash("é"), "é…");
    }
}
