//! How much room a text takes on a terminal, and how to make it take less. Owns no state.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a text takes where each character counts for itself, as on most terminals. Colours take none.
pub(crate) fn width(text: &str) -> usize {
    parts(text).map(|(_, wide)| wide).sum()
}

/// Some terminals draw this text, for example a family of emoji, in fewer columns than [`width`] says.
pub(crate) fn is_uneven(text: &str) -> bool {
    UnicodeWidthStr::width(text) != width(text)
}

/// The text in at most so many columns: its middle is left out, so that its end stays.
pub(crate) fn shorten(text: &str, room: usize) -> String {
    let whole: Vec<_> = parts(text).collect();
    if whole.iter().map(|(_, wide)| wide).sum::<usize>() <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(1);
    let (mut short, _) = begin(&whole, room - room / 2);
    short.push('…');
    let mut used = 0;
    let mut first = whole.len();
    for (at, (_, wide)) in whole.iter().enumerate().rev() {
        used += wide;
        if used > room / 2 {
            break;
        }
        // What takes no room belongs to the character before it.
        if *wide > 0 {
            first = at;
        }
    }
    short.extend(whole[first..].iter().map(|(part, _)| *part));
    short
}

/// The text, cut where the room ends.
pub(crate) fn cut(text: &str, room: usize) -> String {
    let whole: Vec<_> = parts(text).collect();
    if whole.iter().map(|(_, wide)| wide).sum::<usize>() <= room {
        return text.to_owned();
    }
    let (mut kept, at) = begin(&whole, room.saturating_sub(1));
    kept.push('…');
    // A colour that began is ended.
    kept.extend(
        whole[at..]
            .iter()
            .filter(|(part, _)| is_colour(part))
            .map(|(part, _)| *part),
    );
    kept
}

/// The text in pieces that take one row each; a line break ends a row.
pub(crate) fn fold(text: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for line in text.split('\n') {
        let mut row = String::new();
        let mut used = 0;
        for (part, wide) in parts(line) {
            if used + wide > columns {
                rows.push(std::mem::take(&mut row));
                used = 0;
            }
            used += wide;
            row.push_str(part);
        }
        rows.push(row);
    }
    rows
}

/// The parts that fit, and how many they are.
fn begin(parts: &[(&str, usize)], room: usize) -> (String, usize) {
    let mut used = 0;
    let fit = parts.iter().take_while(|(_, wide)| {
        used += wide;
        used <= room
    });
    let fit: Vec<&str> = fit.map(|(part, _)| *part).collect();
    (fit.concat(), fit.len())
}

/// Each character with its columns; a colour, or a word where the next column is, is one part.
fn parts(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match first {
            // Nothing else may stand here: what comes from others went through `one_line`.
            '\x1b' => rest
                .find(|c: char| c.is_ascii_alphabetic())
                .map_or(1, |end| end + 1),
            c => c.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        rest = after;
        let wide = match first {
            '\x1b' => 0,
            c => c.width().unwrap_or_default(),
        };
        Some((part, wide))
    })
}

fn is_colour(part: &str) -> bool {
    part.starts_with('\x1b') && part.ends_with('m')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_counts_for_itself() {
        for (text, columns) in [
            ("", 0),
            ("scan.tar", 8),
            ("数据", 4),
            ("e\u{301}", 1),
            ("👨\u{200d}👩\u{200d}👧", 6),
            ("\x1b[31mfailed\x1b[0m", 6),
            ("ab\x1b[11Gmm", 4),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
        assert!(is_uneven("👨\u{200d}👩\u{200d}👧"));
        assert!(!is_uneven("数据 e\u{301} scan.tar"));
    }

    #[test]
    fn the_middle_is_left_out() {
        for (text, room, short) in [
            ("scan.tar@12", 11, "scan.tar@12"),
            ("scan.tar@12", 10, "scan.…r@12"),
            ("scan.tar@12", 3, "s…2"),
            ("scan.tar@12", 1, "…"),
            ("数据数据@1", 8, "数据…@1"),
            // A character and its accent stay together, at both ends.
            ("e\u{301}bcdefgz\u{301}", 3, "e\u{301}…z\u{301}"),
        ] {
            assert_eq!(shorten(text, room), short);
            assert!(width(short) <= room);
        }
        // Whatever the text and the room, it fits.
        for text in [
            "数据数据数据",
            "👨\u{200d}👩\u{200d}👧👧",
            "e\u{301}\u{301}\u{301}x\u{301}",
        ] {
            for room in 1..10 {
                assert!(width(&shorten(text, room)) <= room, "{text} {room}");
            }
        }
    }

    #[test]
    fn a_line_is_cut_or_folded() {
        assert_eq!(cut("scan.tar", 8), "scan.tar");
        assert_eq!(cut("scan.tar", 7), "scan.t…");
        assert_eq!(cut("数据数据", 6), "数据…");
        assert_eq!(cut("\x1b[31mfailed\x1b[0m", 4), "\x1b[31mfai…\x1b[0m");
        assert_eq!(fold("scan.tar", 8), ["scan.tar"]);
        assert_eq!(fold("scan.tar", 3), ["sca", "n.t", "ar"]);
        assert_eq!(fold("数据数", 5), ["数据", "数"]);
        assert_eq!(fold("\x1b[31mab\x1b[0m", 2), ["\x1b[31mab\x1b[0m"]);
        assert_eq!(fold("a\nbc", 5), ["a", "bc"]);
        assert_eq!(fold("", 5), [""]);
    }
}
