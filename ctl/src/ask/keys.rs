//! What keys make of a line. Owns the line, which is wiped: it may be a password.

use zeroize::{Zeroize, Zeroizing};

/// The longest line, in bytes.
const MAX: usize = 4096;

/// What a key did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Did {
    Nothing,
    /// This came at the end.
    Added(char),
    /// The line is another one.
    Changed,
    Tab,
    /// The line is whole.
    Entered,
    /// There will be no line.
    Ended,
}

/// Where in an escape sequence the keyboard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    No,
    Begun,
    Inside,
}

/// A line that is typed.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: Zeroizing<String>,
    /// A character of which not all bytes came yet.
    half: Vec<u8>,
    escape: Escape,
}

impl Line {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> Zeroizing<String> {
        self.text
    }

    pub(super) fn set(&mut self, text: String) {
        self.text = Zeroizing::new(text);
    }

    /// Takes the next byte from the keyboard.
    pub(super) fn key(&mut self, byte: u8) -> Did {
        match (self.escape, byte) {
            (Escape::Begun, b'[' | b'O') => {
                self.escape = Escape::Inside;
                return Did::Nothing;
            }
            // An arrow or a function key: there is nowhere to go.
            (Escape::Begun, _) | (Escape::Inside, 0x40..=0x7e) => {
                self.escape = Escape::No;
                return Did::Nothing;
            }
            (Escape::Inside, _) => return Did::Nothing,
            (Escape::No, _) => {}
        }
        match byte {
            b'\r' | b'\n' => Did::Entered,
            b'\t' => Did::Tab,
            0x1b => {
                self.escape = Escape::Begun;
                Did::Nothing
            }
            // Ctrl-D, where nothing is typed yet.
            0x04 if self.text.is_empty() => Did::Ended,
            // Backspace.
            0x08 | 0x7f => self.shorter(|text| text.char_indices().next_back().map_or(0, |(at, _)| at)),
            // Ctrl-U: all of it.
            0x15 => self.shorter(|_| 0),
            // Ctrl-W: the last word.
            0x17 => self.shorter(|text| {
                let trimmed = text.trim_end();
                trimmed
                    .rfind([' ', '/'])
                    .map_or(0, |at| at + usize::from(at + 1 < trimmed.len()))
            }),
            0x00..=0x1f => Did::Nothing,
            byte => self.add(byte),
        }
    }

    fn add(&mut self, byte: u8) -> Did {
        self.half.push(byte);
        let added = match std::str::from_utf8(&self.half) {
            Ok(text) => text.chars().next(),
            Err(error) if error.error_len().is_none() => return Did::Nothing,
            Err(_) => {
                self.half.zeroize();
                return Did::Nothing;
            }
        };
        self.half.zeroize();
        match added.filter(|c| self.text.len() + c.len_utf8() <= MAX) {
            Some(c) => {
                self.push(c);
                Did::Added(c)
            }
            None => Did::Nothing,
        }
    }

    /// No half copy of a secret stays behind in the heap.
    fn push(&mut self, added: char) {
        if self.text.capacity() < self.text.len() + added.len_utf8() {
            let mut larger = Zeroizing::new(String::with_capacity(MAX));
            larger.push_str(&self.text);
            self.text = larger;
        }
        self.text.push(added);
    }

    fn shorter(&mut self, to: impl FnOnce(&str) -> usize) -> Did {
        self.half.zeroize();
        let length = to(&self.text);
        if length == self.text.len() {
            return Did::Nothing;
        }
        self.text.truncate(length);
        Did::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> (String, Did) {
        let mut line = Line::default();
        let mut did = Did::Nothing;
        for byte in keys.bytes() {
            did = line.key(byte);
        }
        (line.text().to_owned(), did)
    }

    #[test]
    fn keys_make_a_line() {
        for (keys, text) in [
            ("scan.tar", "scan.tar"),
            ("数据é", "数据é"),
            ("数据\x7f", "数"),
            ("\x7fa", "a"),
            ("a b\x15c", "c"),
            ("/home/ana/scan.tar\x17", "/home/ana/"),
            ("two words\x17", "two "),
            ("two words \x17", "two "),
            ("a\x1b[D\x1b[3~\x1bOPb", "ab"),
            ("a\x01\x0b\x04b", "ab"),
        ] {
            assert_eq!(typed(keys).0, text, "{keys:?}");
        }
        assert_eq!(typed("x\n").1, Did::Entered);
        assert_eq!(typed("x\r").1, Did::Entered);
        assert_eq!(typed("\x04").1, Did::Ended);
        assert_eq!(typed("x\x04").1, Did::Nothing);
        assert_eq!(typed("x\t").1, Did::Tab);
    }

    #[test]
    fn a_line_is_bounded_and_text() {
        let mut line = Line::default();
        for _ in 0..MAX + 10 {
            line.key(b'x');
        }
        assert_eq!(line.text().len(), MAX);
        let mut line = Line::default();
        for byte in [0xff, b'a', 0xc3, b'b'] {
            line.key(byte);
        }
        assert_eq!(line.text(), "a");
    }
}
