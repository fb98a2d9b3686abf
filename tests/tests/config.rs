//! Configuration of the real programs: what they say of a wrong one, what a reload changes while they run, and that
//! docs/config.md tells of every key what the programs do.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use p2p_service::config::Entry;
use p2p_tests::{Directory, Peer, World, control::Control, process::program, wait};
use rustix::process::Signal;

const PROGRAMS: [(&str, &[&str], &str); 2] = [
    ("p2pd", &["--check-config"], "P2PD_"),
    ("p2p-directory", &["serve", "--check-config"], "P2P_DIRECTORY_"),
];

fn check(program_name: &str, args: &[&str], environment: &[(String, &str)]) -> (i32, String) {
    let mut command = Command::new(program(program_name));
    // Nothing of this machine's own.
    command
        .env_clear()
        .env("HOME", "/nonexistent")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .args(args);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("a program");
    let said = [stdout, stderr].concat();
    let said = String::from_utf8(said).expect("text");
    assert_eq!(said.lines().count(), 1, "{program_name} {args:?}: {said}");
    (status.code().unwrap_or(-1), said.trim_end().to_owned())
}

#[test]
fn a_wrong_configuration_is_told_with_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let name = file.to_str().unwrap();
    for (program, args, _) in PROGRAMS {
        let with_file = [args, &["--config", name]].concat();
        for (text, line, wrong) in [
            (
                "\n[log]\nlevl = \"info\"\n",
                3,
                "unknown key levl; did you mean level?",
            ),
            (
                "[metrics]\n\nlisten = \"here\"\n",
                3,
                "metrics.listen: \"here\" is no address",
            ),
            (
                "statedir = \"/x\"\n",
                1,
                "unknown key statedir; did you mean state_dir?",
            ),
            ("[log]\nlevel = \"loud\"\n", 2, "log.level: \"loud\" is no level"),
            (
                "[bootstrap]\npeers = []\n",
                1,
                "[bootstrap] comes with a later version; leave it out",
            ),
            ("state_dir = \n", 1, ""),
        ] {
            fs::write(&file, text).unwrap();
            let (code, said) = check(program, &with_file, &[]);
            assert_eq!(code, 2, "{said}");
            assert!(
                said.starts_with(&format!("{program}: {name}:{line}: {wrong}")),
                "{said}"
            );
            // It does not run with it either.
            let serve: Vec<&str> = with_file
                .iter()
                .copied()
                .filter(|arg| *arg != "--check-config")
                .collect();
            assert_eq!(check(program, &serve, &[]).0, 2);
        }
        fs::write(&file, "[log]\nlevel = \"warn\"\n").unwrap();
        assert_eq!(check(program, &with_file, &[]), (0, format!("{name}: good")));
        fs::remove_file(&file).unwrap();
        let (code, said) = check(program, &with_file, &[]);
        assert!(code == 2 && said.contains(name), "{said}");
    }
}

#[test]
fn without_a_file_the_defaults_hold() {
    for (program, args, _) in PROGRAMS {
        let (code, said) = check(program, args, &[]);
        let exists = Path::new("/etc")
            .join(program)
            .join(format!("{program}.toml"))
            .exists();
        let verdict = if exists {
            ": good"
        } else {
            ": missing, so the defaults hold"
        };
        assert!(code == 0 && said.ends_with(verdict), "{said}");
    }
}

#[test]
fn flags_and_variables_are_told_by_name() {
    for (program, args, prefix) in PROGRAMS {
        let variable = |key: &str| format!("{prefix}{key}");
        for (key, value, wrong) in [
            ("LOG__LEVL", "info", "unknown key levl; did you mean level?"),
            ("STATEDIR", "/x", "unknown key statedir; did you mean state_dir?"),
            ("METRICS__LISTEN", "here", "\"here\" is no address"),
            (
                "LOG",
                "loud",
                "\"loud\" is no level (off, error, warn, info, debug, trace) and no TARGET=LEVEL",
            ),
        ] {
            let (code, said) = check(program, args, &[(variable(key), value)]);
            assert_eq!(code, 2, "{said}");
            assert!(
                said.starts_with(&format!("{program}: {prefix}{key}: {wrong}")),
                "{said}"
            );
        }
        let set = [args, &["--set", "log.level=loud"]].concat();
        let (code, said) = check(program, &set, &[]);
        assert!(
            code == 2 && said.starts_with(&format!("{program}: --set log.level: \"loud\"")),
            "{said}"
        );
        // The flag goes before the variable, and the variable before the file.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        fs::write(&file, "[log]\nlevel = \"info\"\n").unwrap();
        let named = [
            args,
            &["--config", file.to_str().unwrap(), "--set", "log.level=warn"],
        ]
        .concat();
        assert_eq!(check(program, &named, &[(variable("LOG__LEVEL"), "debug")]).0, 0);
    }
}

#[test]
fn a_flag_goes_before_a_variable_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let name = |peer: &Peer| peer.json(&["status"])["daemon"]["peer_name"].clone();
    let variable = [("P2PD_PEER_NAME".to_owned(), "from-variable".to_owned())];
    let peer = Peer::start_in(folder.path(), "from-file", "", &variable);
    assert_eq!(name(&peer), "from-variable");
    drop(peer);
    let mut peer = Peer::start(folder.path(), "from-file", "");
    assert_eq!(name(&peer), "from-file");
    peer.process.stop();
    let mut command = Command::new(program("p2pd"));
    command
        .arg("--config")
        .arg(folder.path().join("p2pd.toml"))
        .env("P2PD_PEER_NAME", "from-variable")
        .args(["--set", "peer_name=from-flag"]);
    peer.process = p2p_tests::Process::start(command, &folder.path().join("log"));
    wait::until("the daemon", wait::SOON, || {
        (peer.ctl(&["status"]).code == 0).then_some(())
    });
    assert_eq!(name(&peer), "from-flag");
}

/// Changes the daemon's file and has it read again.
fn reconfigure(peer: &Peer, change: impl FnOnce(String) -> String) {
    let file = peer.folder.join("p2pd.toml");
    let text = fs::read_to_string(&file).expect("a file");
    fs::write(&file, change(text)).expect("a file");
    peer.process.signal(Signal::HUP);
}

fn until_said(peer: &Peer, what: &str) -> String {
    wait::until(what, wait::SOON, || {
        let log = peer.process.log();
        log.lines().find(|line| line.contains(what)).map(str::to_owned)
    })
}

#[test]
fn a_reload_of_p2pd_changes_what_can_change_and_names_the_rest() {
    let world = World::start(&[]);
    let config = "[log]\nlevel = \"info\"\n[transfer]\nmax_active = 4\n[control]\nshared_session = false\n";
    let peer = world.peer("a", config);
    peer.login(&world.directory, &world.ana);
    let (file, _) = world.file("scan.tar", 1, 3 << 20);
    peer.upload(&file);
    assert_eq!(
        peer.json(&["status"])["store"]["max_bytes"],
        serde_json::Value::Null
    );
    assert_eq!(peer.process.said("DEBUG"), 0);
    reconfigure(&peer, |text| {
        text.replace("max_active = 4", "max_active = 8\nupload_limit = \"20MiB\"")
            .replace("level = \"info\"", "level = \"debug\"")
            .replace("shared_session = false", "shared_session = true")
            .replace(
                "reserve_free = \"1MiB\"",
                "reserve_free = \"2MiB\"\nmax_size = \"4MiB\"\naccept_copies = \"cluster\"",
            )
            .replace("[peer]\n", "[peer]\nadvertise = [\"127.0.0.2\"]\n")
            .replace("listen = [", "listen = [\"127.0.0.1:1\", ")
    });
    let line = until_said(&peer, "configuration reloaded: ");
    for change in [
        "peer.advertise [] → [\"127.0.0.2\"]",
        "control.shared_session false → true",
        "store.max_size \"unlimited\" → \"4MiB\"",
        "store.reserve_free \"1MiB\" → \"2MiB\"",
        "store.accept_copies \"own\" → \"cluster\"",
        "transfer.max_active 4 → 8",
        "transfer.upload_limit \"unlimited\" → \"20MiB\"",
        "log.level \"info\" → \"debug\"",
    ] {
        assert!(line.contains(change), "{change}: {line}");
    }
    assert!(!line.contains("peer.listen"), "{line}");
    let restart = until_said(&peer, "needs a restart: ");
    assert!(
        restart.contains("peer.listen [") && restart.ends_with("(systemctl restart p2pd)"),
        "{restart}"
    );
    let events = Control::of(&peer);
    let told = events
        .watch("0")
        .until("config.reloaded")
        .pop()
        .expect("an event");
    assert!(
        told.message
            .starts_with("configuration read again: changed peer.advertise, control.shared_session, ")
            && told.message.ends_with("; a restart is needed for peer.listen"),
        "{told:?}"
    );
    // And it counts.
    assert_eq!(peer.json(&["status"])["store"]["max_bytes"], 4 << 20);
    let (large, _) = world.file("large.tar", 2, 2 << 20);
    assert_eq!(
        peer.fails(9, &["upload", large.to_str().unwrap()])["kind"],
        "disk_full"
    );
    wait::until("a line for developers", wait::SOON, || {
        // Somebody looks whether the port is open.
        drop(std::net::TcpStream::connect(("127.0.0.1", peer.port)));
        (peer.process.said("DEBUG") > 0).then_some(())
    });
    wait::until("the new address", wait::SOON, || {
        let peers = peer.json(&["peers"]);
        peers["peers"]
            .to_string()
            .contains("127.0.0.2:7401")
            .then_some(())
    });
}

#[test]
fn a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path(), "a", "[transfer]\nmax_active = 4\n");
    let before = fs::read_to_string(peer.folder.join("p2pd.toml")).unwrap();
    reconfigure(&peer, |text| {
        text.replace(
            "reserve_free = \"1MiB\"",
            "reserve_free = \"1MiB\"\nmax_size = \"1MiB\"",
        )
        .replace("max_active", "maxactive")
    });
    let line = until_said(&peer, "not reloaded");
    assert!(
        line.contains("p2pd.toml:") && line.contains("unknown key maxactive; did you mean max_active?"),
        "{line}"
    );
    assert_eq!(
        peer.json(&["status"])["store"]["max_bytes"],
        serde_json::Value::Null
    );
    reconfigure(&peer, |_| before);
    until_said(&peer, "configuration reloaded: nothing else counts now");
}

#[test]
fn a_reload_of_the_directory_changes_what_can_change_and_names_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::start(folder.path(), "[log]\nlevel = \"info\"\n");
    let said = |what: &str| {
        wait::until(what, wait::SOON, || {
            let log = directory.process.log();
            log.lines().find(|line| line.contains(what)).map(str::to_owned)
        })
    };
    directory.reconfigure(
        "[log]\nlevel = \"debug\"\n[limits]\nindex_changes = 500\n[metrics]\nlisten = \"127.0.0.1:1\"\n",
    );
    let line = said("configuration reloaded: ");
    for change in [
        "log.level \"info\" → \"debug\"",
        "limits.index_changes 1000 → 500",
    ] {
        assert!(line.contains(change), "{line}");
    }
    let restart = said("needs a restart: ");
    assert!(
        restart.contains("metrics.listen \"\" → \"127.0.0.1:1\"")
            && restart.ends_with("(systemctl restart p2p-directory)"),
        "{restart}"
    );
    let _ = directory.add_user("ana");
    wait::until("a line for developers", wait::SOON, || {
        (directory.process.said("DEBUG") > 0).then_some(())
    });
    directory.reconfigure("[limits]\nindex_changes = 0\n");
    let line = said("not reloaded");
    assert!(
        line.contains("directory.toml:") && line.contains("limits.index_changes is 1 to"),
        "{line}"
    );
}

/// The rows of the tables that name this key in the part of docs/config.md with this heading.
fn documented(heading: &str) -> Vec<(String, String, String)> {
    let text = include_str!("../../docs/config.md");
    let part = text
        .split("\n## ")
        .find(|part| part.starts_with(heading))
        .expect("a heading");
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        assert!(!cells[1].is_empty() && !cells[4].is_empty(), "{row}");
        let code = |cell: &str| cell.trim_matches('`').to_owned();
        (code(cells[0]), code(cells[2]), cells[3].to_owned())
    })
    .collect()
}

fn of_the_code(entries: Vec<Entry>) -> Vec<(String, String, String)> {
    let row = |entry: Entry| (entry.key.to_owned(), entry.value, entry.when.word().to_owned());
    entries.into_iter().map(row).collect()
}

#[test]
fn the_documents_tell_every_key_its_default_and_when_it_changes() {
    let peer = p2p_daemon::Config {
        state_dir: "/var/lib/p2pd".into(),
        runtime_dir: "/run/p2pd".into(),
        ..p2p_daemon::Config::default()
    };
    assert_eq!(documented("p2pd.toml"), of_the_code(peer.entries()));
    let directory = p2p_directory::config::Config {
        state_dir: "/var/lib/p2p-directory".into(),
        runtime_dir: "/run/p2p-directory".into(),
        ..p2p_directory::config::Config::default()
    };
    assert_eq!(documented("p2p-directory.toml"), of_the_code(directory.entries()));
}
