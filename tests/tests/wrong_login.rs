//! What a login gets that should not work: refused credentials, a directory that is another one, an account that is not
//! this peer's.

use std::fs;

use p2p_tests::{Account, Directory, World, listener::Listener, wait};

/// A well-formed fingerprint of nobody's CA.
fn nobodys() -> String {
    format!("sha256:{}", "0123456789abcdef".repeat(4))
}

fn with_password(account: &Account, password: &str) -> Account {
    Account {
        password: password.to_owned(),
        ..account.clone()
    }
}

#[test]
fn a_wrong_password_is_refused_with_the_time_of_the_next_try() {
    let world = World::start(&[]);
    let (a, dir) = (world.peer("a", ""), &world.directory);
    let unknown = Account {
        name: "zoe".to_owned(),
        password: "whatever".to_owned(),
    };
    for account in [with_password(&world.ana, "not ana's password"), unknown] {
        let line = a.try_login(&dir.url, &dir.fingerprint, &account).says(4);
        let seconds = line
            .strip_prefix("p2pctl: 127.0.0.1 refused the user name or password. Next try in ")
            .and_then(|rest| rest.strip_suffix(" s."));
        assert!(seconds.is_some_and(|s| s.parse::<u64>().unwrap() > 0), "{line}");
    }
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    // After the wait the right one works.
    wait::until("the next try", wait::SOON, || {
        let answer = a.try_login(&dir.url, &dir.fingerprint, &world.ana);
        assert!([0, 4].contains(&answer.code), "{answer:?}");
        (answer.code == 0).then_some(())
    });
    let file = world.path("password");
    fs::write(&file, "not ana's password").unwrap();
    let args = [
        "login",
        "--directory",
        &dir.url,
        "--user",
        "ana",
        "--password-file",
    ];
    let refused = a.fails(4, &[&args[..], &[file.to_str().unwrap()]].concat());
    assert_eq!(refused["kind"], "credentials_refused");
    // A refused login does not end the session that there was.
    assert_eq!(a.json(&["whoami"])["user"], "ana");
    for secret in ["not ana's password", world.ana.password.as_str()] {
        assert!(!a.process.log().contains(secret) && !dir.process.log().contains(secret));
    }
}

#[test]
fn another_fingerprint_is_another_directory() {
    let world = World::start(&[]);
    let (a, dir) = (world.peer("a", ""), &world.directory);
    let answer = a.try_login(&dir.url, &nobodys(), &world.ana);
    let expected = format!(
        "p2pctl: 127.0.0.1 shows CA {}, expected {}. Nothing was sent.",
        dir.fingerprint,
        nobodys()
    );
    assert_eq!(answer.says(13), expected);
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    a.login(dir, &world.ana);
}

#[test]
fn a_stranger_hears_nothing_but_the_request_for_its_ca() {
    let world = World::start(&[]);
    let (a, stranger) = (world.peer("a", ""), Listener::start());
    // Whether the fingerprint is nobody's or that of the true directory, whose name was taken over.
    for fingerprint in [nobodys(), world.directory.fingerprint.clone()] {
        let answer = a.try_login(&stranger.url(), &fingerprint, &world.ana);
        let line = answer.says(13);
        assert!(
            line.ends_with(&format!(", expected {fingerprint}. Nothing was sent.")),
            "{line}"
        );
    }
    let heard: Vec<String> = stranger
        .heard()
        .into_iter()
        .map(|said| String::from_utf8(said).expect("HTTP"))
        .collect();
    assert_eq!(heard.len(), 2, "{heard:?}");
    for said in &heard {
        assert!(said.starts_with("GET /api/v1/ca HTTP/1.1\r\n"), "{said}");
        assert_eq!(said.find("\r\n\r\n"), Some(said.len() - 4), "{said}");
        assert!(!said.contains("ana") && !said.to_lowercase().contains("authorization"));
    }
}

#[test]
fn a_certificate_without_the_name_says_how_to_add_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Directory::with_names(&folder.path().join("directory"), "", &["127.0.0.1", "dir.lab"]);
    let ana = dir.add_user("ana");
    let a = p2p_tests::Peer::start(&folder.path().join("a"), "a", "");
    let url = format!("https://localhost:{}", dir.port);
    let line = a.try_login(&url, &dir.fingerprint, &ana).says(8);
    let expected = |names: &str| {
        format!(
            "p2pctl: localhost's certificate names [{names}]: add localhost to api.names, then systemctl reload \
             p2p-directory"
        )
    };
    let either = [expected("127.0.0.1, dir.lab"), expected("dir.lab, 127.0.0.1")];
    assert!(either.contains(&line), "{line}");
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    // And that is what mends it.
    dir.rename(&["127.0.0.1", "dir.lab", "localhost"]);
    wait::until("the new certificate", wait::SOON, || {
        let answer = a.try_login(&url, &dir.fingerprint, &ana);
        assert!([0, 8].contains(&answer.code), "{answer:?}");
        (answer.code == 0).then_some(())
    });
}

#[test]
fn a_directory_that_is_away_is_unreachable() {
    let world = World::start(&[]);
    let a = world.peer("a", "");
    let url = format!("https://127.0.0.1:{}", p2p_tests::process::free_port());
    let line = a
        .try_login(&url, &world.directory.fingerprint, &world.ana)
        .says(8);
    assert!(
        line.starts_with("p2pctl: 127.0.0.1 cannot be reached: "),
        "{line}"
    );
}

#[test]
fn another_account_cannot_take_over_a_store() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 1000);
    a.upload(&source);
    let bea = world.directory.add_user("bea");
    a.json(&["logout"]);
    let answer = a.try_login(&world.directory.url, &world.directory.fingerprint, &bea);
    let line = answer.says(5);
    assert!(
        line.starts_with("p2pctl: this peer holds files of ana; another account cannot use it. "),
        "{line}"
    );
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    // With nothing here it is anybody's.
    a.login(&world.directory, &world.ana);
    a.json(&["rm", "scan.tar", "--force"]);
    a.json(&["logout"]);
    a.login(&world.directory, &bea);
    assert_eq!(a.json(&["whoami"])["user"], "bea");
}

#[test]
fn without_a_session_every_verb_says_so() {
    let world = World::start(&[]);
    let a = world.peer("a", "");
    let (source, _) = world.file("scan.tar", 1, 1000);
    for args in [
        &["whoami"][..],
        &["logout"],
        &["upload", source.to_str().unwrap()],
        &["download", "scan.tar"],
        &["fetch", "scan.tar"],
        &["search"],
        &["info", "scan.tar"],
        &["peers"],
        &["rm", "scan.tar"],
    ] {
        assert_eq!(a.fails(4, args)["kind"], "not_logged_in", "{args:?}");
        assert_eq!(a.says(4, args), "p2pctl: not logged in. Try: p2pctl login");
    }
    assert_eq!(a.json(&["status"])["session"]["logged_in"], false);
    assert!(a.stored().is_empty());
}
