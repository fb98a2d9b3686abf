//! What a person sees: columns that fit a terminal of 80 columns and stand below each other whatever the names are; and
//! what a script sees of the same through a pipe.

use std::{
    fs,
    process::{Command, Stdio},
};

use p2p_tests::{Peer, Terminal, World, check, wait};

const SIZE: (u16, u16) = (80, 24);

/// Names that take more, or less, room than they have characters.
const NAMES: [&str; 6] = [
    "plain.txt",
    "数据集.bin",
    "x\u{304}y.txt",
    "family 👨\u{200d}👩\u{200d}👧.jpg",
    "a-rather-long-name-of-a-file-that-nobody-would-type-but-a-program-would.tar.zst",
    "非常长的名字非常长的名字非常长的名字非常长的名字非常长的名字非常长的名字.iso",
];

/// What a command shows on a terminal of its own; it must succeed.
fn shown(peer: &Peer, args: &[&str], size: (u16, u16)) -> Vec<String> {
    let (code, text) = Terminal::start(&peer.command(args), size).ends();
    assert_eq!(code, 0, "{text}");
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The columns of a text, each character by itself as the terminal counts.
fn columns(text: &str) -> usize {
    let wide = |c: char| match c {
        '\u{300}'..='\u{36f}' | '\u{200d}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{f900}'..='\u{faff}'
        | '\u{1f300}'..='\u{1faff}' => 2,
        _ => 1,
    };
    text.chars().map(wide).sum()
}

/// Where this begins, in columns.
fn begins(line: &str, what: &str) -> usize {
    let at = line.find(what).unwrap_or_else(|| panic!("no {what} in {line}"));
    columns(&line[..at])
}

/// A peer that holds a file of 1 KiB under each name.
fn world() -> World {
    let world = World::start(&["a"]);
    let (source, _) = world.file("source", 1, 1024);
    for name in NAMES {
        let source = source.to_str().expect("a path");
        world.peers[0].json(&["upload", source, "--name", name]);
    }
    world
}

#[test]
fn columns_stand_below_each_other_and_fit_eighty_columns() {
    let world = world();
    let a = &world.peers[0];
    for (args, after) in [(["list"], "ana"), (["search"], "ana")] {
        let lines = shown(a, &args, SIZE);
        assert_eq!(lines.len(), NAMES.len() + 1, "{lines:?}");
        assert!(lines[0].starts_with("NAME "), "{lines:?}");
        let (owner, size) = (begins(&lines[0], "OWNER"), begins(&lines[0], "SIZE"));
        for line in &lines[1..] {
            assert!(columns(line) <= 80, "{line}");
            assert_eq!(begins(line, after), owner, "{lines:#?}");
            assert_eq!(begins(line, "1.0 KiB"), size, "{lines:#?}");
            // A shortened name keeps its version.
            assert!(line.contains("@1 "), "{line}");
        }
        assert!(
            lines
                .iter()
                .any(|line| line.contains('…') && line.contains(".tar.zst@1")),
            "{lines:#?}"
        );
    }
}

#[test]
fn a_narrow_terminal_keeps_names_and_figures() {
    let world = world();
    let a = &world.peers[0];
    for width in [60, 40, 30] {
        let lines = shown(a, &["search"], (width, 24));
        assert_eq!(lines.len(), NAMES.len() + 1, "{lines:?}");
        for line in &lines[1..] {
            assert!(columns(line) <= usize::from(width), "{line}");
            assert!(
                line.contains("1.0 KiB") && line.contains("1/1") && line.contains("@1 "),
                "{lines:#?}"
            );
        }
    }
    let narrow = shown(a, &["search"], (40, 24));
    assert!(!narrow[0].contains("AGE"), "{narrow:?}");
}

#[test]
fn a_pipe_gets_everything_whole_and_without_colours() {
    let world = world();
    let a = &world.peers[0];
    for verb in ["list", "search"] {
        let answer = a.ctl(&[verb]);
        assert_eq!(answer.code, 0, "{answer:?}");
        let text = answer.text();
        for name in NAMES {
            assert!(text.contains(&format!("{name}@1  ")), "{text}");
        }
        assert!(
            !text.contains('…') || verb == "list" && !text.contains("…zst"),
            "{text}"
        );
        assert!(
            !text.contains('\u{1b}') && !answer.err.contains('\u{1b}'),
            "{answer:?}"
        );
        let coloured = a.ctl(&[verb, "--color", "always"]).text();
        assert!(coloured.starts_with("\u{1b}[1mNAME"), "{coloured}");
    }
}

#[test]
fn what_others_or_the_user_wrote_does_nothing_to_the_terminal() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let evil = "x\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}y\u{9b}2J";
    let mut terminal = Terminal::start(&a.command(&["info", evil]), SIZE);
    let (code, text) = terminal.ends();
    assert!([2, 6].contains(&code), "{code} {text}");
    // As text, and nothing of it was obeyed; this terminal leaves out what stands for a character that is none.
    assert!(
        text.starts_with("p2pctl: \"x[2J]0;titley2J\" is no reference"),
        "{text}"
    );
    // The same through a pipe, and in JSON escaped.
    let answer = a.ctl(&["info", evil]);
    assert!(
        answer
            .err
            .contains("x\u{fffd}[2J\u{fffd}]0;title\u{fffd}\u{fffd}y\u{fffd}2J"),
        "{answer:?}"
    );
    assert!(!answer.err.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{answer:?}");
    let answer = a.ctl(&["info", evil, "--json"]);
    assert!(!answer.text().contains('\u{1b}'), "{answer:?}");
}

#[test]
fn status_is_one_screen() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    wait::until("the first ping", wait::SOON, || {
        (a.json(&["status"])["directory"]["reachable"] == true).then_some(())
    });
    let lines = shown(a, &["status"], SIZE);
    let begin = |at: usize, text: &str| assert!(lines[at].starts_with(text), "{lines:#?}");
    begin(0, &format!("p2pd {}   a, up ", env!("CARGO_PKG_VERSION")));
    assert!(lines[0].contains(", logged in as ana until 2"), "{lines:#?}");
    begin(1, &format!("directory    {}, answered ", world.directory.url));
    begin(2, "store        0 files, 0 B; ");
    assert!(lines[2].ends_with(" free"), "{lines:#?}");
    begin(3, "transfers    0 active, 0 queued; down 0, up 0");
    begin(4, "# Health");
    assert!(lines.len() > 5 && lines.len() < 24, "{lines:#?}");
    let b = world.peer("b", "");
    let answer = b.ctl(&["status"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(
        answer.text().contains("b, up ") && answer.text().contains("not logged in: p2pctl login"),
        "{answer:?}"
    );
}

#[test]
fn quiet_says_nothing_and_verbose_more() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 1000);
    let path = source.to_str().expect("a path");
    let answer = a.ctl(&["-q", "upload", path]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{answer:?}");
    assert!(
        answer.text().starts_with("Published  ana/scan.tar@1  "),
        "{answer:?}"
    );
    let answer = a.ctl(&["-q", "list"]);
    assert!(
        answer.err.is_empty() && answer.text().contains("scan.tar@1"),
        "{answer:?}"
    );
    assert!(a.ctl(&["-q", "download", "nope"]).says(6).contains("nope"));
    let answer = a.ctl(&["-v", "download", "scan.tar"]);
    let socket = a.socket();
    assert!(
        answer.err.contains(&format!("dialling {}", socket.display())),
        "{answer:?}"
    );
    assert!(
        answer.err.contains("transfer ") && answer.err.contains(" began"),
        "{answer:?}"
    );
    assert!(answer.err.contains("publication "), "{answer:?}");
    let answer = a.ctl(&["-q", "logout"]);
    assert_eq!(
        (answer.code, answer.text().as_str(), answer.err.as_str()),
        (0, "", "")
    );
}

#[test]
fn wrong_usage_names_what_was_probably_meant() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(&folder.path().join("a"), "a", "");
    for (args, expected) in [
        (
            &["uplod", "x"][..],
            "p2pctl: unrecognized subcommand 'uplod'; did you mean upload? Try: p2pctl --help",
        ),
        (
            &["upload", "x", "--copie", "2"],
            "p2pctl: unexpected argument '--copie' found; did you mean --copies? Try: p2pctl upload --help",
        ),
    ] {
        assert_eq!(peer.says(2, args), expected);
        let failed = peer.fails(2, args);
        assert_eq!(failed["kind"], "usage");
        assert!(
            failed["message"].as_str().unwrap().contains("did you mean"),
            "{failed}"
        );
    }
    let rate = peer.says(2, &["limit", "--up", "fast"]);
    assert!(
        rate.contains("\"fast\" is no rate; write for example 20MiB, 500k or unlimited"),
        "{rate}"
    );
    // Nothing to do, and nobody to ask.
    let answer = peer.ctl(&[]);
    assert_eq!((answer.code, answer.out.len()), (2, 0), "{answer:?}");
    assert!(
        answer.err.contains("Usage: p2pctl") && answer.err.contains("completions"),
        "{answer:?}"
    );
    assert_eq!(peer.fails(2, &[])["message"], "no command given");
    let version = peer.ctl(&["--version"]);
    assert_eq!(version.text(), format!("p2pctl {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(peer.ctl(&["upload", "--version"]).code, 0);
}

#[test]
fn a_shell_completes_what_the_program_prints() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(&folder.path().join("a"), "a", "");
    for shell in ["bash", "zsh", "fish"] {
        let script = peer.ctl(&["completions", shell]);
        assert_eq!(script.code, 0, "{script:?}");
        let json = peer.json(&["completions", shell]);
        check::has_schema(&json, "completions");
        assert_eq!(json["shell"], shell);
        assert_eq!(
            json["script"].as_str().unwrap().trim_end(),
            script.text().trim_end()
        );
        fs::write(folder.path().join(shell), script.out).unwrap();
    }
    let script = "source ./bash && COMP_WORDS=(p2pctl downl) COMP_CWORD=1 && _p2pctl p2pctl downl p2pctl && echo ${COMPREPLY[@]}";
    let bash = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    assert_eq!(
        String::from_utf8(bash.stdout).unwrap().trim(),
        "download",
        "{:?}",
        bash.stderr
    );
}

#[test]
fn what_is_set_is_told_in_one_line() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 1000);
    a.upload(&source);
    for (args, line) in [
        (&["limit"][..], "All transfers: up unlimited, down unlimited"),
        (
            &["limit", "--up", "20MiB"],
            "All transfers: up 20.0 MiB/s, down unlimited",
        ),
        (
            &["limit", "--down", "500k"],
            "All transfers: up 20.0 MiB/s, down 500 KiB/s",
        ),
        (
            &["limit", "--up", "unlimited"],
            "All transfers: up unlimited, down 500 KiB/s",
        ),
        (&["pin", "scan.tar"], "Pinned ana/scan.tar@1: it is never evicted"),
        (
            &["unpin", "scan.tar"],
            "Unpinned ana/scan.tar@1: it may be evicted",
        ),
    ] {
        let answer = a.ctl(args);
        assert_eq!(
            (answer.code, answer.text().trim_end(), answer.err.as_str()),
            (0, line, ""),
            "{answer:?}"
        );
    }
    assert_eq!(a.json(&["limit"])["down_bytes_per_second"], 500 << 10);
    assert_eq!(a.json(&["pin", "scan.tar"])["pinned"], true);
    assert!(a.ctl(&["ls"]).text().contains("complete, pinned"));
}
