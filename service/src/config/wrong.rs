//! What is wrong with a configuration, in one line that names the key and, when it is an unknown one, the key that was
//! most likely meant. Owns nothing.

/// Tables that will have a meaning in a later version.
const RESERVED: [&str; 3] = ["bootstrap", "events", "share"];

/// What the parser says, on one line, with the key.
pub(super) fn sentence(error: &toml::de::Error) -> String {
    let message = without_key(error);
    match key_of(error) {
        // An unknown key is named already, and so is what several keys together may not be.
        Some(key) if !is_unknown(error) && !message.starts_with(&key) => format!("{key}: {message}"),
        _ => message,
    }
}

/// The same without the key, for who has named it already.
pub(super) fn without_key(error: &toml::de::Error) -> String {
    if !is_unknown(error) {
        return one_line(error);
    }
    let message = one_line(error);
    let mut quoted = message.split('`').skip(1).step_by(2);
    let key = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    if key_of(error).is_none() && RESERVED.contains(&key) && !known.contains(&key) {
        return format!("[{key}] comes with a later version; leave it out");
    }
    match nearest(key, &known) {
        Some(near) => format!("unknown key {key}; did you mean {near}?"),
        None if known.is_empty() => format!("unknown key {key}"),
        None => format!("unknown key {key}; known here: {}", known.join(", ")),
    }
}

/// The parser's words on one line.
pub(super) fn one_line(error: &toml::de::Error) -> String {
    let lines = error.message().lines().map(str::trim);
    lines.collect::<Vec<_>>().join(" ")
}

fn is_unknown(error: &toml::de::Error) -> bool {
    error.message().starts_with("unknown field ")
}

/// The key at which it happened; only errors from a table know one.
fn key_of(error: &toml::de::Error) -> Option<String> {
    let told = error.to_string();
    let last = told.trim_end().lines().last()?;
    let key = last.strip_prefix("in `")?.strip_suffix('`')?;
    Some(key.to_owned())
}

/// The known key that is written most like this one, when one is like it at all.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let key = plain(key);
    let near = known.iter().map(|known| (distance(&key, &plain(known)), *known));
    let (distance, near) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= (key.chars().count() / 3).max(1)).then_some(near)
}

/// How many letters are to be put in, left out, replaced, or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    // Nobody means a known key with a text as long as that.
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("", "ab", 2),
            ("maxsize", "max", 4),
            ("cuont", "count", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_is_near() {
        let known = ["path", "max_size", "reserve_free", "accept_copies"];
        for (key, near) in [
            ("maxsize", Some("max_size")),
            ("max-size", Some("max_size")),
            ("MAX_SIZE", Some("max_size")),
            ("acept_copies", Some("accept_copies")),
            ("paht", Some("path")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, &known), near, "{key}");
        }
    }

    #[test]
    fn what_comes_later_is_told_so() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Sample {
            #[serde(default)]
            _name: String,
        }
        for text in ["[bootstrap]\npeers = []\n", "[[share]]\npath = \"/x\"\n"] {
            let error = toml::from_str::<Sample>(text).unwrap_err();
            assert!(without_key(&error).contains("later version"), "{error}");
        }
    }
}
