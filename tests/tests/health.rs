//! Health lines: each is provoked, and carries the command that mends it. Damage, faults, stalled transfers and a full disk
//! are in the stories of those; limits in theirs.

use std::{fs, path::Path};

use p2p_proto::v1::HealthLine;
use p2p_tests::{
    Peer, World,
    calls::Calls,
    check::{figures, until_online},
    machine::{Clock, SmallDisk},
    process::free_port,
    wait,
};
use rustix::process::Signal;

const MIB: u64 = 1 << 20;
const DAY: u64 = 24 * 3600;

/// Waits for a line of this code.
fn line(peer: &Peer, code: &str) -> HealthLine {
    let mut calls = Calls::of(peer);
    wait::until(code, wait::SOON, || calls.health(code).into_iter().next())
}

fn until_gone(peer: &Peer, code: &str) {
    let mut calls = Calls::of(peer);
    wait::until(code, wait::SOON, || calls.health(code).is_empty().then_some(()));
}

/// A peer that was started elsewhere, logged in.
fn in_world(world: &World, peer: Peer) -> Peer {
    peer.login(&world.directory, &world.ana);
    peer
}

#[test]
fn a_clock_that_is_wrong_is_told_of() {
    let world = World::start(&[]);
    let Some(clock) = Clock::new(&world.path("clock")) else {
        return;
    };
    let peer = Peer::start_in(&world.path("a"), "a", "", &clock.environment());
    let a = in_world(&world, peer);
    assert_eq!(Calls::of(&a).health("clock_skew"), []);
    clock.goes_ahead_by(120);
    let line = line(&a, "clock_skew");
    assert_eq!(
        (line.level.as_str(), line.fix.as_str()),
        ("warning", "sudo timedatectl set-ntp true")
    );
    assert!(
        line.message.starts_with("this clock and 127.0.0.1's differ by 1"),
        "{line:?}"
    );
    clock.goes_ahead_by(0);
    until_gone(&a, "clock_skew");
}

#[test]
fn a_directory_that_is_away_and_a_certificate_that_is_not_renewed_are_told_of() {
    let mut world = World::start(&[]);
    let Some(clock) = Clock::new(&world.path("clock")) else {
        return;
    };
    let peer = Peer::start_in(&world.path("a"), "a", "", &clock.environment());
    let a = in_world(&world, peer);
    world.directory.process.kill();
    let away = line(&a, "directory_away");
    assert_eq!(away.fix, "on 127.0.0.1: sudo systemctl start p2p-directory");
    assert_eq!(Calls::of(&a).health("certificate_ends"), []);
    clock.goes_ahead_by(6 * DAY);
    let ends = line(&a, "certificate_ends");
    assert!(
        ends.message.starts_with("this peer's certificate ends in 2")
            && ends
                .message
                .contains(" h and was not renewed: 127.0.0.1 cannot be reached: "),
        "{ends:?}"
    );
    assert_eq!(ends.fix, away.fix);
    world.directory.restart();
    until_gone(&a, "certificate_ends");
    until_gone(&a, "directory_away");
}

#[test]
fn a_session_that_ends_soon_and_one_that_was_ended_are_told_of() {
    let world = World::with_directory(&["a"], "[session]\nlifetime = \"5d\"\n");
    let a = &world.peers[0];
    let soon = line(a, "session_ends");
    // Of an hour that has begun nothing is told.
    let hours = ["the session ends in 120 h", "the session ends in 119 h"];
    assert!(
        hours.contains(&soon.message.as_str()) && soon.fix == "p2pctl login",
        "{soon:?}"
    );
    assert_eq!(a.ctl(&["logout"]).code, 0);
    assert_eq!(Calls::of(a).health("session_ended"), [], "he wanted it so");
    a.login(&world.directory, &world.ana);
    world
        .directory
        .command(&["admin", "user", "disable", "ana"], None);
    let ended = line(a, "session_ended");
    assert_eq!(
        (ended.level.as_str(), ended.fix.as_str()),
        ("error", "on 127.0.0.1: sudo p2p-directory admin user enable ana")
    );
    assert_eq!(
        ended.message,
        "not logged in: an administrator disabled the account"
    );
}

#[test]
fn an_own_port_that_cannot_be_reached_is_told_of_by_address() {
    let world = World::start(&[]);
    let config = "[peer]\nadvertise = [\"127.0.0.1:1\", \"[::1]:2\"]\n";
    let a = in_world(&world, world.peer("a", config));
    let lines = Calls::of(&a).health("port_unreachable");
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.message.as_str(), line.fix.as_str()))
        .collect();
    let rest = "; where others cannot route to that, set [peer] advertise";
    let messages = [
        format!("127.0.0.1 could not reach 127.0.0.1:1 over IPv4{rest}"),
        format!("127.0.0.1 could not reach [::1]:2 over IPv6{rest}"),
    ];
    assert_eq!(
        told,
        [
            (messages[0].as_str(), "sudo ufw allow 1/tcp, then p2pctl login"),
            (messages[1].as_str(), "sudo ufw allow 2/tcp, then p2pctl login"),
        ]
    );
}

#[test]
fn another_peer_that_cannot_be_reached_is_told_of_until_it_is() {
    let mut world = World::with_directory(
        &["gpu7", "b"],
        "[liveness]\nping_interval = \"500ms\"\nlease = \"60s\"\n",
    );
    let (source, _) = world.file("scan.tar", 1, MIB);
    world.peers[0].upload(&source);
    let port = world.peers[0].port;
    world.peers[0].process.signal(Signal::STOP);
    let waiting = world.peers[1].begin(&["fetch", "scan.tar", "--wait"]);
    let silent = line(&world.peers[1], "peer_unreachable");
    assert_eq!(silent.level, "warning");
    assert_eq!(silent.message, format!("gpu7: port {port} timed out"));
    assert_eq!(silent.fix, format!("on gpu7: sudo ufw allow {port}/tcp"));
    world.peers[0].process.signal(Signal::CONT);
    assert_eq!(waiting.end().code, 0);
    until_gone(&world.peers[1], "peer_unreachable");
    world.peers[1].json(&["rm", "scan.tar"]);
    world.peers[0].process.kill();
    let waiting = world.peers[1].begin(&["fetch", "scan.tar", "--wait"]);
    let gone = line(&world.peers[1], "peer_unreachable");
    assert_eq!(gone.message, format!("gpu7: port {port} refused the connection"));
    assert_eq!(gone.fix, "on gpu7: sudo systemctl start p2pd");
    world.peers[0].restart();
    until_online(&world.peers[1], "gpu7", true);
    assert_eq!(waiting.end().code, 0);
    until_gone(&world.peers[1], "peer_unreachable");
}

#[test]
fn little_room_is_told_of_before_there_is_none() {
    let world = World::start(&[]);
    let config = "[store]\nmax_size = \"10MiB\"\nreserve_free = \"1MiB\"\n";
    let quota = in_world(&world, world.peer("quota", config));
    assert_eq!(Calls::of(&quota).health("max_size_near"), []);
    let (source, _) = world.file("scan.tar", 1, 10 * MIB - MIB / 4);
    quota.upload(&source);
    let near = line(&quota, "max_size_near");
    let told = near
        .message
        .starts_with("256 KiB left of the 10.0 MiB that store.max_size gives ");
    assert!(told && near.fix == "p2pctl rm FILE", "{near:?}");
    let Some(_disk) = SmallDisk::mount(&world.path("small").join("state"), 64 * MIB) else {
        return;
    };
    let small = world.peer("small", "");
    let low = line(&small, "disk_low");
    assert!(
        low.message.ends_with("; another disk is set by store.path"),
        "{low:?}"
    );
    assert_eq!(low.fix, "p2pctl rm FILE");
}

#[test]
fn what_the_disk_refuses_is_told_of_and_counted() {
    let world = World::start(&[]);
    let port = free_port();
    let config = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    let mut a = in_world(&world, world.peer("a", &config));
    let (source, hash) = world.file("scan.tar", 1, MIB);
    a.upload(&source);
    assert_eq!(Calls::of(&a).health("store_fault"), []);
    // What it is verified with is no file any more, and is not open yet.
    assert_eq!(a.process.stop(), Some(0));
    let layer = a.folder.join("state/store/layer").join(&hash[..2]).join(&hash);
    fs::remove_file(&layer).expect("a layer");
    fs::create_dir(&layer).expect("a folder");
    a.restart();
    let out = world.path("out.tar");
    assert_ne!(a.ctl(&["download", "scan.tar", "-o", &text(&out)]).code, 0);
    let fault = line(&a, "store_fault");
    assert_eq!(
        (fault.level.as_str(), fault.fix.as_str()),
        ("warning", "sudo dmesg -T | tail")
    );
    assert!(fault.message.ends_with("; look at the disk"), "{fault:?}");
    let page = figures(port);
    let counted = page
        .lines()
        .find_map(|line| line.strip_prefix("p2pd_disk_faults_total "));
    assert!(counted.is_some_and(|count| count != "0"), "{page}");
}

/// A daemon of the system, whose group is this one.
fn of_system(world: &World, name: &str, group: &str) -> Peer {
    let folder = world.path(name);
    let environment = [
        ("RUNTIME_DIRECTORY".to_owned(), text(&folder.join("run"))),
        ("STATE_DIRECTORY".to_owned(), text(&folder.join("state"))),
    ];
    let config = format!("[control]\ngroup = \"{group}\"\n");
    Peer::start_in(&folder, name, &config, &environment)
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn a_group_that_is_missing_or_empty_is_told_of() {
    let world = World::start(&[]);
    let a = of_system(&world, "a", "p2pd-nobody-has");
    let missing = line(&a, "no_group");
    assert_eq!(
        missing.message,
        "group p2pd-nobody-has does not exist: only root can use p2pctl"
    );
    assert_eq!(
        missing.fix,
        "sudo groupadd --system p2pd-nobody-has && sudo systemctl restart p2pd"
    );
    let groups = fs::read_to_string("/etc/group").expect("the groups");
    let empty = groups.lines().find(|line| line.ends_with(':'));
    let empty = empty
        .and_then(|line| line.split(':').next())
        .expect("a group without members");
    let b = of_system(&world, "b", empty);
    let nobody = line(&b, "group_empty");
    assert_eq!(
        (nobody.level.as_str(), nobody.fix),
        ("info", format!("sudo usermod -aG {empty} NAME"))
    );
    // One that a user runs for himself has no group.
    assert_eq!(Calls::of(&world.peer("c", "")).health("no_group"), []);
}
