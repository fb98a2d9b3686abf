//! Tables whose columns fit what is in them, and the terminal. On a terminal that is too narrow a reason goes below its
//! row, then names are shortened in the middle, then the least needed columns are left out; numbers are never cut. Owns
//! no state.

use super::{
    Paint, one_line,
    width::{cut, is_uneven, shorten, width},
};

const GAP: usize = 2;
const INDENT: &str = "    ";

/// Where a table is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    /// The terminal's columns; `None`: as wide as it gets.
    pub(crate) width: Option<usize>,
    pub(crate) colors: bool,
    /// The cursor can be sent to a column.
    pub(crate) moves: bool,
}

/// One column.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    head: &'static str,
    /// Its cells end together.
    right: bool,
    /// It can be shortened to so many columns.
    least: Option<usize>,
    /// It goes below the row when there is too little room beside it.
    below: bool,
    /// Above 0: it may be left out, the highest first.
    spare: u8,
    paint: fn(&str) -> Option<Paint>,
}

impl Column {
    /// Whole, and never left out.
    pub(crate) const fn text(head: &'static str) -> Self {
        Self {
            head,
            right: false,
            least: None,
            below: false,
            spare: 0,
            paint: |_| None,
        }
    }

    /// The same for figures, which stand below each other.
    pub(crate) const fn number(head: &'static str) -> Self {
        Self {
            right: true,
            ..Self::text(head)
        }
    }

    /// Can be shortened, but not below this.
    pub(crate) const fn name(head: &'static str) -> Self {
        Self {
            least: Some(12),
            ..Self::text(head)
        }
    }

    /// A sentence that can stand below its row.
    pub(crate) const fn sentence(head: &'static str) -> Self {
        Self {
            below: true,
            ..Self::text(head)
        }
    }

    /// Can be left out; the highest goes first.
    pub(crate) const fn spare(self, rank: u8) -> Self {
        Self { spare: rank, ..self }
    }

    /// In a colour that follows from the cell.
    pub(crate) const fn painted(self, paint: fn(&str) -> Option<Paint>) -> Self {
        Self { paint, ..self }
    }
}

/// The lines of a table: a head, then the rows, columns two spaces apart, nothing at the end of a line. An empty cell is
/// `-`. A row with something below it is one text of two lines.
pub(crate) fn lines<const N: usize>(
    columns: &[Column; N],
    rows: impl IntoIterator<Item = [String; N]>,
    view: View,
) -> Vec<String> {
    let clean = |cell: String| match one_line(&cell) {
        cell if cell.is_empty() => "-".to_owned(),
        cell => cell,
    };
    let rows: Vec<[String; N]> = rows.into_iter().map(|row| row.map(clean)).collect();
    let natural: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().map(|row| width(&row[at]));
            cells.chain([width(column.head)]).max().unwrap_or_default()
        })
        .collect();
    let layout = Layout::new(columns, &natural, view.width);
    let head = layout.line(columns, &columns.map(|column| column.head.to_owned()), view, true);
    let rows = rows.iter().map(|row| layout.line(columns, row, view, false));
    std::iter::once(head).chain(rows).collect()
}

/// Which columns are shown, and how wide.
struct Layout {
    shown: Vec<(usize, usize)>,
    below: Option<usize>,
}

impl Layout {
    fn new(columns: &[Column], natural: &[usize], room: Option<usize>) -> Self {
        let mut shown: Vec<usize> = (0..columns.len()).collect();
        let mut below = None;
        let room = room.unwrap_or(usize::MAX);
        loop {
            let wanted: usize = shown.iter().map(|&at| natural[at]).sum::<usize>() + gaps(&shown);
            let sentence = shown.iter().position(|&at| columns[at].below);
            if let Some(at) = sentence.filter(|_| wanted > room) {
                below = Some(shown.remove(at));
                continue;
            }
            let (widths, fits) = shrunk(columns, natural, &shown, room);
            let spare = (0..shown.len()).max_by_key(|&at| columns[shown[at]].spare);
            match spare.filter(|&at| columns[shown[at]].spare > 0) {
                Some(at) if !fits => {
                    shown.remove(at);
                }
                _ => {
                    let shown = shown.into_iter().zip(widths).collect();
                    return Self { shown, below };
                }
            }
        }
    }

    fn line(&self, columns: &[Column], cells: &[String], view: View, head: bool) -> String {
        let mut line = String::new();
        let mut start = 0;
        let last = self.shown.len().saturating_sub(1);
        for (place, &(at, wide)) in self.shown.iter().enumerate() {
            let column = &columns[at];
            let cell = shorten(&cells[at], wide);
            let blank = " ".repeat(wide.saturating_sub(width(&cell)));
            let paint = (column.paint)(&cells[at]).filter(|_| view.colors && !head);
            let text = paint.map_or_else(|| cell.clone(), |paint| paint.on(&cell));
            start += wide + GAP;
            if column.right && !head {
                line.push_str(&blank);
                line.push_str(&text);
            } else {
                line.push_str(&text);
                if place < last {
                    line.push_str(&blank);
                }
            }
            if place < last {
                line.push_str(&" ".repeat(GAP));
                if view.moves && is_uneven(&cell) {
                    // The next column stands where it should, however this terminal counted.
                    line.push_str(&format!("\x1b[{}G", start + 1));
                }
            }
        }
        if let Some(room) = view.width.filter(|&room| width(&line) > room) {
            line = cut(&line, room);
        }
        let below = self.below.filter(|_| !head).map(|at| cells[at].as_str());
        if let Some(text) = below.filter(|&text| text != "-") {
            line.push_str(&format!("\n{INDENT}{text}"));
        }
        line
    }
}

fn gaps(shown: &[usize]) -> usize {
    GAP * shown.len().saturating_sub(1)
}

/// The widths of these columns in this room, and whether they fit. The widest is shortened first.
fn shrunk(columns: &[Column], natural: &[usize], shown: &[usize], room: usize) -> (Vec<usize>, bool) {
    let mut widths: Vec<usize> = shown.iter().map(|&at| natural[at]).collect();
    let mut over = (widths.iter().sum::<usize>() + gaps(shown)).saturating_sub(room);
    while over > 0 {
        let shrinks = |&at: &usize| columns[shown[at]].least.is_some_and(|least| widths[at] > least);
        let Some(widest) = (0..shown.len()).filter(shrinks).max_by_key(|&at| widths[at]) else {
            return (widths, false);
        };
        widths[widest] -= 1;
        over -= 1;
    }
    (widths, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: [Column; 5] = [
        Column::name("NAME"),
        Column::text("OWNER").spare(1),
        Column::number("SIZE"),
        Column::text("HOLDERS"),
        Column::text("AGE").spare(2),
    ];

    fn row<const N: usize>(cells: [&str; N]) -> [String; N] {
        cells.map(str::to_owned)
    }

    fn narrow(width: usize) -> View {
        View {
            width: Some(width),
            colors: false,
            moves: true,
        }
    }

    #[test]
    fn columns_fit_what_is_in_them() {
        let rows = [row(["scan.tar@1", "ana", "4.1 GiB", "2/2", "13 min"])];
        for view in [View::default(), narrow(80)] {
            assert_eq!(
                lines(&FOUND, rows.clone(), view),
                [
                    "NAME        OWNER  SIZE     HOLDERS  AGE",
                    "scan.tar@1  ana    4.1 GiB  2/2      13 min",
                ]
            );
        }
    }

    #[test]
    fn figures_stand_below_each_other() {
        let rows = [
            row(["a@1", "ana", "940 MiB", "2/2", "3 s"]),
            row(["b@1", "ana", "7 B", "1/2", "2 h"]),
        ];
        assert_eq!(
            lines(&FOUND, rows, View::default())[1..],
            [
                "a@1   ana    940 MiB  2/2      3 s",
                "b@1   ana        7 B  1/2      2 h"
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_shortens_names_and_then_leaves_out_what_is_needed_least() {
        let name = "a-rather-long-name-of-a-file.tar.zst@12";
        let rows = || [row([name, "ana", "4.1 GiB", "2/2", "13 min"])];
        for room in [79, 60, 50, 44, 36, 30] {
            let shown = lines(&FOUND, rows(), narrow(room));
            assert!(shown.iter().all(|line| width(line) <= room), "{room} {shown:?}");
            assert!(
                shown[1].contains("4.1 GiB") && shown[1].contains("2/2"),
                "{shown:?}"
            );
            assert!(shown[1].contains("@12"), "{shown:?}");
            assert_eq!(shown[0].contains("AGE"), room > 44, "{shown:?}");
            assert_eq!(shown[0].contains("OWNER"), room > 36, "{shown:?}");
        }
        // Narrower than anything makes sense in: cut.
        assert!(
            lines(&FOUND, rows(), narrow(9))
                .iter()
                .all(|line| width(line) <= 9)
        );
    }

    #[test]
    fn a_reason_goes_below_its_row() {
        let columns = [Column::text("ID"), Column::name("NAME"), Column::sentence("WHY")];
        let rows = || [row(["42", "scan.tar", "gpu1 is silent"]), row(["43", "x", ""])];
        let beside = [
            "ID  NAME      WHY",
            "42  scan.tar  gpu1 is silent",
            "43  x         -",
        ];
        assert_eq!(lines(&columns, rows(), narrow(28)), beside);
        let below = ["ID  NAME", "42  scan.tar\n    gpu1 is silent", "43  x"];
        assert_eq!(lines(&columns, rows(), narrow(27)), below);
    }

    #[test]
    fn wide_and_odd_characters_keep_the_columns() {
        let family = "👨\u{200d}👩\u{200d}👧";
        let columns = [Column::name("N"), Column::number("S")];
        let rows = || ["数据", "e\u{301}", family, "a\u{1b}[2J\u{202e}b"].map(|name| row([name, "1"]));
        assert_eq!(
            lines(&columns, rows(), View::default()),
            [
                "N        S".to_owned(),
                "数据     1".to_owned(),
                "e\u{301}        1".to_owned(),
                format!("{family}   1"),
                "a\u{fffd}[2J\u{fffd}b  1".to_owned(),
            ]
        );
        // Where a terminal may count otherwise, the next column is named.
        assert_eq!(
            lines(&columns, rows(), narrow(80))[3],
            format!("{family}   \x1b[10G1")
        );
    }

    #[test]
    fn colours_take_no_room() {
        let red = |_: &str| Some(Paint::Red);
        let columns = [Column::text("STATE").painted(red), Column::text("B")];
        let view = View {
            colors: true,
            ..View::default()
        };
        assert_eq!(
            lines(&columns, [row(["failed", "x"])], view),
            ["STATE   B", "\x1b[31mfailed\x1b[0m  x"]
        );
    }

    #[test]
    fn cells_are_never_empty_and_never_two_lines() {
        let table = lines(
            &[Column::text("A"), Column::text("B")],
            [row(["", "x\ny"])],
            View::default(),
        );
        assert_eq!(table, ["A  B", "-  x y"]);
    }

    #[test]
    fn lines_end_where_their_text_ends() {
        let table = lines(
            &[Column::text("A"), Column::text("LONG")],
            [row(["a", "b"])],
            View::default(),
        );
        assert!(table.iter().all(|line| line.trim_end() == line));
    }
}
