//! What happens is told to everybody who watches and may hear it: once, in one order, and on after a restart.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use p2p_proto::v1::Event;
use p2p_tests::{
    Peer, World, check,
    control::{Control, types},
    process::program,
    proxy::Proxy,
    wait,
};

const MIB: u64 = 1 << 20;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Without what other peers do: that comes when the directory tells of it.
fn own(events: Vec<Event>) -> Vec<Event> {
    let others = ["peer.online", "peer.offline"];
    let mut events = events;
    events.retain(|event| !others.contains(&event.r#type.as_str()));
    events
}

fn last<'a>(events: &'a [Event], kind: &str) -> &'a Event {
    let found = events.iter().rev().find(|event| event.r#type == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {events:?}"))
}

#[test]
fn a_fetch_an_upload_and_a_drop_are_told_in_one_order() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 1, 5 * MIB);
    let control = Control::of(a);
    let mut watching = control.watch("");
    let uploaded = a.upload(&source);
    let events = own(watching.until_all(&["transfer.done", "file.published", "file.stored"]));
    let steps: Vec<_> = types(&events)
        .into_iter()
        .filter(|kind| kind.starts_with("transfer."))
        .collect();
    assert_eq!(steps, ["transfer.queued", "transfer.started", "transfer.done"]);
    let published = last(&events, "file.published");
    let publication = published.publication.as_ref().expect("a publication");
    assert_eq!((&publication.hash, publication.version), (&hash, 1));
    assert_eq!(uploaded["hash"], publication.hash);
    assert_eq!(published.message, "ana/scan.tar@1 is published");
    check::is_time(&published.at.as_str().into());
    let done = last(&events, "transfer.done");
    assert_eq!(
        done.message,
        format!("upload {} of ana/scan.tar is done", done.transfer_id)
    );

    let (control, other) = (Control::of(b), Control::of(b));
    let (mut one, mut two) = (control.watch(""), other.watch(""));
    b.json(&["fetch", "scan.tar"]);
    // Its end is told a little after who waits for it has heard.
    let mut events = one.until("transfer.done");
    b.json(&["rm", "scan.tar"]);
    events.extend(one.until("file.dropped"));
    assert_eq!(two.until("file.dropped"), events);
    let expected = [
        "transfer.queued",
        "transfer.started",
        "file.stored",
        "transfer.done",
        "file.dropped",
    ];
    // That ana published it may be told meanwhile.
    let mut events = own(events);
    events.retain(|event| event.r#type != "file.published");
    assert_eq!(types(&events), expected, "{events:?}");
    for event in &events {
        let told = event.publication.as_ref().expect("a publication");
        assert_eq!((told.owner.as_str(), told.name.as_str()), ("ana", "scan.tar"));
    }
    let ids: Vec<u64> = events
        .iter()
        .map(|event| event.id.parse().expect("a place"))
        .collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[test]
fn who_watched_goes_on_after_a_kill_without_loss_or_repetition() {
    let mut world = World::start(&["a"]);
    let (source, _) = world.file("scan.tar", 1, MIB);
    let a = &mut world.peers[0];
    let control = Control::of(a);
    let mut watching = control.watch("");
    a.upload(&source);
    a.json(&["rm", "scan.tar", "--force"]);
    let seen = watching.until("file.dropped");
    a.restart_after_kill();
    // It broke off, or ended.
    assert!(matches!(watching.hears(), Err(_) | Ok(None)));
    let control = Control::of(a);
    for (place, event) in seen.iter().enumerate() {
        let rest = control.watch(&event.id).until_nothing_is_left(&seen[place + 1..]);
        assert_eq!(rest, seen[place + 1..], "after {event:?}");
    }
    // What happens now follows.
    let mut watching = control.watch(&seen[seen.len() - 2].id);
    a.json(&["logout"]);
    let events = watching.until("session.ended");
    assert_eq!(events[0], *seen.last().expect("an event"));
    assert_eq!(last(&events, "session.ended").user, "ana");
    let again = events.iter().filter(|event| seen.contains(event)).count();
    assert_eq!(again, 1, "{events:?}");
    // What nobody knows is said to be lost, and all that is kept follows.
    for unknown in ["1", "not a place", "18446744073709551615"] {
        let all = control.watch(unknown).until("session.ended");
        assert_eq!(all[0].r#type, "events.lost", "{unknown}");
        assert!(seen.iter().all(|event| all.contains(event)), "{unknown}: {all:?}");
    }
}

trait Rest {
    fn until_nothing_is_left(&mut self, awaited: &[Event]) -> Vec<Event>;
}

impl Rest for p2p_tests::control::Watching<'_> {
    /// As many events as are awaited.
    fn until_nothing_is_left(&mut self, awaited: &[Event]) -> Vec<Event> {
        let next = |_| self.hears().expect("an event").expect("an event");
        awaited.iter().map(next).collect()
    }
}

#[test]
fn a_clean_stop_ends_the_stream_and_waits_for_nobody() {
    let mut world = World::start(&["a"]);
    let a = &mut world.peers[0];
    let control = Control::of(a);
    let mut watching = control.watch("");
    assert_eq!(a.process.stop(), Some(0));
    while let Ok(Some(_)) = watching.hears() {}
    a.restart();
    // The session is the same: nobody logged in or out.
    let all = Control::of(a).watch("0").until("session.began");
    assert!(!types(&all).contains(&"session.ended"), "{all:?}");
}

#[test]
fn each_step_of_a_transfer_is_told_once() {
    let mut world = World::start(&["b"]);
    let proxy = Proxy::start();
    let mut holder = world.behind(&proxy, "holder");
    let (source, _) = world.file("scan.tar", 1, 20 * MIB);
    holder.upload(&source);
    proxy.gate(4 * MIB);
    let b = &mut world.peers[0];
    let control = Control::of(b);
    let mut watching = control.watch("");
    let fetching = b.begin(&["fetch", "scan.tar", "--wait"]);
    wait::until("some bytes", wait::SOON, || {
        let transfer = b.transfer("download", "scan.tar")?;
        (transfer["done_bytes"].as_u64()? > MIB).then_some(())
    });
    let id = b.transfer("download", "scan.tar").expect("a transfer")["id"].clone();
    let id = id.as_str().expect("an id");
    b.json(&["pause", id]);
    let mut events = watching.until("transfer.paused");
    b.json(&["resume", id]);
    events.extend(watching.until_all(&["transfer.queued", "transfer.started"]));
    holder.process.kill();
    events.extend(watching.until("transfer.waiting"));
    b.json(&["cancel", id]);
    events.extend(watching.until("transfer.cancelled"));
    let _ = fetching.end();
    events.retain(|event| event.transfer_id == id);
    let expected = [
        "transfer.queued",
        "transfer.started",
        "transfer.paused",
        "transfer.queued",
        "transfer.started",
        "transfer.waiting",
        "transfer.cancelled",
    ];
    assert_eq!(types(&events), expected, "{events:?}");
    assert!(!last(&events, "transfer.waiting").reason.is_empty());
    check::until_online(b, "holder", false);
    // Without `--wait` it fails, with the reason that the command has.
    let said = b.fails(7, &["fetch", "scan.tar"]);
    let failed = watching.until("transfer.failed");
    let failed = last(&failed, "transfer.failed");
    assert!(
        failed
            .reason
            .contains(said["message"].as_str().expect("a message")),
        "{failed:?}"
    );
}

#[test]
fn a_directory_that_goes_and_comes_is_told_once_each() {
    let mut world = World::start(&["a"]);
    let control = Control::of(&world.peers[0]);
    let mut watching = control.watch("");
    world.directory.process.kill();
    let away = watching.until("directory.away");
    let away = last(&away, "directory.away");
    assert!(
        away.message.starts_with("the directory is away: 127.0.0.1 "),
        "{away:?}"
    );
    assert!(!away.reason.is_empty());
    world.peers[0].restart_after_kill();
    let control = Control::of(&world.peers[0]);
    let mut watching = control.watch(&away.id);
    world.directory.restart();
    let events = watching.until("directory.back");
    assert!(!types(&events).contains(&"directory.away"), "{events:?}");
    assert_eq!(last(&events, "directory.back").message, "127.0.0.1 answers again");
}

#[test]
fn damage_and_its_mending_are_told() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("scan.tar", 1, 5 * MIB);
    a.upload(&source);
    b.json(&["fetch", "scan.tar"]);
    let control = Control::of(b);
    let mut watching = control.watch("");
    b.spoil(&hash);
    b.json(&["verify"]);
    let events = watching.until("file.healed");
    let damaged = last(&events, "file.damaged");
    assert!(
        damaged.message.starts_with("ana/scan.tar@1 is damaged: "),
        "{damaged:?}"
    );
    assert_eq!(
        last(&events, "file.healed").message,
        "ana/scan.tar@1 is whole again"
    );
    let found = types(&events)
        .iter()
        .filter(|kind| **kind == "file.damaged")
        .count();
    assert_eq!(found, 1, "{events:?}");
    assert!(
        !types(&events).contains(&"file.stored"),
        "it was held all the time: {events:?}"
    );
}

/// Two unprivileged users.
const NOBODY: u32 = 65_534;
const SOMEBODY: u32 = 65_533;

/// What this user hears of all that happened, up to the first event of this type.
fn hears(peer: &Peer, uid: u32, last: &str) -> Vec<String> {
    let mut command = Command::new(program("hears"));
    command
        .arg(peer.socket())
        .arg(last)
        .uid(uid)
        .gid(uid)
        .current_dir("/");
    let output = command.stdin(Stdio::null()).output().expect("hears");
    assert!(output.status.success(), "{uid}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn runs(peer: &Peer, uid: u32, args: &[&str], stdin: &str) {
    let mut command = peer.command(args);
    command.uid(uid).gid(uid).current_dir("/").stdin(Stdio::piped());
    let mut tool = command.spawn().expect("p2pctl");
    std::io::Write::write_all(&mut tool.stdin.take().expect("a pipe"), stdin.as_bytes()).expect("a pipe");
    let output = tool.wait_with_output().expect("p2pctl");
    assert!(output.status.success(), "{uid} {args:?}: {output:?}");
}

/// Until the ends of so many transfers are told: a command that has ended may be ahead of that.
fn until_done(peer: &Peer, transfers: usize) {
    let control = Control::of(peer);
    let mut watching = control.watch("0");
    for _ in 0..transfers {
        watching.until("transfer.done");
    }
}

/// A world with a peer that everybody may reach, logged in by this user; none where users cannot be played.
fn machine(uid: u32) -> Option<World> {
    if !rustix::process::geteuid().is_root() {
        check::not_tested("several users of one machine need root");
        return None;
    }
    let mut world = World::start(&[]);
    let peer = world.peer("a", "");
    // Who answers has all its sockets.
    peer.json(&["status"]);
    for folder in [world.folder.path(), &peer.folder, &peer.folder.join("run")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder");
    }
    for socket in ["control.sock", "descriptor.sock"] {
        let socket = peer.folder.join("run").join(socket);
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).expect("a socket");
    }
    let (url, fingerprint) = (world.directory.url.clone(), world.directory.fingerprint.clone());
    let login = [
        "login",
        "--directory",
        &url,
        "--user",
        "ana",
        "--password-stdin",
        "--ca-fingerprint",
        &fingerprint,
    ];
    runs(&peer, uid, &login, &world.ana.password);
    world.peers.push(peer);
    Some(world)
}

#[test]
fn of_the_machines_session_all_hear_of_files_and_of_transfers_who_began_them() {
    let Some(mut world) = machine(0) else { return };
    let a = &world.peers[0];
    runs(a, NOBODY, &["upload", "-", "--name", "his.txt"], "his");
    runs(a, SOMEBODY, &["upload", "-", "--name", "hers.txt"], "hers");
    until_done(a, 2);
    world.directory.process.kill();
    let done = |heard: &[String]| {
        heard
            .iter()
            .filter(|line| line.starts_with("transfer.done"))
            .count()
    };
    for (uid, own, others) in [(NOBODY, "his.txt", "hers.txt"), (SOMEBODY, "hers.txt", "his.txt")] {
        let heard = hears(a, uid, "directory.away");
        assert!(
            heard.contains(&format!("file.stored ana/{own}@1 is stored here")),
            "{heard:?}"
        );
        assert!(
            heard.contains(&format!("file.stored ana/{others}@1 is stored here")),
            "{heard:?}"
        );
        assert_eq!(done(&heard), 1, "{heard:?}");
        let of_own = |line: &&String| line.starts_with("transfer.done") && line.contains(own);
        assert!(heard.iter().any(|line| of_own(&line)), "{heard:?}");
    }
    assert_eq!(done(&hears(a, 0, "directory.away")), 2);
}

#[test]
fn of_a_personal_session_others_hear_no_names() {
    let Some(mut world) = machine(NOBODY) else { return };
    let a = &world.peers[0];
    runs(a, NOBODY, &["upload", "-", "--name", "his.txt"], "his");
    until_done(a, 1);
    world.directory.process.kill();
    let heard = hears(a, SOMEBODY, "directory.away");
    let kinds: Vec<&str> = heard.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        kinds,
        ["events.lost", "session.began", "directory.away"],
        "{heard:?}"
    );
    for uid in [NOBODY, 0] {
        let heard = hears(a, uid, "directory.away");
        assert!(
            heard.iter().any(|line| line.starts_with("transfer.done")),
            "{heard:?}"
        );
        assert!(
            heard.contains(&"file.stored ana/his.txt@1 is stored here".to_owned()),
            "{heard:?}"
        );
    }
}

#[test]
fn what_one_account_did_is_not_told_to_the_next() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("secret.tar", 1, 1000);
    a.json(&["upload", text(&source), "--visibility", "private"]);
    a.json(&["rm", "secret.tar", "--unpublish"]);
    let bob = world.directory.add_user("bob");
    a.login(&world.directory, &bob);
    let control = Control::of(a);
    let heard = control.watch("0").until("session.began");
    assert_eq!(types(&heard), ["events.lost", "session.began"], "{heard:?}");
    assert_eq!(heard[1].user, "bob");
    a.json(&["logout"]);
    a.login(&world.directory, &world.ana);
    let heard = control.watch("0").until("file.withdrawn");
    let withdrawn = last(&heard, "file.withdrawn");
    assert_eq!(withdrawn.message, "ana/secret.tar@1 is withdrawn");
}

#[test]
fn what_happens_elsewhere_is_told_once_and_on_after_a_restart() {
    let mut world = World::start(&["a", "b"]);
    let (source, _) = world.file("scan.tar", 1, MIB);
    let [a, b] = &mut world.peers[..] else {
        unreachable!()
    };
    let (control, own) = (Control::of(b), Control::of(a));
    let (mut watching, mut publisher) = (control.watch(""), own.watch(""));
    let id = a.upload(&source)["hash"].clone();
    let events = watching.until("file.published");
    let published = last(&events, "file.published");
    assert_eq!(published.publication.as_ref().expect("a publication").hash, id);
    // Who did it heard it at once, and hears it no second time.
    a.json(&["rm", "scan.tar", "--unpublish"]);
    watching.until("file.withdrawn");
    b.json(&["logout"]);
    let heard = publisher.until("peer.offline");
    for once in ["file.published", "file.withdrawn"] {
        let told = types(&heard).iter().filter(|kind| **kind == once).count();
        assert_eq!(told, 1, "{once}: {heard:?}");
    }
    assert_eq!(
        (
            last(&heard, "peer.offline").peer.as_str(),
            last(&heard, "peer.offline").user.as_str()
        ),
        ("b", "ana")
    );
    // What happened while a daemon was off is told when it is back, after what it told before.
    b.login(&world.directory, &world.ana);
    let back = publisher.until("peer.online");
    assert!(!types(&back).contains(&"peer.offline"), "once: {back:?}");
    let known = heard.last().expect("an event").id.clone();
    a.process.kill();
    b.upload(&source);
    a.restart();
    let own = Control::of(a);
    let events = own.watch(&known).until("file.published");
    let again = events.iter().filter(|event| heard.contains(event)).count();
    assert_eq!(again, 0, "{events:?}");
    let kinds = types(&events);
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "peer.online").count(),
        1,
        "{events:?}"
    );
    assert!(!events.iter().any(|event| event.peer == "a"), "{events:?}");
    assert_eq!(
        last(&events, "file.published").message,
        "ana/scan.tar@2 is published"
    );
}

#[test]
fn what_a_user_may_not_see_is_not_told_to_him() {
    let world = World::start(&["a"]);
    let (bobs, _bob) = world.stranger("bobs", "bob");
    let a = &world.peers[0];
    let (source, _) = world.file("secret.tar", 1, MIB);
    let (open, _) = world.file("open.tar", 2, MIB);
    let control = Control::of(&bobs);
    let mut watching = control.watch("");
    a.json(&["upload", text(&source), "--visibility", "private"]);
    a.upload(&open);
    let heard = watching.until("file.published");
    assert!(!format!("{heard:?}").contains("secret"), "{heard:?}");
    assert_eq!(
        last(&heard, "file.published").message,
        "ana/open.tar@1 is published"
    );
}
