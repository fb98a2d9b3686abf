//! What is not the same twice in what the programs say, by a short list of rules: figures become words, and what is left
//! is compared letter by letter.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Each rule, and what it puts in the place; in this order.
const RULES: [(&str, &str); 12] = [
    // A fingerprint, whole or as a text shortens it.
    (
        "sha256:([0-9a-f]{64}|[0-9a-fA-F]{2,4}…[0-9a-f]{0,2})",
        "sha256:HEX",
    ),
    // A hash or an id, whole or shortened.
    ("[0-9a-f]{64}", "HASH…"),
    ("[0-9a-f]{8}…", "HASH…"),
    ("[0-9]{4}-[0-9]{2}-[0-9]{2}", "DATE"),
    ("[0-9]+(\\.[0-9])? ([KMGTP]iB|B)", "SIZE"),
    // A rate of nothing is a plain 0.
    ("(down|up) (0|SIZE/s)", "$1 RATE"),
    ("SIZE/s", "RATE"),
    // An age, or a time to come.
    ("[0-9]+ (s|min|h|d)([^a-zA-Z]|$)", "AGE$2"),
    ("[0-9]+ active, [0-9]+ queued", "N active, N queued"),
    ("shown once: [^ ]+", "shown once: PASSWORD"),
    // When a holder was seen last.
    ("\\(last ([^ ,]+), [0-9]{2}:[0-9]{2}\\)", "(last $1, TIME)"),
    (
        "transfer [0-9]+ goes on \\([0-9]+ %\\)",
        "transfer N goes on (N %)",
    ),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let compile = |(rule, word)| (Regex::new(rule).expect("a rule"), word);
    RULES.into_iter().map(compile).collect()
});

static GIVERS: LazyLock<Regex> = LazyLock::new(|| Regex::new("  from ([^ ]+(, [^ ]+)*)$").expect("a rule"));

/// The line with its figures as words. Of several givers anyone may be first, and nobody sees a space at the end.
#[must_use]
pub fn line(text: &str) -> String {
    let text = COMPILED
        .iter()
        .fold(text.trim_end().to_owned(), |text, (rule, word)| {
            rule.replace_all(&text, *word).into_owned()
        });
    let in_order = |found: &Captures<'_>| {
        let mut names: Vec<&str> = found[1].split(", ").collect();
        names.sort_unstable();
        format!("  from {}", names.join(", "))
    };
    GIVERS.replace(&text, in_order).into_owned()
}

/// Compares two texts line by line.
///
/// # Panics
/// When they differ in more than figures; it shows where.
pub fn same(said: &str, expected: &str) {
    let (said, expected): (Vec<_>, Vec<_>) = (said.lines().collect(), expected.lines().collect());
    for (number, want) in (1..).zip(&expected) {
        let got = said.get(number - 1).copied().unwrap_or("(nothing)");
        assert_eq!(
            line(got),
            line(want),
            "line {number}:\n{got}\nexpected:\n{want}\nof all:\n{}",
            said.join("\n")
        );
    }
    assert_eq!(said.len(), expected.len(), "more is said:\n{}", said.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_words() {
        for (text, expected) in [
            (
                "Importing  100 %  4.1 GiB  1.6 GiB/s",
                "Importing  100 %  SIZE  RATE",
            ),
            (
                "scan.tar   100 %  120 MiB  940 MiB/s  from ws1, gpu1",
                "scan.tar   100 %  SIZE  RATE  from gpu1, ws1",
            ),
            ("CA sha256:9f2c…41", "CA sha256:HEX"),
            (
                "CA sha256:AB…, expected sha256:CD…. Nothing",
                "CA sha256:HEX, expected sha256:HEX. Nothing",
            ),
            ("down 0, up 92 MiB/s", "down RATE, up RATE"),
            ("answered 3 s ago", "answered AGE ago"),
            (
                "scan.tar@1  ana    4.1 GiB  2/2      13 min",
                "scan.tar@1  ana    SIZE  2/2      AGE",
            ),
            ("verified 5c0a91e7…", "verified HASH…"),
            ("until 2027-02-19. Port 7401", "until DATE. Port 7401"),
            (
                "store        1 file, 4.1 GiB; 1.2 TiB free",
                "store        1 file, SIZE; SIZE free",
            ),
            (
                "online (last gpu2, 18:04). To wait",
                "online (last gpu2, TIME). To wait",
            ),
            (
                "transfer 42 goes on (61 %). To place",
                "transfer N goes on (N %). To place",
            ),
            ("3 days, 2 of 2 copies", "3 days, 2 of 2 copies"),
        ] {
            assert_eq!(line(text), expected);
        }
    }
}
