//! Tables whose columns fit what is in them. Owns no state.

use unicode_width::UnicodeWidthStr;

use super::one_line;

const GAP: usize = 2;

/// The lines of a table: a head, then the rows, columns two spaces apart, nothing at the end of a line. A row that is
/// shorter than the head ends early; an empty cell is `-`.
pub(crate) fn lines<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Vec<String> {
    let clean = |cell: String| match one_line(&cell) {
        cell if cell.is_empty() => "-".to_owned(),
        cell => cell,
    };
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.into_iter().map(|row| row.map(clean)))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        let blank = (width + GAP).saturating_sub(cell.width());
        line.extend(std::iter::repeat_n(' ', blank));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_what_is_in_them() {
        let row = |cells: [&str; 5]| cells.map(str::to_owned);
        let table = lines(
            ["NAME", "OWNER", "SIZE", "HOLDERS", "AGE"],
            [row(["scan.tar@1", "ana", "4.1 GiB", "2/2", "13 min"])],
        );
        assert_eq!(
            table,
            [
                "NAME        OWNER  SIZE     HOLDERS  AGE",
                "scan.tar@1  ana    4.1 GiB  2/2      13 min",
            ]
        );
    }

    #[test]
    fn wide_characters_count_twice() {
        let table = lines(
            ["N", "S"],
            [
                ["数据".to_owned(), "1".to_owned()],
                ["e\u{301}".to_owned(), "2".to_owned()],
            ],
        );
        assert_eq!(table, ["N     S", "数据  1", "e\u{301}     2"]);
    }

    #[test]
    fn cells_are_never_empty_and_never_two_lines() {
        let table = lines(["A", "B"], [[String::new(), "x\ny".to_owned()]]);
        assert_eq!(table, ["A  B", "-  x y"]);
    }

    #[test]
    fn lines_end_where_their_text_ends() {
        let table = lines(["A", "LONG"], [["a".to_owned(), "b".to_owned()]]);
        assert!(table.iter().all(|line| line.trim_end() == line));
    }
}
