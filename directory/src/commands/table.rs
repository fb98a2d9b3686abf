//! Columns for people: as wide as their widest cell, two spaces apart, nothing at the end of a line.

/// The rows under these headings.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        format!("{}\n", line.trim_end())
    };
    let rows = rows
        .iter()
        .map(|row| line(std::array::from_fn(|column| row[column].as_str())));
    std::iter::once(line(headings)).chain(rows).collect()
}

/// A time as people read it, in UTC; "-" for none.
pub(super) fn time(at: Option<jiff::Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Names one after another; "-" for none.
pub(super) fn names<T: ToString>(names: &[T]) -> String {
    if names.is_empty() {
        return "-".to_owned();
    }
    names.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["ana", "lab,studio"], ["somebody", "-"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["NAME", "GROUPS"], &rows),
            "NAME      GROUPS\nana       lab,studio\nsomebody  -\n"
        );
        assert_eq!(table(["NAME", "GROUPS"], &[]), "NAME  GROUPS\n");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time(Some(jiff::Timestamp::UNIX_EPOCH)), "1970-01-01 00:00");
        assert_eq!(time(None), "-");
    }
}
