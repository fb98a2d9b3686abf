//! Questions to the person at the terminal: a line with the few keys that people expect, a password that is not shown, a
//! path that Tab completes. Owns the terminal's settings while it waits for an answer and puts them back, whatever ends
//! or stops the wait (Ctrl-Z); after a SIGKILL the shell does.

mod keys;
mod paths;

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
};

use keys::{Did, Line};
use p2p_proto::Failure;
pub(crate) use paths::path_of;
use rustix::{
    fs::OFlags,
    io::Errno,
    process::{Signal, kill_current_process_group},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios},
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{SignalKind, signal},
};
use zeroize::Zeroizing;

use crate::{
    context::Context,
    exit::io_failure,
    output::{
        is_dumb, one_line,
        screen::Size,
        width::{shorten, width},
    },
};

/// No key, in the terminal's settings.
const DISABLED: u8 = 0;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Anything.
    Text,
    /// A path: Tab completes it.
    Path,
    /// Something that nobody may see.
    Secret,
}

/// The person's terminal, whatever stdin and stdout are.
pub(crate) struct Terminal {
    /// Does not wait in a read, so that an interruption need not either. A terminal is read as a pipe is.
    keyboard: pipe::Receiver,
    screen: File,
    /// The last question was answered with Ctrl-D.
    ended: bool,
}

impl Terminal {
    /// Opens it; call it inside the runtime.
    pub(crate) fn open() -> Result<Self, Failure> {
        Self::find().map_err(|error| io_failure("cannot ask on the terminal", &error))
    }

    fn find() -> io::Result<Self> {
        let open = |path: &str| {
            let mut options = File::options();
            options.read(true).write(true);
            let screen = options.open(path)?;
            // A description of its own: others who have the terminal open go on waiting in theirs.
            let keyboard = options
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open(path)?;
            let keyboard = pipe::Receiver::from_file_unchecked(keyboard)?;
            Ok::<_, io::Error>(Self {
                keyboard,
                screen,
                ended: false,
            })
        };
        open("/dev/tty").or_else(|_| open("/proc/self/fd/0"))
    }

    /// Shows a line.
    pub(crate) fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.write(&format!("{text}\n"))
    }

    /// Asks; `None` when the person ends the input (Ctrl-D) or is gone. An interruption is a failure.
    pub(crate) async fn ask(
        &mut self,
        ctx: &Context,
        question: &str,
        wanted: Wanted,
    ) -> Result<Option<Zeroizing<String>>, Failure> {
        let quiet =
            Quiet::new(&self.screen).map_err(|error| io_failure("cannot ask on the terminal", &error))?;
        self.write(question)?;
        let prompt = question.rsplit('\n').next().unwrap_or(question);
        let asked = tokio::select! {
            biased;
            why = ctx.interrupted() => Err(why),
            answer = self.read(prompt, wanted, &quiet) => answer,
        };
        self.ended = matches!(asked, Ok(None));
        self.write("\n")?;
        asked
    }

    /// The person answered the last question with the end of the input.
    pub(crate) fn was_ended(&self) -> bool {
        self.ended
    }

    async fn read(
        &mut self,
        prompt: &str,
        wanted: Wanted,
        quiet: &Quiet,
    ) -> Result<Option<Zeroizing<String>>, Failure> {
        let failed = |error| io_failure("cannot ask on the terminal", &error);
        let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw())).map_err(failed)?;
        let mut line = Line::default();
        loop {
            // One at a time: what is typed ahead is for whoever reads next.
            let mut byte = [0];
            let read = tokio::select! {
                biased;
                // Whoever had the terminal meanwhile has written to it, and may have made it show what is typed.
                Some(()) = continued.recv() => {
                    quiet.begin().map_err(failed)?;
                    let shown = if wanted == Wanted::Secret { "" } else { line.text() };
                    self.write(&format!("\r{prompt}{}", one_line_kept(shown)))?;
                    continue;
                }
                read = self.keyboard.read(&mut byte) => read,
            };
            match read {
                Ok(1) => {}
                // The terminal is gone.
                Ok(_) => return Ok(None),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => return Ok(None),
                Err(error) => return Err(io_failure("cannot read from the terminal", &error)),
            }
            if quiet.stops_by(byte[0]) {
                quiet.stop().map_err(failed)?;
                continue;
            }
            let shows = wanted != Wanted::Secret;
            // Of a secret there is no copy.
            let before = match shows {
                true => width(&one_line_kept(line.text())),
                false => 0,
            };
            match line.key(byte[0]) {
                Did::Nothing => {}
                Did::Added(c) if shows => self.write(&one_line_kept(c.encode_utf8(&mut [0; 4])))?,
                Did::Changed if shows => self.redraw(prompt, before, line.text())?,
                Did::Added(_) | Did::Changed => {}
                Did::Tab if wanted == Wanted::Path => self.complete(prompt, before, &mut line).await?,
                Did::Tab => {}
                Did::Entered => return Ok(Some(line.into_text())),
                Did::Ended => return Ok(None),
            }
        }
    }

    async fn complete(&mut self, prompt: &str, before: usize, line: &mut Line) -> Result<(), Failure> {
        let typed = line.text().to_owned();
        let found = tokio::task::spawn_blocking(move || paths::complete(&typed)).await;
        let Ok(found) = found else { return Ok(()) };
        if found.text != line.text() {
            line.set(found.text);
            return self.redraw(prompt, before, line.text());
        }
        if found.others.is_empty() {
            return Ok(());
        }
        let columns = Size::of(&self.screen).columns;
        let mut list = String::new();
        for name in &found.others {
            list.push_str(&format!(
                "\n  {}",
                shorten(&one_line(name), columns.saturating_sub(3))
            ));
        }
        if found.more > 0 {
            list.push_str(&format!("\n  … and {} more", found.more));
        }
        self.write(&format!("{list}\n{prompt}{}", one_line_kept(line.text())))
    }

    /// The prompt and the text again, over a text that took so many columns.
    fn redraw(&mut self, prompt: &str, before: usize, text: &str) -> Result<(), Failure> {
        if is_dumb() {
            return self.write(&format!("\n{prompt}{}", one_line_kept(text)));
        }
        let columns = Size::of(&self.screen).columns;
        let rows = (width(prompt) + before).saturating_sub(1) / columns;
        let up = match rows {
            0 => String::new(),
            rows => format!("\x1b[{rows}A"),
        };
        self.write(&format!("{up}\r\x1b[J{prompt}{}", one_line_kept(text)))
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.screen.write_all(text.as_bytes());
        written.map_err(|error| io_failure("cannot write to the terminal", &error))
    }
}

/// As [`one_line`], with the blanks at both ends.
fn one_line_kept(text: &str) -> String {
    let framed = one_line(&format!("|{text}|"));
    framed[1..framed.len() - 1].to_owned()
}

/// A terminal that gives each key at once, that of a stop too, and shows none; as it was before, when dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: &File) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = rustix::termios::tcgetattr(&terminal)?;
        let quiet = Self { terminal, before };
        quiet.begin()?;
        Ok(quiet)
    }

    fn begin(&self) -> io::Result<()> {
        let mut quiet = self.before.clone();
        quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        quiet.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
        Ok(rustix::termios::tcsetattr(
            self.terminal.as_fd(),
            OptionalActions::Now,
            &quiet,
        )?)
    }

    fn end(&self) -> io::Result<()> {
        let before = &self.before;
        Ok(rustix::termios::tcsetattr(
            &self.terminal,
            OptionalActions::Now,
            before,
        )?)
    }

    /// Whether this key is the one that stops a program.
    fn stops_by(&self, byte: u8) -> bool {
        let key = self.before.special_codes[SpecialCodeIndex::VSUSP];
        key != DISABLED && key == byte && self.before.local_modes.contains(LocalModes::ISIG)
    }

    /// Stops this program and those that it is one command with, as the key does, on a terminal that is as it was. Comes
    /// back when it is continued, or at once where nobody could.
    fn stop(&self) -> io::Result<()> {
        self.end()?;
        kill_current_process_group(Signal::TSTP)?;
        self.begin()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no settings.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_shown_harmless_and_with_its_blanks() {
        assert_eq!(one_line_kept(" a b "), " a b ");
        assert_eq!(one_line_kept("a\u{202e}b"), "a\u{fffd}b");
    }
}
