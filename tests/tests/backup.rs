//! `p2p-directory backup` beside a running directory: writes go on, and a restore in an empty folder is the same directory
//! to every peer.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use p2p_tests::{World, check::until_online, process::program, wait};
use serde_json::json;

/// The exit code of a backup to this file, and what it said.
fn failing(world: &World, file: &str) -> (Option<i32>, String) {
    let config = world.directory.state().with_file_name("directory.toml");
    let mut command = Command::new(program("p2p-directory"));
    let ended = command
        .args(["backup", file, "--config"])
        .arg(config)
        .output()
        .unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

fn backup(world: &World, file: &Path) {
    let made = world.directory.json(&["backup", file.to_str().unwrap()]);
    assert_eq!(made["schema"], "p2p-directory.backup/1");
    let metadata = fs::metadata(file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(made["bytes"], json!(metadata.len()));
}

#[test]
fn a_restore_is_the_same_directory_to_every_peer() {
    let mut world = World::start(&["a", "b"]);
    let (source, hash) = world.file("scan.tar", 1, 300_000);
    world.peers[0].upload(&source);
    world.peers[1].json(&["fetch", "scan.tar"]);
    let file = world.path("backup.tar");
    let small = world.file("small", 2, 10).0;
    let (stop, written) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let name = format!("small-{}", written.load(Ordering::Relaxed));
                let path = small.to_str().unwrap();
                world.peers[0].json(&["upload", path, "--name", &name]);
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        let count = || written.load(Ordering::Relaxed);
        wait::until("a write", wait::SOON, || (count() > 0).then_some(()));
        let before = count();
        backup(&world, &file);
        wait::until("writes after the backup", wait::SOON, || {
            (count() > before + 1).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });

    // It refuses to overwrite, and what is there stays.
    let length = fs::metadata(&file).unwrap().len();
    let refused = failing(&world, file.to_str().unwrap());
    assert_eq!(refused.0, Some(11), "{refused:?}");
    assert!(refused.1.contains("it exists already"), "{refused:?}");
    assert_eq!(fs::metadata(&file).unwrap().len(), length);

    // Stop, empty the state folder, untar there, start.
    world.directory.process.stop();
    let state = world.directory.state();
    fs::remove_dir_all(&state).unwrap();
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let untarred = Command::new("tar")
        .arg("-xpf")
        .arg(&file)
        .arg("-C")
        .arg(&state)
        .status()
        .unwrap();
    assert!(untarred.success());
    world.directory.restart();
    let printed = world.directory.command(&["ca-fingerprint"], None);
    assert_eq!(printed.trim(), world.directory.fingerprint);
    let [a, b] = &world.peers[..] else { unreachable!() };
    until_online(b, "a", true);
    for peer in [a, b] {
        assert_eq!(peer.json(&["whoami"])["user"], "ana");
    }
    wait::until("both to be holders again", wait::SOON, || {
        let hit = b.json(&["search", "scan.tar"])["files"][0].clone();
        (hit["holders_online"] == 2).then(|| assert_eq!(hit["hash"], json!(hash)))
    });
    // What was published before the backup is there; new peers log in, new names are published.
    assert!(b.json(&["search", "small-"])["total"].as_u64() >= Some(1));
    let c = world.peer("c", "");
    c.login(&world.directory, &world.ana);
    assert_eq!(c.json(&["fetch", "scan.tar"])["hash"], json!(hash));
    c.upload(&world.file("later", 3, 10).0);
    assert_eq!(a.json(&["search", "later"])["total"], 1);
}

#[test]
fn a_stopped_directory_is_backed_up_as_well() {
    let mut world = World::start(&["a"]);
    world.directory.process.stop();
    let file = world.path("backup.tar");
    backup(&world, &file);
    let listed = Command::new("tar").arg("-tf").arg(&file).output().unwrap();
    assert_eq!(
        String::from_utf8(listed.stdout).unwrap(),
        "directory.db\nca.key\nca.pem\ngrant.key\n"
    );
    world.directory.restart();
    until_online(&world.peers[0], "a", true);
    let nowhere = failing(&world, "/nowhere/backup.tar");
    assert_eq!(nowhere.0, Some(1), "{nowhere:?}");
}
