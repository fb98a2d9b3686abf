//! `[login]`: the machine logs itself in, whatever is in the way at first.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use p2p_tests::{
    Account, Directory, Peer, World, check,
    process::{Process, free_port, program},
    proxy::Proxy,
    wait,
};
use rustix::process::Signal;

/// A file with this password, readable by its user alone.
fn password_file(folder: &Path, name: &str, password: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, format!("{password}\n")).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    file
}

fn login(urls: &[&str], file: &Path, fingerprint: &str) -> String {
    format!(
        "[directory]\nurls = {urls:?}\n[login]\nuser = \"ana\"\npassword_file = {file:?}\n\
         ca_fingerprint = \"{fingerprint}\"\n"
    )
}

fn until_logged_in(peer: &Peer) {
    wait::until("the machine to log in", wait::SOON, || {
        (peer.json(&["status"])["session"]["logged_in"] == true).then_some(())
    });
}

fn until_said(peer: &Peer, what: &str, times: usize) {
    wait::until(what, wait::SOON, || {
        (peer.process.said(what) == times).then_some(())
    });
}

#[test]
fn the_machine_logs_itself_in_and_its_session_is_roots() {
    let world = World::start(&[]);
    let file = password_file(world.folder.path(), "password", &world.ana.password);
    // The first directory does not answer; the next one in turn does.
    let nobody = format!("https://127.0.0.1:{}", free_port());
    let urls = [nobody.as_str(), world.directory.url.as_str()];
    let mut peer = world.peer("a", &login(&urls, &file, &world.directory.fingerprint));
    until_logged_in(&peer);
    let session = fs::read(peer.folder.join("state/session.json")).unwrap();
    let session: serde_json::Value = serde_json::from_slice(&session).unwrap();
    assert_eq!(
        (&session["user"], &session["made_by"]),
        (&"ana".into(), &0.into())
    );
    // A session that lives is kept: the next start makes no other one.
    peer.process.stop();
    peer.restart();
    until_logged_in(&peer);
    let after = fs::read(peer.folder.join("state/session.json")).unwrap();
    let after: serde_json::Value = serde_json::from_slice(&after).unwrap();
    assert_eq!(session["token"], after["token"]);
    assert_eq!(peer.process.said("logged in to"), 1, "{}", peer.process.log());
    // Nobody else may read the file, so nothing is said of that.
    assert_eq!(peer.process.said("chmod"), 0);
}

#[test]
fn a_logout_lasts_until_the_next_start() {
    let world = World::start(&[]);
    let file = password_file(world.folder.path(), "password", &world.ana.password);
    let config = login(&[&world.directory.url], &file, &world.directory.fingerprint);
    let mut peer = world.peer("a", &config);
    until_logged_in(&peer);
    peer.json(&["logout"]);
    // A reload that changes nothing of it does not log in either. What comes after it in the log was decided after it.
    peer.process.signal(Signal::HUP);
    until_said(&peer, "nothing else counts now", 1);
    // One that had begun with the reload would be over before these are refused.
    for name in ["nobody", "somebody"] {
        let unknown = Account {
            name: name.to_owned(),
            password: "a password that is wrong".to_owned(),
        };
        let refused = peer.try_login(&world.directory.url, &world.directory.fingerprint, &unknown);
        assert_eq!(refused.code, 4, "{refused:?}");
    }
    assert_eq!(peer.json(&["status"])["session"]["logged_in"], false);
    peer.process.stop();
    peer.restart();
    until_logged_in(&peer);
    assert_eq!(peer.process.said("logged in to"), 2, "{}", peer.process.log());
}

#[test]
fn a_directory_that_comes_later_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut directory = Directory::start(&folder.path().join("directory"), "");
    let ana = directory.add_user("ana");
    directory.process.stop();
    let file = password_file(folder.path(), "password", &ana.password);
    let config = login(&[&directory.url], &file, &directory.fingerprint);
    let peer = Peer::start(&folder.path().join("a"), "a", &config);
    until_said(
        &peer,
        "the machine is not logged in yet: 127.0.0.1 cannot be reached",
        1,
    );
    // It has been tried again by the time that a person asks why.
    let why = peer.fails(4, &["whoami"]);
    assert!(
        why["message"]
            .as_str()
            .unwrap()
            .contains("[login] failed: 127.0.0.1 cannot be reached"),
        "{why}"
    );
    directory.restart();
    until_logged_in(&peer);
    assert_eq!(
        peer.process.said("not logged in yet"),
        1,
        "{}",
        peer.process.log()
    );
}

#[test]
fn a_wrong_password_is_an_error_and_is_tried_again_after_a_reload() {
    let world = World::start(&[]);
    let file = password_file(world.folder.path(), "password", "not the password");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let config = login(&[&world.directory.url], &file, &world.directory.fingerprint);
    let peer = world.peer("a", &config);
    until_said(&peer, "ERROR the machine cannot log in: ", 1);
    until_said(&peer, "chmod o= ", 1);
    assert!(!peer.process.log().contains("not the password"));
    // Slowly: the account would be locked. One was refused, and so far it stays at that one.
    assert_eq!(world.directory.process.said("a login was refused"), 1);
    password_file(world.folder.path(), "password", &world.ana.password);
    wait::until("the login after a reload", wait::SOON, || {
        if peer.json(&["status"])["session"]["logged_in"] == true {
            return Some(());
        }
        // The directory makes an account wait that failed; who reloads tries once more.
        peer.process.signal(Signal::HUP);
        None
    });
}

#[test]
fn a_ca_must_be_known() {
    let world = World::start(&[]);
    let file = password_file(world.folder.path(), "password", &world.ana.password);
    let config = login(&[&world.directory.url], &file, "");
    let mut peer = world.peer("a", &config);
    until_said(
        &peer,
        "127.0.0.1 was not trusted before: set login.ca_fingerprint",
        1,
    );
    assert_eq!(world.directory.process.said("logged in on"), 0);
    // Once it is pinned the configuration need not say it.
    peer.login(&world.directory, &world.ana);
    peer.json(&["logout"]);
    peer.process.stop();
    peer.restart();
    until_logged_in(&peer);
    drop(peer);
    let other = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let peer = world.peer("b", &login(&[&world.directory.url], &file, &other));
    until_said(&peer, "Nothing was sent.", 1);
    assert_eq!(world.directory.process.said("a login was refused"), 0);
}

#[test]
fn the_password_may_be_a_credential() {
    let world = World::start(&[]);
    password_file(world.folder.path(), "password", &world.ana.password);
    let config = format!(
        "[directory]\nurls = [{:?}]\n[login]\nuser = \"ana\"\nca_fingerprint = \"{}\"\n",
        world.directory.url, world.directory.fingerprint
    );
    let without = world.peer("b", &config);
    until_said(
        &without,
        "set login.password_file, or LoadCredential=password:FILE",
        1,
    );
    let folder = world.folder.path().to_str().unwrap().to_owned();
    let credential = [("CREDENTIALS_DIRECTORY".to_owned(), folder)];
    let peer = Peer::start_in(&world.path("a"), "a", &config, &credential);
    until_logged_in(&peer);
}

#[test]
fn somebody_elses_session_is_left_alone() {
    let world = World::start(&[]);
    let file = password_file(world.folder.path(), "password", &world.ana.password);
    let bea = world.directory.add_user("bea");
    let mut peer = world.peer("a", "");
    peer.login(&world.directory, &bea);
    peer.process.stop();
    let path = peer.folder.join("p2pd.toml");
    let text = fs::read_to_string(&path).unwrap();
    let config = login(&[&world.directory.url], &file, &world.directory.fingerprint);
    fs::write(&path, text + &config).unwrap();
    peer.restart();
    until_said(&peer, "this peer is logged in as bea and not as [login] ana", 1);
    assert_eq!(peer.json(&["whoami"])["user"], "bea");
}

#[test]
fn who_runs_the_daemon_himself_uses_the_session_that_it_makes() {
    // Debian's and most others' `nobody`.
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        check::not_tested("a daemon of another user needs root");
        return;
    }
    let world = World::start(&[]);
    let folder = world.path("own");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = password_file(&folder, "password", &world.ana.password);
    let config = format!(
        "peer_name = \"own\"\nstate_dir = \"{0}/state\"\nruntime_dir = \"{0}/run\"\n[peer]\nlisten = [\"127.0.0.1:{1}\"]\n{2}",
        folder.display(),
        free_port(),
        login(&[&world.directory.url], &file, &world.directory.fingerprint)
    );
    fs::write(folder.join("p2pd.toml"), config).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let his = |name: &str| {
        let mut command = Command::new(program(name));
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let mut daemon = his("p2pd");
    daemon.arg("--config").arg(folder.join("p2pd.toml"));
    let daemon = Process::start(daemon, &folder.join("log"));
    let asks = |args: &[&str]| {
        let mut tool = his("p2pctl");
        tool.arg("--socket")
            .arg(folder.join("run/control.sock"))
            .args(args);
        tool.output().unwrap()
    };
    let runs = |command: &str| asks(&[command]).status.code();
    // He may not read the password yet, and is told what mends that.
    let fix = format!(
        "sudo chown nobody {}, then sudo systemctl reload p2pd",
        file.display()
    );
    wait::until("the fix", wait::SOON, || {
        let status = asks(&["status", "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_slice(&status).ok()?;
        let line = check::entry(&status["health"], "code", "session_ended")?;
        assert_eq!(line["fix"], fix, "{line}");
        Some(())
    });
    assert_eq!(daemon.said(&fix), 1, "{}", daemon.log());
    chown(&file, Some(NOBODY), Some(NOBODY)).unwrap();
    daemon.signal(Signal::HUP);
    wait::until("the session to be his", wait::SOON, || {
        (runs("whoami") == Some(0)).then_some(())
    });
    assert_eq!(runs("logout"), Some(0));
}

#[test]
fn it_gives_way_to_a_session_that_somebody_begins_meanwhile() {
    let world = World::start(&[]);
    let file = password_file(world.folder.path(), "password", &world.ana.password);
    let another = Directory::start(&world.path("another"), "");
    let bea = another.add_user("bea");
    let proxy = Proxy::start();
    let port = world.directory.url.rsplit_once(':');
    proxy.leads_to(port.and_then(|(_, port)| port.parse().ok()).unwrap());
    // How much one connection brings that only asks for the CA; an answer to a login is longer than that.
    let wrong = format!("sha256:{}", "0".repeat(64));
    let asks = world.peer("b", "").try_login(&proxy.url(), &wrong, &world.ana);
    assert_eq!(asks.code, 13, "{asks:?}");
    let asked = proxy.passed();
    proxy.gate(asked + 64);
    let config = login(&[&proxy.url()], &file, &world.directory.fingerprint);
    let peer = world.peer("a", &config);
    wait::until("the answer to be on its way", wait::SOON, || {
        (proxy.passed() >= 3 * asked + 32).then_some(())
    });
    peer.login(&another, &bea);
    proxy.gate(u64::MAX);
    until_said(&peer, "[login] gave way to bea", 1);
    assert_eq!(peer.json(&["whoami"])["user"], "bea");
}
