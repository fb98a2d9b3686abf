//! A block of lines on a terminal that is drawn again in its place. Owns how much it drew last; a crash leaves the last
//! block, and the terminal as it was.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use super::{
    Output, Paint,
    width::{cut, fold, width},
};
use crate::exit::Stop;

/// What a terminal has that does not say.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// How much a terminal can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Size {
    /// Of the terminal that stdout is; what is usual when it does not say.
    pub(crate) fn now() -> Self {
        Self::of(io::stdout())
    }

    /// Of this terminal.
    pub(crate) fn of(terminal: impl AsFd) -> Self {
        match rustix::termios::tcgetwinsize(terminal) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Self {
                columns: size.ws_col.into(),
                rows: size.ws_row.into(),
            },
            _ => USUAL,
        }
    }
}

/// A block of lines on stdout.
pub(crate) struct Screen {
    out: Output,
    /// The width of each line drawn last.
    drawn: Vec<usize>,
}

impl Screen {
    /// `None` where nothing can be drawn again: stdout is no terminal, or moving lines are not wanted.
    pub(crate) fn new(out: &Output) -> Option<Self> {
        let draws = out.redraws && io::stdout().is_terminal();
        draws.then(|| Self {
            out: *out,
            drawn: Vec::new(),
        })
    }

    /// Shows these lines, the first as the head, in the place of those drawn before.
    pub(crate) fn draw(&mut self, lines: &[String]) -> Result<(), Stop> {
        let size = Size::now();
        let lines = fitting(lines, size);
        let mut text = over(&self.drawn, size);
        for (at, line) in lines.iter().enumerate() {
            match at {
                0 => text.push_str(&self.out.paint(Paint::Bold, line)),
                _ => text.push_str(line),
            }
            text.push('\n');
        }
        self.drawn = lines.iter().map(|line| width(line)).collect();
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|error| Stop::stdout(&error))
    }
}

/// Back to the first of the drawn lines, and nothing below it. A terminal that became narrower has wrapped them.
fn over(drawn: &[usize], size: Size) -> String {
    let rows: usize = drawn
        .iter()
        .map(|width| width.div_ceil(size.columns).max(1))
        .sum();
    match rows {
        0 => String::new(),
        rows => format!("\x1b[{rows}A\r\x1b[J"),
    }
}

/// The rows that the terminal can show: the head always, and of the others the last, folded where they are longer or
/// are of several lines.
fn fitting(lines: &[String], size: Size) -> Vec<String> {
    let Some((head, rest)) = lines.split_first() else {
        return Vec::new();
    };
    // The head, the line that tells of what is left out, and the cursor's own.
    let room = size.rows.saturating_sub(3).max(1);
    let mut rows: Vec<String> = Vec::new();
    let mut shown = 0;
    for line in rest.iter().rev() {
        let folded = fold(line, size.columns);
        if shown > 0 && rows.len() + folded.len() > room {
            break;
        }
        rows.extend(folded.into_iter().take(room).rev());
        shown += 1;
    }
    let hidden = rest.len() - shown;
    if hidden > 0 {
        rows.push(cut(&format!("… and {hidden} older"), size.columns));
    }
    rows.push(cut(head, size.columns));
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(columns: usize, rows: usize) -> Size {
        Size { columns, rows }
    }

    #[test]
    fn what_was_drawn_is_drawn_over() {
        assert_eq!(over(&[], size(80, 24)), "");
        assert_eq!(over(&[80, 5, 0], size(80, 24)), "\x1b[3A\r\x1b[J");
        // Narrower since: the first line takes two rows, the second one.
        assert_eq!(over(&[80, 40], size(40, 24)), "\x1b[3A\r\x1b[J");
    }

    #[test]
    fn the_newest_stay_in_sight() {
        let lines: Vec<String> = ["ID", "1", "2", "3", "4", "5"].map(Into::into).to_vec();
        assert_eq!(fitting(&lines, size(80, 24)), lines);
        assert_eq!(
            fitting(&lines, size(80, 6)),
            ["ID", "… and 2 older", "3", "4", "5"]
        );
        assert!(fitting(&[], size(80, 24)).is_empty());
        let lines: Vec<String> = ["ID", "1", "22222", "3"].map(Into::into).to_vec();
        let rows = ["ID", "1", "222", "22", "3"];
        assert_eq!(fitting(&lines, size(3, 24)), rows);
        assert_eq!(fitting(&lines, size(3, 6)), ["ID", "… …", "222", "22", "3"]);
        // What has a second line is one with it.
        let lines: Vec<String> = ["ID", "1", "2\n    why", "3"].map(Into::into).to_vec();
        assert_eq!(
            fitting(&lines, size(20, 6)),
            ["ID", "… and 1 older", "2", "    why", "3"]
        );
        // Never more than the terminal has, however long a line is.
        let long = ["ID".to_owned(), "x".repeat(1000)];
        assert_eq!(fitting(&long, size(10, 6)).len(), 4);
    }
}
