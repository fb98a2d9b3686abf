//! What the command line takes and refuses.

use p2p_proto::v1::CopiesWanted;

use super::*;

fn parsed(line: &[&str]) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = std::iter::once("p2pctl")
        .chain(line.iter().copied())
        .map(Into::into)
        .collect();
    parse(&arguments)
}

fn command(line: &[&str]) -> Command {
    parsed(line).unwrap().command.expect("a command")
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_flags_stand_before_and_after_the_verb() {
    for line in [
        ["--json", "--timeout", "5min", "--socket", "/s", "status"],
        ["status", "--json", "--timeout", "5min", "--socket", "/s"],
    ] {
        let globals = parsed(&line).unwrap().globals;
        assert!(globals.json);
        assert_eq!(globals.timeout, Some(Duration::from_secs(300)));
        assert_eq!(globals.socket.as_deref(), Some(Path::new("/s")));
    }
}

#[test]
fn a_reference_passes_through_untouched() {
    for text in [
        "ana/scan.tar@1",
        "hash:DEADBEEF",
        "name:x",
        "A\u{308}",
        "../x",
        "a b",
        "",
    ] {
        let Command::Download(args) = command(&["download", text]) else {
            panic!("download");
        };
        assert_eq!(args.reference, text);
    }
    let Command::Info(args) = command(&["info", "--", "-rf"]) else {
        panic!("info");
    };
    assert_eq!(args.reference, "-rf");
}

#[test]
fn a_dash_is_an_output_and_an_input() {
    let Command::Download(args) = command(&["download", "x", "-o", "-"]) else {
        panic!("download");
    };
    assert!(args.streams());
    let Command::Upload(args) = command(&["upload", "-", "--name", "x"]) else {
        panic!("upload");
    };
    assert_eq!(args.paths, [PathBuf::from("-")]);
}

#[test]
fn list_has_an_alias() {
    assert!(matches!(command(&["ls"]), Command::List));
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        &["frobnicate"][..],
        &["upload"],
        &["upload", "x", "--visibility", "group:Lab"],
        &["upload", "x", "--visibility", "nobody"],
        &["upload", "x", "--name", "../x"],
        &["upload", "x", "--name", "a\u{202e}b"],
        &["upload", "x", "--copies", "0"],
        &["upload", "x", "--copies", "65"],
        &["upload", "x", "--to", ""],
        &["replicate", "x"],
        &["replicate", "--copies", "2"],
        &["transfers", "42"],
        &["wait"],
        &["wait", "x"],
        &["pause", "+42"],
        &["resume", "-1"],
        &["cancel", ""],
        &["cancel", "99999999999999999999999"],
        &["rm", "x", "--all"],
        &["login", "--password", "secret"],
        &["login", "--password-stdin", "--password-file", "f"],
        &["login", "--ca-fingerprint", "sha256:12"],
        &["login", "--trust-on-first-use", "--ca-file", "f"],
        &["search", "--limit", "0"],
        &["download", "x", "--on-conflict", "maybe"],
        &["passwd", "secret"],
        &["passwd", "--password", "secret"],
        &["limit", "--up", "0"],
        &["limit", "--up", "fast"],
        &["limit", "--down", "-1"],
        &["limit", "scan.tar"],
        &["priority", "42"],
        &["priority", "42", "urgent"],
        &["pin"],
        &["unpin", "a", "b"],
        &["watch", "42"],
        &["completions"],
        &["completions", "tcsh"],
        &["status", "--timeout", "0s"],
        &["status", "--timeout", "soon"],
    ] {
        assert!(parsed(line).is_err(), "{line:?}");
    }
}

#[test]
fn copies_are_a_number_a_place_or_both() {
    let Command::Upload(args) = command(&["upload", "x"]) else {
        panic!("upload");
    };
    assert_eq!(args.copies.wanted(), None);
    let line = [
        "upload",
        "x",
        "--copies",
        "64",
        "--to",
        "gpu*",
        "--to",
        "nas",
        "--no-wait",
    ];
    let Command::Upload(args) = command(&line) else {
        panic!("upload");
    };
    let expected = CopiesWanted {
        count: 64,
        to: vec!["gpu*".into(), "nas".into()],
    };
    assert_eq!(args.copies.wanted(), Some(expected));
    assert!(args.no_wait);
    for (line, count, to) in [
        (["replicate", "x", "--copies", "2"], 2, vec![]),
        (["replicate", "x", "--to", "gpu1"], 0, vec!["gpu1".to_owned()]),
    ] {
        let Command::Replicate(args) = command(&line) else {
            panic!("replicate");
        };
        assert_eq!(args.reference, "x");
        assert_eq!(args.copies.wanted(), Some(CopiesWanted { count, to }));
    }
}

#[test]
fn a_transfer_is_a_number() {
    let Command::Wait(args) = command(&["wait", "042"]) else {
        panic!("wait");
    };
    assert_eq!(args.id, "42");
    let error = parsed(&["pause", "scan.tar"]).unwrap_err().to_string();
    assert!(error.contains("p2pctl transfers shows them"), "{error}");
}

#[test]
fn refused_arguments_still_say_where_json_goes() {
    let words = |line: &[&str]| line.iter().map(OsString::from).collect::<Vec<_>>();
    for line in [
        &["p2pctl", "download", "-o", "-"][..],
        &["p2pctl", "download", "-o-", "--x"],
        &["p2pctl", "--json", "download", "--output=-"],
    ] {
        assert!(wanted_stdout_for_bytes(&words(line)), "{line:?}");
    }
    for line in [
        &["p2pctl", "download", "-o", "x"][..],
        &["p2pctl", "upload", "-o", "-"],
    ] {
        assert!(!wanted_stdout_for_bytes(&words(line)), "{line:?}");
    }
    assert_eq!(
        verb_among(&words(&["p2pctl", "ls", "-x"])).as_deref(),
        Some("list")
    );
}

#[test]
fn no_command_is_the_menu_or_help() {
    assert!(parsed(&[]).unwrap().command.is_none());
    assert!(parsed(&["--socket", "/s"]).unwrap().command.is_none());
    let help = help();
    for verb in ["login", "menu", "completions"] {
        assert!(help.contains(verb), "{help}");
    }
}

#[test]
fn rates_are_sizes_or_unlimited() {
    let rate = |text: &str| {
        let Command::Limit(args) = command(&["limit", "--up", text]) else {
            panic!("limit");
        };
        args.up.unwrap()
    };
    for (text, bytes) in [
        ("20MiB", 20 << 20),
        ("20 MiB/s", 20 << 20),
        ("500k", 500 << 10),
        ("500K", 500 << 10),
        ("2m", 2 << 20),
        ("1.5g", 3 << 29),
        ("500kB", 500_000),
        ("4096", 4096),
    ] {
        assert_eq!(rate(text), Rate::Bytes(bytes), "{text}");
    }
    assert_eq!(rate("unlimited"), Rate::Unlimited);
    let Command::Limit(args) = command(&["limit", "42"]) else {
        panic!("limit");
    };
    assert_eq!((args.up, args.down, args.id.as_deref()), (None, None, Some("42")));
}

#[test]
fn json_is_asked_for_before_two_dashes() {
    let words = |line: &[&str]| line.iter().map(OsString::from).collect::<Vec<_>>();
    assert!(wanted_json(&words(&["p2pctl", "frob", "--json"])));
    assert!(!wanted_json(&words(&["p2pctl", "upload", "--", "--json"])));
}
