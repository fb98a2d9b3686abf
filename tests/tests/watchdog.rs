//! The service manager's watchdog hears of both programs as long as their parts answer, and no longer.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use p2p_tests::{
    Peer, Process,
    manager::Manager,
    process::{free_port, program},
    wait,
};
use rustix::process::Signal;

/// After so long without a word the programs of these tests would be ended.
const LIMIT: Duration = Duration::from_secs(3);

/// What asks for a watchdog.
fn environment(manager: &Manager) -> Vec<(String, String)> {
    let path = manager.path.to_str().expect("a path in UTF-8").to_owned();
    let limit = LIMIT.as_micros().to_string();
    vec![
        ("NOTIFY_SOCKET".to_owned(), path),
        ("WATCHDOG_USEC".to_owned(), limit),
    ]
}

/// Keeps every reader out of a database: SQLite's locks for readers are the bytes 123 to 127 of the file beside it. For
/// the program the database hangs, as on a disk that does not answer. Given back when this is dropped.
fn lock(database: &Path) -> File {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    let file = File::options()
        .read(true)
        .write(true)
        .open(name)
        .expect("a database in use");
    let readers = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 123,
        l_len: 5,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLKW(&readers)).expect("a lock");
    file
}

/// A program lives, until its database hangs, and again when that answers.
fn lives_by_its_database(manager: &Manager, process: &mut Process, database: &Path, name: &str) {
    for _ in 0..3 {
        manager.until("WATCHDOG");
    }
    assert_eq!(process.said("does not answer"), 0, "{}", process.log());
    let locked = lock(database);
    let said = format!("{name} does not answer: no answer in 1s; unless it does, the service manager ends");
    wait::until("a word on what hangs", wait::SOON, || {
        (process.said(&said) > 0).then_some(())
    });
    manager.hears_no_life(LIMIT);
    drop(locked);
    manager.until("WATCHDOG");
    assert_eq!(process.said(&said), 1, "{}", process.log());
    process.signal(Signal::TERM);
    manager.until("STOPPING");
    assert_eq!(process.ended(), Some(0), "{}", process.log());
}

#[test]
fn p2pd_is_heard_of_while_its_store_answers() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::listen(folder.path());
    let mut peer = Peer::start_in(&folder.path().join("a"), "a", "", &environment(&manager));
    let database = peer.folder.join("state/store/metadata.db");
    lives_by_its_database(&manager, &mut peer.process, &database, "the store's database");
    assert_eq!(
        peer.process.said("control connection"),
        0,
        "{}",
        peer.process.log()
    );
}

#[test]
fn the_directory_is_heard_of_while_its_database_answers() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::listen(folder.path());
    let file = folder.path().join("directory.toml");
    let text = format!(
        "state_dir = \"{0}/state\"\nruntime_dir = \"{0}/run\"\n[api]\nlisten = [\"127.0.0.1:{1}\"]\n",
        folder.path().display(),
        free_port()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program("p2p-directory"));
    command
        .arg("serve")
        .arg("--config")
        .arg(file)
        .envs(environment(&manager));
    let mut process = Process::start(command, &folder.path().join("log"));
    manager.until("READY");
    let database = folder.path().join("state/directory.db");
    lives_by_its_database(&manager, &mut process, &database, "the database");
}

#[test]
fn it_is_heard_of_while_a_stop_waits_for_what_runs() {
    let world = p2p_tests::World::start(&[]);
    let manager = Manager::listen(world.folder.path());
    let peer = Peer::start_in(&world.path("a"), "a", "", &environment(&manager));
    peer.login(&world.directory, &world.ana);
    // Its pipe stays open: nothing ends it before the time for the stop is over.
    let mut upload = peer.command(&["upload", "-", "--name", "endless"]);
    let mut upload = upload.stdin(Stdio::piped()).spawn().unwrap();
    wait::until("the upload", wait::SOON, || peer.transfer("upload", "endless"));
    peer.process.signal(Signal::TERM);
    manager.until("STOPPING");
    for _ in 0..3 {
        manager.until("WATCHDOG");
    }
    assert_eq!(peer.process.said("does not answer"), 0, "{}", peer.process.log());
    drop(upload.stdin.take());
    upload.wait().unwrap();
}

#[test]
fn another_process_s_watchdog_is_not_fed() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::listen(folder.path());
    let mut environment = environment(&manager);
    environment.push(("WATCHDOG_PID".to_owned(), "1".to_owned()));
    let _peer = Peer::start_in(&folder.path().join("a"), "a", "", &environment);
    manager.until("READY");
    manager.hears_no_life(LIMIT);
}
