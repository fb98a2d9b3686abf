//! A second daemon or directory on the same folders, and the sockets that a first one left.

use std::os::unix::net::UnixStream;

use p2p_tests::{Process, World, wait};

use super::{PATIENCE, alone, side};

/// Starts a second p2pd with this configuration; it must end with failure and say this.
fn refused(folder: &std::path::Path, config: &str, expected: &str) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("p2pd.toml"), config).expect("a configuration");
    let mut command = std::process::Command::new(p2p_tests::process::program("p2pd"));
    command.arg("--config").arg(folder.join("p2pd.toml"));
    let mut second = Process::start(command, &folder.join("log"));
    wait::until("the second p2pd to end", PATIENCE, || {
        (!second.runs()).then_some(())
    });
    assert_eq!(second.ended(), Some(1), "{}", second.log());
    assert!(second.log().contains(expected), "{}", second.log());
}

#[test]
fn a_second_daemon_on_the_same_folders_is_refused_by_name() {
    let (folder, peer) = alone();
    peer.json(&["status"]);
    let (mine, other) = (peer.folder.display(), folder.path().join("b"));
    let config = |state: &str, run: &str| {
        format!("state_dir = \"{state}\"\nruntime_dir = \"{run}\"\n[peer]\nlisten = [\"127.0.0.1:0\"]\n")
    };
    let theirs = other.display();
    // The same state, another runtime folder: the sockets would not be in each other's way.
    let state = config(&format!("{mine}/state"), &format!("{theirs}/run"));
    refused(&other, &state, &format!("{mine}/state is in use by another p2pd"));
    // The same state, a store elsewhere: neither would the stores.
    let elsewhere = format!("{state}[store]\npath = \"{theirs}/store\"\n");
    refused(
        &other,
        &elsewhere,
        &format!("{mine}/state is in use by another p2pd"),
    );
    // The same store, another state.
    let store = config(&format!("{theirs}/state"), &format!("{theirs}/run"));
    let store = format!("{store}[store]\npath = \"{mine}/state/store\"\n");
    refused(
        &other,
        &store,
        &format!("{mine}/state/store is in use by another p2pd"),
    );
    // The same runtime folder, another state: the store would not be.
    let run = config(&format!("{theirs}/state"), &format!("{mine}/run"));
    refused(
        &other,
        &run,
        &format!("{mine}/run/control.sock: another program listens there"),
    );
    // The first one runs on, behind the sockets that it had.
    peer.json(&["status"]);
    assert!(side(&peer).exists());
}

#[test]
fn a_second_directory_on_the_same_runtime_folder_is_refused_and_a_stale_socket_replaced() {
    let mut world = World::start(&[]);
    let (mine, other) = (world.path("directory"), world.path("other"));
    std::fs::create_dir_all(&other).unwrap();
    let config = other.join("directory.toml");
    let serve = |state: &std::path::Path, run: &std::path::Path| {
        let text = format!(
            "state_dir = \"{}/state\"\nruntime_dir = \"{}/run\"\n[api]\nlisten = [\"127.0.0.1:0\"]\n",
            state.display(),
            run.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new(p2p_tests::process::program("p2p-directory"));
        command.arg("serve").arg("--config").arg(&config);
        let mut second = Process::start(command, &other.join("log"));
        wait::until("the second directory to end", PATIENCE, || {
            (!second.runs()).then_some(())
        });
        assert_ne!(second.ended(), Some(0));
        second.log()
    };
    let log = serve(&other, &mine);
    let socket = mine.join("run/admin.sock");
    let expected = format!("{}: another program listens there", socket.display());
    assert!(log.contains(&expected), "{log}");
    let log = serve(&mine, &other);
    assert!(log.contains(&*mine.join("state").to_string_lossy()), "{log}");
    let _ = world.directory.add_user("ben");
    // A killed one leaves its socket, and the next one takes its place.
    world.directory.process.kill();
    assert!(socket.exists());
    world.directory.restart();
    wait::until("the admin socket to answer", wait::SOON, || {
        UnixStream::connect(&socket).ok()
    });
    let _ = world.directory.add_user("cleo");
}
