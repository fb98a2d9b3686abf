//! `docs/tour.md` shows every command that there is, and README.md names each. `make tour` makes the tour anew.

use std::{fs, path::Path};

use p2p_tests::help;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn each_command_is_in_the_readme() {
    let readme = page("README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let named =
        |words: &str, row: &&&str| row.contains(&format!("`{words}`")) || row.contains(&format!("`{words} "));
    for command in help::commands("p2pctl") {
        assert!(
            rows.iter().any(|row| named(&command, &row)),
            "README.md has no row for `p2pctl {command}`"
        );
    }
    for command in help::commands("p2p-directory") {
        // `admin user add NAME`, `list`, ...: the first of a row is whole.
        let (above, last) = command.rsplit_once(' ').unwrap_or(("", &command));
        let own = rows
            .iter()
            .filter(|row| row.contains(&format!("`p2p-directory {above}")));
        let mut own = own.filter(|row| named(&format!("p2p-directory {command}"), row) || named(last, row));
        assert!(
            own.next().is_some(),
            "README.md has no row for `p2p-directory {command}`"
        );
    }
}

#[test]
fn each_command_is_in_the_tour() {
    let tour = page("docs/tour.md");
    for program in ["p2pctl", "p2p-directory"] {
        for command in help::commands(program) {
            let typed = format!("$ {program} {command}");
            let shown = tour.lines().any(|line| {
                let rest = line.split_once(&typed).map(|(_, rest)| rest);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
            assert!(
                shown,
                "docs/tour.md does not show `{program} {command}`: make tour"
            );
        }
    }
}
