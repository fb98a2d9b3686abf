//! States of every release, as its programs left them: today's programs take them over, and all that was there still is.
//!
//! `tests/tests/states/VERSION.tar.gz` has the state folders of a directory and of its peers `a` and `b`, and the time at
//! which they were stopped. `tests/states.sh` makes the one of this version.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use p2p_tests::{
    Account, Directory, Peer,
    check::{entry, until_online},
    machine::Clock,
    release::{LIMIT, PART, TIME, content, fetching, hash, states, tar},
    wait,
};
use serde_json::{Value, json};

/// The programs of today on a state of that release, at the time at which it was made.
struct Restored {
    directory: Directory,
    a: Peer,
    b: Peer,
    clock: Clock,
    folder: tempfile::TempDir,
}

impl Restored {
    fn of(archive: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        tar(&["--extract"], archive, folder.path(), &[]);
        let clock = Clock::new(&folder.path().join("clock"))?;
        let time = fs::read_to_string(folder.path().join(TIME)).expect("a time");
        clock.goes_back_to(time.parse().expect("a number"));
        let directory = Directory::start_in(&folder.path().join("directory"), "", &clock.environment());
        let peer = |name: &str| {
            let home = folder.path().join(name);
            moves(&home.join("state"), &directory.url);
            Peer::start_in(&home, name, "", &clock.environment())
        };
        let (a, b) = (peer("a"), peer("b"));
        Some(Self {
            directory,
            a,
            b,
            clock,
            folder,
        })
    }
}

/// The directory is at another port than it was.
fn moves(state: &Path, url: &str) {
    let read = |name: &str| fs::read_to_string(state.join(name)).expect("a file");
    let session: Value = serde_json::from_str(&read("session.json")).expect("a session");
    let before = session["directory"]
        .as_str()
        .expect("a URL")
        .trim_end_matches('/');
    for name in ["session.json", "known.json"] {
        fs::write(state.join(name), read(name).replace(before, url)).expect("a file");
    }
}

/// All that was there is there.
fn all_is_there(state: &Restored) {
    let Restored { directory, a, b, .. } = state;
    // Nobody has to log in again.
    assert_eq!(a.json(&["whoami"])["user"], "ana");
    until_online(a, "b", true);
    let listed = a.json(&["list"])["files"].clone();
    for (name, visibility, pinned) in [
        ("small.txt", "public", true),
        ("big.txt", "group:lab", false),
        ("mine.txt", "private", false),
    ] {
        let file = entry(&listed, "name", name).unwrap_or_else(|| panic!("no {name} in {listed}"));
        assert_eq!(file["hash"], hash(name));
        assert_eq!(file["visibility"], visibility);
        assert_eq!(
            (&file["pinned"], &file["state"]),
            (&pinned.into(), &"complete".into())
        );
    }
    let verified = a.json(&["verify"]);
    assert_eq!(
        (&verified["files"], &verified["damaged"]),
        (&3.into(), &0.into()),
        "{verified}"
    );
    let groups = directory.json(&["admin", "group", "list"]);
    assert_eq!(groups["groups"][0]["members"], json!(["ana", "bob"]));
    let peers = directory.json(&["admin", "peer", "list"]);
    let lost = entry(&peers["peers"], "name", "lost").expect("the lost peer");
    assert!(lost["revoked_at"].is_string(), "{lost}");
    assert_eq!(a.json(&["limit"])["down_bytes_per_second"], LIMIT);
    assert_eq!(b.json(&["list"])["files"][0]["name"], PART);
}

/// What was paused in the middle goes on from there.
fn the_part_is_completed(a: &Peer) {
    let paused = a.until_download(PART, "paused", Duration::ZERO);
    assert!(
        paused["done_bytes"].as_u64().is_some_and(|done| done > 0),
        "{paused}"
    );
    a.json(&["limit", "--down", "unlimited"]);
    let (id, _) = fetching(a).expect("the transfer");
    a.json(&["resume", &id]);
    let transfer = a.until_download(PART, "done", wait::SOON);
    assert_eq!(transfer["id"], id.as_str());
    let fetched = a.json(&["fetch", PART]);
    assert_eq!(fetched["hash"], hash(PART));
    let listed = a.json(&["list"])["files"].clone();
    assert_eq!(
        entry(&listed, "name", PART).expect("the file")["state"],
        "complete"
    );
    let came = entry(&transfer["peers"], "peer", "b").expect("b")["bytes"].as_u64();
    assert!(came.is_some_and(|bytes| bytes < 6 << 20), "{transfer}");
}

/// An account's password still opens it, and it sees what its groups see.
fn bob_logs_in(state: &Restored) {
    let folder = state.folder.path().join("new");
    let new = Peer::start_in(&folder, "new", "", &state.clock.environment());
    let bob = Account {
        name: "bob".to_owned(),
        password: "bob's own password".to_owned(),
    };
    new.login(&state.directory, &bob);
    let output = folder.join("out.txt");
    let done = new.json(&["download", "ana/big.txt", "-o", output.to_str().expect("UTF-8")]);
    assert_eq!(done["hash"], hash("big.txt"));
    assert_eq!(fs::read(output).expect("the file"), content("big.txt"));
    assert_eq!(new.fails(6, &["info", "ana/mine.txt"])["kind"], "not_found");
}

#[test]
fn todays_programs_take_over_the_state_of_every_release() {
    let mut archives: Vec<PathBuf> = fs::read_dir(states())
        .expect("the states")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    archives.sort();
    assert!(!archives.is_empty(), "no state in {}", states().display());
    for archive in archives {
        let Some(state) = Restored::of(&archive) else {
            return;
        };
        all_is_there(&state);
        the_part_is_completed(&state.a);
        bob_logs_in(&state);
    }
}
