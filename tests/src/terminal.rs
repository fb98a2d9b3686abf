//! A program on a terminal of its own: what a person at a screen types and sees. The screen is that of a real terminal
//! emulation, so what was overwritten is gone, and what scrolled away is kept above it.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::wait;

/// So many lines are kept when they scroll away.
const SCROLLBACK: usize = 2_000;

/// What a program wrote before its end comes within this.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A program that runs on a terminal; killed when dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    seen: Arc<Mutex<vt100::Parser>>,
    /// Everything that was written to it.
    written: Arc<Mutex<Vec<u8>>>,
    /// Shows what is written, as long as anybody has the terminal open.
    reader: JoinHandle<()>,
    rows: u16,
}

impl Terminal {
    /// Starts the program on a terminal of this size, which is also its controlling one: it may ask for passwords there.
    ///
    /// # Panics
    /// When there is no terminal, or the program cannot be started.
    #[must_use]
    pub fn start(command: &Command, (columns, rows): (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).expect("a terminal's size");
        let own = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        let child = spawn(command, own);
        let seen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, SCROLLBACK)));
        let mut screen = File::from(master.try_clone().expect("a descriptor"));
        let written = Arc::default();
        let (shown, kept) = (Arc::clone(&seen), Arc::<Mutex<Vec<u8>>>::clone(&written));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the terminal is an error, as Linux tells it.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                kept.lock().expect("bytes").extend_from_slice(&bytes[..count]);
                shown.lock().expect("a screen").process(&bytes[..count]);
            }
        });
        Self {
            child,
            keyboard: File::from(master),
            seen,
            written,
            reader,
            rows,
        }
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a terminal");
    }

    /// Everything that is on the screen or scrolled away, without empty lines at its end.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parser = self.seen.lock().expect("a screen");
        let width = parser.screen().size().1;
        parser.screen_mut().set_scrollback(usize::MAX);
        let above = parser.screen().scrollback();
        let mut lines = Vec::new();
        let mut offset = above;
        loop {
            parser.screen_mut().set_scrollback(offset);
            let rows: Vec<String> = parser.screen().rows(0, width).collect();
            if offset == 0 {
                lines.extend(rows);
                break;
            }
            let step = offset.min(usize::from(self.rows));
            lines.extend(rows.into_iter().take(step));
            offset -= step;
        }
        let text = lines.join("\n");
        text.trim_end().to_owned()
    }

    /// Every byte that was written to it, what it obeyed too.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("bytes")).into_owned()
    }

    /// Something on the screen has a colour of its own.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn has_colours(&self) -> bool {
        let parser = self.seen.lock().expect("a screen");
        let screen = parser.screen();
        let (rows, columns) = screen.size();
        let coloured = |row, column| {
            let cell = screen.cell(row, column);
            cell.is_some_and(|cell| cell.fgcolor() != vt100::Color::Default)
        };
        (0..rows).any(|row| (0..columns).any(|column| coloured(row, column)))
    }

    /// Waits until this is on the screen, or was.
    ///
    /// # Panics
    /// When it does not come.
    pub fn shows(&self, what: &str) {
        let shown = wait::often(wait::SOON, || self.text().contains(what).then_some(()));
        assert!(shown.is_some(), "\"{what}\" did not come:\n{}", self.text());
    }

    /// Waits for the end; the exit code and everything that was shown.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ends(&mut self) -> (i32, String) {
        let ended = wait::often(wait::SOON, || self.child.try_wait().ok().flatten());
        let Some(status) = ended else {
            panic!("it did not end:\n{}", self.text());
        };
        // What it wrote last may still be on its way here. Whoever it left behind may keep the terminal open.
        let _ = wait::often(LAST_WORDS, || self.reader.is_finished().then_some(()));
        (status.code().unwrap_or(-1), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `setsid` makes the terminal the controlling one, which takes a call between fork and exec.
fn spawn(command: &Command, terminal: OwnedFd) -> Child {
    let mut session = Command::new("setsid");
    session.args(["--ctty", "--wait", "--"]);
    session.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => session.env(name, value),
            None => session.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        session.current_dir(folder);
    }
    let copy = || terminal.try_clone().expect("a descriptor");
    session.env("TERM", "xterm-256color");
    session
        .stdin(Stdio::from(copy()))
        .stdout(Stdio::from(copy()))
        .stderr(Stdio::from(terminal));
    session
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Terminal {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Terminal::start(&command, (20, 4))
    }

    #[test]
    fn what_is_overwritten_is_gone_and_what_scrolled_away_is_kept() {
        let (code, text) = shell("printf 'half\\rwhole\\n'; seq 7; exit 3").ends();
        assert_eq!((code, text.as_str()), (3, "whole\n1\n2\n3\n4\n5\n6\n7"));
    }

    #[test]
    fn a_password_can_be_typed_at_the_controlling_terminal() {
        let mut shell = shell("printf 'Name? '; read name </dev/tty; echo \"Hello $name\"");
        shell.shows("Name?");
        shell.types("ana\n");
        let (code, text) = shell.ends();
        assert_eq!((code, text.as_str()), (0, "Name? ana\nHello ana"));
    }
}
