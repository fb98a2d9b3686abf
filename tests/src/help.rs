//! The commands that a program has, as its own `--help` tells them.

use std::process::Command;

use crate::process::program;

/// Every command, with those below it: `admin user add`. Without `help`, and without what is hidden.
///
/// # Panics
/// When the program does not help.
#[must_use]
pub fn commands(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    below(name, &[], &mut found);
    assert!(!found.is_empty(), "{name} has no commands");
    found
}

/// The commands that stand below these words; whether there are any.
fn below(name: &str, words: &[String], found: &mut Vec<String>) -> bool {
    let output = Command::new(program(name)).args(words).arg("--help").output();
    let output = output.expect("a program");
    assert!(output.status.success(), "{name} {words:?} --help: {output:?}");
    let help = String::from_utf8(output.stdout).expect("text");
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return false;
    };
    // A description that is too long goes on further in.
    let rows = list.lines().take_while(|line| !line.is_empty());
    let rows = rows.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for command in rows.filter_map(|row| row.split_whitespace().next()) {
        if command == "help" {
            continue;
        }
        let words = [words, &[command.to_owned()]].concat();
        if !below(name, &words, found) {
            found.push(words.join(" "));
        }
    }
    true
}
