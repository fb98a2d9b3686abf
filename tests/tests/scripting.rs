//! The script of `docs/scripting.md`, run as it stands there.

use std::{fs, path::Path, process::Command};

use p2p_tests::{World, process::program};

/// The one block of the document that begins as a script.
fn script() -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scripting.md");
    let text = fs::read_to_string(document).expect("docs/scripting.md");
    let blocks: Vec<&str> = text
        .split("\n```")
        .filter_map(|part| part.strip_prefix("sh\n"))
        .collect();
    assert_eq!(blocks.len(), 1, "one script");
    assert!(blocks[0].starts_with("#!/bin/sh\n"));
    blocks[0].to_owned()
}

#[test]
fn the_script_of_the_document_does_what_it_says() {
    let world = World::start(&[]);
    let (a, b) = (world.peer("a", ""), world.peer("b", ""));
    let (file, password) = (world.path("twenty.sh"), world.path("password"));
    fs::write(&file, script()).expect("a file");
    fs::write(&password, &world.ana.password).expect("a file");
    let reaches = |peer: &p2p_tests::Peer| {
        format!(
            "{} --socket {}",
            program("p2pctl").display(),
            peer.socket().display()
        )
    };
    let run = |directory: &str| {
        let mut command = Command::new("sh");
        command
            .arg(&file)
            .env("HERE", reaches(&a))
            .env("THERE", reaches(&b));
        command
            .env("DIRECTORY", directory)
            .env("ACCOUNT", "ana")
            .env("PASSWORD_FILE", &password);
        command.env("CA", &world.directory.fingerprint);
        command.output().expect("a shell")
    };
    // What cannot be done ends it with the code of the command that failed.
    let away = run("https://127.0.0.1:1");
    assert_eq!(away.status.code(), Some(8), "{away:?}");
    for again in [false, true] {
        let done = run(&world.directory.url);
        assert!(done.status.success(), "{done:?}");
        assert!(done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
        // It did upload twenty files. (Of a second twenty within a minute the log only tells the number.)
        assert!(again || a.process.said("published ana/batch-") == 20);
        for peer in [&a, &b] {
            assert_eq!(peer.fails(4, &["whoami"])["kind"], "not_logged_in");
        }
    }
    // And left none.
    a.login(&world.directory, &world.ana);
    assert_eq!(a.json(&["search"])["total"], 0);
    assert_eq!(a.json(&["list"])["files"], serde_json::json!([]));
}
