//! What a document shows of terminals, as commands to type and what they say: blocks of `text` in which `USER@MACHINE$ `
//! begins each command. A line of `…` stands for any lines. What apt and dpkg say of their own work is not compared.

use std::collections::HashMap;

use crate::{
    lab::{Lab, Shell},
    normal,
};

/// How apt and dpkg begin what they say of their own work.
const APT: [&str; 21] = [
    // A home that only its owner enters.
    "N: Download is performed unsandboxed",
    "debconf: delaying",
    "Reading package lists",
    "Building dependency tree",
    "Reading state information",
    "Note, selecting",
    "The following ",
    "  ",
    "0 upgraded",
    "1 upgraded",
    "Need to get",
    "After this operation",
    "Get:",
    "Selecting previously",
    "(Reading database",
    "Preparing to unpack",
    "Unpacking ",
    "Setting up ",
    "Processing triggers",
    "Removing ",
    "Purging configuration files",
];

/// How a long line of theirs ends on the next row of the screen.
const APT_END: &str = "- pkgAcquire::Run (13: Permission denied)";

/// A command, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who types it.
    pub user: String,
    /// Where.
    pub machine: String,
    /// What.
    pub command: String,
    /// What is on the screen then.
    pub says: Vec<String>,
}

/// What a section of a Markdown document shows, and the blocks in it of which nothing can be typed.
///
/// # Panics
/// When there is no such section, or it has blocks that are written in another way.
#[must_use]
pub fn of_section(document: &str, title: &str) -> (Vec<Step>, Vec<String>) {
    let heading = format!("\n## {title}\n");
    let (_, section) = document.split_once(&heading).expect("the section");
    let section = section.split("\n## ").next().expect("a text");
    let (mut steps, mut others) = (Vec::new(), Vec::new());
    let fences = |line: &&str| line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
    let fences = section.lines().filter(fences).count();
    let mut blocks = 0;
    let mut rest = section;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (block, behind) = after.split_once("\n```").expect("the end of a block");
        let (_, block) = block.split_once('\n').expect("a block");
        match steps_of(block) {
            Some(found) => steps.extend(found),
            None => others.push(block.to_owned()),
        }
        rest = behind;
        blocks += 1;
    }
    assert_eq!(fences, 2 * blocks, "{title} has blocks that are not read");
    (steps, others)
}

/// The commands of one block; none when it does not begin with one.
#[must_use]
pub fn steps_of(block: &str) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        if let Some(step) = command(line) {
            steps.push(step);
        } else {
            let step = steps.last_mut()?;
            step.says.push(line.to_owned());
        }
    }
    Some(steps)
}

fn command(line: &str) -> Option<Step> {
    let (who, command) = line.split_once("$ ")?;
    let (user, machine) = who.split_once('@')?;
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (word(user) && word(machine)).then(|| Step {
        user: user.to_owned(),
        machine: machine.to_owned(),
        command: command.to_owned(),
        says: Vec::new(),
    })
}

/// Types it all, each user's commands on one terminal, which is there from his first command on. A question is answered
/// with what the document shows after it, and one for a password with the one that was shown once.
///
/// # Panics
/// When something else is said than the document has.
pub fn play(lab: &Lab, steps: &[Step]) {
    let mut shells: HashMap<(&str, &str), Shell> = HashMap::new();
    let mut password = String::new();
    for step in steps {
        let shell = shells
            .entry((&step.user, &step.machine))
            .or_insert_with(|| lab.machine(&step.machine).shell(&step.user));
        let answers: Vec<(&str, &str)> = step
            .says
            .iter()
            .filter_map(|line| match line.rsplit_once("] ") {
                Some((question, answer)) if question.ends_with("[y/N") => Some(("[y/N]", answer)),
                _ => (line == "Password:").then_some(("Password:", password.as_str())),
            })
            .collect();
        let said = shell.says(&step.command, &answers);
        if let Some((_, shown)) = said.join("\n").split_once("shown once: ") {
            password = shown.split_whitespace().next().expect("a password").to_owned();
        }
        same(
            &format!("{}@{}$ {}", step.user, step.machine, step.command),
            &said,
            &step.says,
        );
    }
}

/// What is not apt's.
#[must_use]
pub fn without_apt(said: &[String]) -> Vec<&str> {
    let apt = |line: &str| {
        line.trim().is_empty() || APT.iter().any(|begin| line.starts_with(begin)) || line.ends_with(APT_END)
    };
    said.iter()
        .map(String::as_str)
        .filter(|line| !apt(line))
        .collect()
}

fn same(command: &str, said: &[String], expected: &[String]) {
    let got: Vec<&str> = match command.contains("apt ") {
        true => without_apt(said),
        false => said.iter().map(String::as_str).collect(),
    };
    assert_ne!(expected, ["…"], "{command}: nothing is shown");
    let want: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert!(
        fits(&got, &want),
        "{command}\n{}\n--- expected ---\n{}",
        got.join("\n"),
        want.join("\n")
    );
}

/// Line by line the same but for figures; a line of `…` is any lines.
fn fits(got: &[&str], want: &[&str]) -> bool {
    match want.split_first() {
        None => got.is_empty(),
        Some((&"…", rest)) => (0..=got.len()).any(|begin| fits(&got[begin..], rest)),
        Some((line, rest)) => got
            .split_first()
            .is_some_and(|(first, others)| normal::line(first) == normal::line(line) && fits(others, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A\n\n## Install\n\nSo:\n\n```text\nana@ws1$ ls\na\nb\nana@ws2$ cd /x\n```\n\n```sh\nmake\n```\n\n## B\n\n```text\nana@ws1$ rm\n```\n";

    #[test]
    fn the_commands_of_one_section_are_found_and_what_is_none_too() {
        let (steps, others) = of_section(DOCUMENT, "Install");
        let told: Vec<_> = steps
            .iter()
            .map(|step| (step.machine.as_str(), step.command.as_str(), step.says.join(",")))
            .collect();
        assert_eq!(
            told,
            [("ws1", "ls", "a,b".to_owned()), ("ws2", "cd /x", String::new())]
        );
        assert_eq!(others, ["make"]);
    }

    #[test]
    fn an_ellipsis_is_any_lines_and_nothing_else_is() {
        assert!(fits(&["a", "x", "y", "b"], &["a", "…", "b"]));
        assert!(fits(&["a", "b"], &["a", "…", "b"]));
        assert!(fits(&["a"], &["a", "…"]));
        for (got, want) in [
            (vec!["a", "x"], vec!["a"]),
            (vec!["a"], vec!["a", "b"]),
            (vec!["x", "c"], vec!["…", "b"]),
        ] {
            assert!(!fits(&got, &want), "{got:?} {want:?}");
        }
    }

    #[test]
    fn apt_speaks_of_its_own_work_only() {
        let said = [
            "Reading package lists...",
            "Setting up p2pd (0.1.0) ...",
            "p2pd runs. Next: x",
            "",
        ];
        let said = said.map(str::to_owned);
        assert_eq!(without_apt(&said), ["p2pd runs. Next: x"]);
    }
}
