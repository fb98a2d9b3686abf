//! Paths as people type them, drop them into a terminal, or begin them and press Tab. Owns no state.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use nix::unistd::User;

/// A folder is read so far.
const MAX_READ: usize = 10_000;
/// So many names are listed.
const MAX_LISTED: usize = 20;

/// What Tab makes of a path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Completed {
    /// The path, as far as it is certain.
    pub(super) text: String,
    /// How it may go on, when that is not.
    pub(super) others: Vec<String>,
    /// And so many more.
    pub(super) more: usize,
}

/// The path that a typed line means: as it stands when that exists, else without blanks at its ends and without quotes
/// as a shell has them. `~` is the home of the user, `~ana` that of ana.
pub(crate) fn path_of(line: &str) -> PathBuf {
    let trimmed = line.trim();
    let plain = [line, trimmed].map(at_home);
    let there = plain.iter().find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = there {
        return path.clone();
    }
    let [_, trimmed_path] = plain;
    unquoted(trimmed).map_or(trimmed_path, |text| at_home(&text))
}

/// With `~` replaced.
fn at_home(text: &str) -> PathBuf {
    let Some(rest) = text.strip_prefix('~') else {
        return text.into();
    };
    let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
    let home = match user {
        "" => std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from),
        user => User::from_name(user).ok().flatten().map(|user| user.dir),
    };
    match home {
        Some(home) if below.is_empty() => home,
        Some(home) => home.join(below),
        None => text.into(),
    }
}

/// Without quotes and backslashes, as a shell reads it; `None` when a quote is not closed.
fn unquoted(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => plain.push(letters.next()?),
            (_, c) => plain.push(c),
        }
    }
    quote.is_none().then_some(plain)
}

/// The path as far as the names in its folder leave no choice.
pub(super) fn complete(line: &str) -> Completed {
    let (quote, text) = match line.strip_prefix(['\'', '"']) {
        Some(rest) => (&line[..1], rest),
        None => ("", line),
    };
    if text == "~" {
        return certain(format!("{quote}~/"));
    }
    let (folder, begun) = text.rfind('/').map_or(("", text), |at| text.split_at(at + 1));
    let mut names = names(&path_of_folder(folder), begun);
    names.sort();
    let Some(common) = common(&names) else {
        return certain(line.to_owned());
    };
    let text = format!("{quote}{folder}{common}");
    if names.len() == 1 || text != line {
        return certain(text);
    }
    let more = names.len().saturating_sub(MAX_LISTED);
    names.truncate(MAX_LISTED);
    Completed {
        text,
        others: names,
        more,
    }
}

fn certain(text: String) -> Completed {
    Completed {
        text,
        ..Completed::default()
    }
}

fn path_of_folder(folder: &str) -> PathBuf {
    match folder {
        "" => ".".into(),
        folder => path_of(folder),
    }
}

/// The names in a folder that begin so; those of folders end with a slash. Hidden ones only when asked for.
fn names(folder: &Path, begin: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let fits = |name: &OsStr| {
        let name = name.to_str()?;
        let shown = !name.starts_with('.') || begin.starts_with('.');
        (shown && name.starts_with(begin)).then(|| name.to_owned())
    };
    let entries = entries.flatten().take(MAX_READ);
    entries
        .filter_map(|entry| {
            let name = fits(&entry.file_name())?;
            match entry.path().is_dir() {
                true => Some(name + "/"),
                false => Some(name),
            }
        })
        .collect()
}

/// What all of them begin with; `None` when there are none.
fn common(names: &[String]) -> Option<String> {
    let (first, rest) = names.split_first()?;
    let end = first
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|&end| rest.iter().all(|name| name.starts_with(&first[..end])))
        .last();
    Some(first[..end.unwrap_or_default()].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_a_shells() {
        for (typed, path) in [
            ("/x/scan.tar", "/x/scan.tar"),
            ("  /x/scan.tar ", "/x/scan.tar"),
            ("'/x/two words.tar' ", "/x/two words.tar"),
            ("\"/x/two words.tar\"", "/x/two words.tar"),
            ("/x/two\\ words.tar", "/x/two words.tar"),
            ("/x/two words.tar", "/x/two words.tar"),
            // No quote at all.
            ("/x/it's here.tar", "/x/it's here.tar"),
        ] {
            assert_eq!(path_of(typed), PathBuf::from(path), "{typed}");
        }
    }

    #[test]
    fn what_exists_is_meant_as_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("'odd' \\name");
        std::fs::write(&odd, "x").unwrap();
        assert_eq!(path_of(odd.to_str().unwrap()), odd);
    }

    #[test]
    fn home_is_home() {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        assert_eq!(path_of("~"), home);
        assert_eq!(path_of("~/x y"), home.join("x y"));
        assert_eq!(
            path_of("~root/x"),
            User::from_name("root").unwrap().unwrap().dir.join("x")
        );
        assert_eq!(path_of("~nobody-has-this/x"), PathBuf::from("~nobody-has-this/x"));
        assert_eq!(complete("~").text, "~/");
    }

    #[test]
    fn tab_completes_as_far_as_it_is_certain() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        for name in ["scan.tar", "scan 2.tar", "数据.bin", ".hidden"] {
            std::fs::write(path(name), "x").unwrap();
        }
        std::fs::create_dir(path("models")).unwrap();
        assert_eq!(complete(&path("m")).text, path("models/"));
        assert_eq!(complete(&path("数")).text, path("数据.bin"));
        assert_eq!(complete(&path(".h")).text, path(".hidden"));
        assert_eq!(complete(&path("x")), certain(path("x")));
        assert_eq!(complete(&path("s")).text, path("scan"));
        let between = complete(&path("scan"));
        assert_eq!(between.text, path("scan"));
        assert_eq!(between.others, ["scan 2.tar", "scan.tar"]);
        assert_eq!(
            complete(&format!("'{}", path("scan "))).text,
            format!("'{}", path("scan 2.tar"))
        );
        assert!(!complete(&path("")).others.contains(&".hidden".to_owned()));
        for number in 0..MAX_LISTED {
            std::fs::write(path(&format!("z{number}")), "x").unwrap();
        }
        let many = complete(&path(""));
        assert_eq!((many.others.len(), many.more), (MAX_LISTED, 4));
    }
}
