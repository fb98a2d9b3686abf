//! What a package brings besides its program: manual pages for every command, completions, examples, its licence.

use p2p_tests::lab::Machine;

use crate::shelf;

/// The commands in the help of a program.
fn verbs(machine: &Machine, program: &str) -> Vec<String> {
    let help = machine.runs("root", &format!("{program} --help"));
    let (_, listed) = help.split_once("Commands:\n").expect("commands");
    let listed = listed.split("\n\n").next().expect("a list");
    let words = listed.lines().filter_map(|line| line.split_whitespace().next());
    words.map(str::to_owned).filter(|word| word != "help").collect()
}

#[test]
fn everything_has_its_place() {
    let Some(lab) = shelf::machines(&["one"]) else {
        return;
    };
    let one = lab.machine("one");
    for (package, programs) in [
        ("p2pd", &[("p2pctl", 1, true), ("p2pd", 8, false)][..]),
        ("p2p-directory", &[("p2p-directory", 8, true)]),
    ] {
        shelf::installs(one, package);
        let page = |section: u8, name: &str| {
            let found = one.runs("root", &format!("man --where {section} {name}"));
            assert!(
                found.contains(&format!("/man{section}/{name}.{section}.gz")),
                "{found}"
            );
        };
        page(5, &format!("{package}.toml"));
        for (program, section, has_verbs) in programs {
            page(*section, program);
            let verbs = if *has_verbs {
                verbs(one, program)
            } else {
                Vec::new()
            };
            assert!(!has_verbs || verbs.len() > 4, "{verbs:?}");
            for verb in verbs {
                page(*section, &format!("{program}-{verb}"));
            }
            let completed = "set +u; . /usr/share/bash-completion/bash_completion; _completion_loader";
            let told = one.runs(
                "root",
                &format!("bash -c '{completed} {program}; complete -p {program}'"),
            );
            assert!(
                told.contains(" -F ") && told.trim_end().ends_with(program),
                "{told}"
            );
            for file in [
                format!("zsh/vendor-completions/_{program}"),
                format!("fish/vendor_completions.d/{program}.fish"),
            ] {
                assert!(one.path("/usr/share").join(&file).exists(), "{file}");
            }
        }
        let doc = format!("/usr/share/doc/{package}");
        for file in [
            "copyright",
            "changelog.gz",
            "README.md",
            "CHANGELOG.md",
            "docs/config.md",
        ] {
            let file = format!("{doc}/{file}");
            let there = [file.clone(), format!("{file}.gz")]
                .iter()
                .any(|file| one.path(file).exists());
            assert!(there, "{file}");
        }
        assert!(!one.runs("root", &format!("ls {doc}/examples")).is_empty());
        let others = one.runs("root", &format!("zcat {doc}/third-party.txt.gz"));
        let named = |name: &str| others.lines().any(|line| line.starts_with(&format!("{name} ")));
        assert!(named("tokio") && named("rustls") && named("ring"), "{others}");
        assert!(others.contains("Copyright (c) Tokio Contributors"), "{others}");
        // What only the compiler runs is not part of it, and what is ours is not theirs.
        assert!(!named("serde_derive") && !named("p2p-proto"), "{others}");
        let files = one.runs("root", &format!("dpkg --verify {package}"));
        assert_eq!(files, "", "files are as the package has them");
    }
}
