//! What a release's programs leave: a network is made, used and stopped, and its state folders go into an archive, which
//! every later version has to take over (`tests/tests/states.rs`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};

use crate::{Peer, World, wait};

/// What `a` has, how its bytes begin, and how many there are. Larger than a group is all but the first; and all of it is as
/// small as can be in an archive.
const FILES: [(&str, &str, usize); 4] = [
    ("small.txt", "pinned", 1000),
    ("big.txt", "for the group lab", 700_000),
    ("mine.txt", "private", 300_000),
    ("wide.txt", "b's, and a has a part of it", 6 << 20),
];

/// The file that `a` was fetching when it was stopped.
pub const PART: &str = "wide.txt";

/// The limit under which it did that.
pub const LIMIT: u64 = 1 << 20;

/// What is in an archive: the state folders, and when it was made.
const FOLDERS: [&str; 3] = ["directory/state", "a/state", "b/state"];

/// The file with the time, beside the folders.
pub const TIME: &str = "time";

/// Where the archives are.
#[must_use]
pub fn states() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/states")
}

/// What this file has.
///
/// # Panics
/// When there is none of that name.
#[must_use]
pub fn content(name: &str) -> Vec<u8> {
    let (_, line, size) = FILES.iter().find(|file| file.0 == name).expect("a file");
    format!("{line}\n").bytes().cycle().take(*size).collect()
}

/// The hash of this file.
#[must_use]
pub fn hash(name: &str) -> String {
    blake3::hash(&content(name)).to_string()
}

/// Runs `tar`.
///
/// # Panics
/// When it fails.
pub fn tar(args: &[&str], archive: &Path, folder: &Path, members: &[&str]) {
    let mut command = Command::new("tar");
    command
        .args(args)
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(folder)
        .args(members);
    let status = command.status().expect("tar");
    assert!(status.success(), "{command:?}");
}

/// The number of the transfer that fetches the part, and what it has done.
#[must_use]
pub fn fetching(peer: &Peer) -> Option<(String, u64)> {
    let transfer = peer.transfer("download", PART)?;
    Some((
        transfer["id"].as_str()?.to_owned(),
        transfer["done_bytes"].as_u64()?,
    ))
}

/// Makes the archive of this version, and says where it is.
///
/// # Panics
/// When the programs do not as they should.
#[must_use]
pub fn leave() -> PathBuf {
    let mut world = World::start(&["a", "b", "lost"]);
    let _ = world.directory.add_user("bob");
    world
        .directory
        .command(&["admin", "group", "add", "lab", "ana", "bob"], None);
    let [a, b, _] = &world.peers[..] else {
        unreachable!()
    };
    let publish = |peer: &Peer, name: &str, visibility: &str| {
        let path = world.path(name);
        fs::write(&path, content(name)).expect("a file");
        peer.json(&[
            "upload",
            path.to_str().expect("UTF-8"),
            "--visibility",
            visibility,
        ]);
    };
    publish(a, "small.txt", "public");
    publish(a, "big.txt", "group:lab");
    publish(a, "mine.txt", "private");
    a.json(&["pin", "small.txt"]);
    publish(b, PART, "public");
    a.json(&["limit", "--down", "1MiB"]);
    let fetch = a.begin(&["fetch", PART]);
    let (id, _) = wait::until("some of it", wait::SOON, || {
        fetching(a).filter(|(_, done)| *done > LIMIT)
    });
    a.json(&["pause", &id]);
    a.until_download(PART, "paused", wait::SOON);
    world
        .directory
        .command(&["admin", "peer", "revoke", "lost"], None);
    wait::until("the deny-list", wait::SOON, || {
        a.folder.join("state/denied.json").exists().then_some(())
    });
    for peer in &mut world.peers {
        assert_eq!(peer.process.stop(), Some(0));
    }
    let _ = fetch.end();
    assert_eq!(world.directory.process.stop(), Some(0));
    let now = UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
    fs::write(world.path(TIME), now.to_string()).expect("the time");
    let archive = states().join(concat!(env!("CARGO_PKG_VERSION"), ".tar.gz"));
    fs::create_dir_all(states()).expect("a folder");
    let members: Vec<&str> = FOLDERS.into_iter().chain([TIME]).collect();
    let args = [
        "--create",
        "--gzip",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ];
    tar(&args, &archive, world.folder.path(), &members);
    archive
}
