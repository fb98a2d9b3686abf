//! The directory killed in the middle of a download, and hours and days of clock without it. The peers run with a wall
//! clock of their own that jumps; what only counts time is left alone.

use p2p_tests::{
    Peer, World,
    check::{entry, sources, until_online},
    machine::Clock,
    proxy::Proxy,
    wait,
};

const MIB: u64 = 1 << 20;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn on_clock(world: &World, clock: &Clock, name: &str, config: &str) -> Peer {
    Peer::start_in(&world.path(name), name, config, &clock.environment())
}

/// For how many hours this peer can do without the directory, as `status` says; none while that answers.
fn hours_left(peer: &Peer) -> Option<u64> {
    let status = peer.json(&["status"]);
    let line = entry(&status["health"], "code", "directory_away")?.clone();
    let message = line["message"].as_str()?.to_owned();
    let hours = message.split("this peer's certificate lasts ").nth(1)?;
    hours.strip_suffix(" h more")?.parse().ok()
}

fn until_hours_left(peer: &Peer, about: u64) {
    wait::until("the countdown", wait::SOON, || {
        let left = hours_left(peer)?;
        // Of an hour that has begun nothing is told.
        (left + 1 >= about && left <= about).then_some(())
    });
}

#[test]
fn hours_without_the_directory_are_survived_and_days_are_counted_down_to_the_end() {
    let mut world = World::start(&[]);
    let Some(clock) = Clock::new(&world.path("clock")) else {
        return;
    };
    let proxy = Proxy::start();
    let a = on_clock(&world, &clock, "a", &proxy.advertised());
    proxy.leads_to(a.port);
    let b = on_clock(&world, &clock, "b", "");
    for peer in [&a, &b] {
        peer.login(&world.directory, &world.ana);
    }
    let (scan, hash) = world.file("scan.tar", 1, 24 * MIB);
    a.upload(&scan);
    let known = ["one.tar", "two.tar", "three.tar", "four.tar"];
    for (seed, name) in (2..).zip(known) {
        a.upload(&world.file(name, seed, 3 * MIB).0);
        // Where it is becomes known, and it does not stay.
        let piped = b.ctl(&["download", name, "-o", "-", "--no-keep"]);
        assert_eq!(piped.code, 0, "{}", piped.err);
    }
    proxy.gate(14 * MIB);
    let running = b.begin(&["download", "scan.tar"]);
    wait::until("the middle", wait::SOON, || {
        let transfer = b.transfer("download", "scan.tar")?;
        (transfer["done_bytes"].as_u64()? >= 12 * MIB).then_some(())
    });
    world.directory.process.kill();
    for peer in [&a, &b] {
        // Seven days, less the time that the test has taken.
        until_hours_left(peer, 7 * 24);
    }

    // Past the hour for which a grant is given: the offline end counts.
    clock.goes_ahead_by(HOUR);
    proxy.gate(u64::MAX);
    let answer = running.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["hash"], hash);
    let done = b.json(&["download", "one.tar"]);
    assert_eq!(sources(&done), [("a".to_owned(), 3 * MIB)]);
    for peer in [&a, &b] {
        until_hours_left(peer, 7 * 24 - 1);
    }

    clock.goes_ahead_by(7 * DAY - 2 * HOUR);
    until_hours_left(&b, 2);
    assert_eq!(
        sources(&b.json(&["download", "two.tar"])),
        [("a".to_owned(), 3 * MIB)]
    );

    // Past the end of the certificate nobody is served.
    clock.goes_ahead_by(7 * DAY + HOUR);
    until_hours_left(&b, 0);
    let refused = b.fails(8, &["download", "three.tar"]);
    assert_eq!(refused["kind"], "unreachable");
    let said = b.says(8, &["download", "three.tar"]);
    assert!(
        said.starts_with("p2pctl: 127.0.0.1 cannot be reached: ")
            && said
                .trim_end()
                .ends_with(", and what it last said of three.tar is too old"),
        "{said}"
    );
    // Of what was never known there is nothing to say.
    let never = b.says(8, &["download", "never.tar"]);
    assert!(!never.contains("too old"), "{never}");
    assert!(!b.folder.join("three.tar").exists());
    // The session lasts, so it is not a matter of logging in.
    assert_eq!(b.json(&["whoami"])["user"], "ana");

    clock.goes_ahead_by(0);
    world.directory.restart();
    for (asked, online) in [(&a, "b"), (&b, "a")] {
        until_online(asked, online, true);
        wait::until("the line to go", wait::SOON, || {
            hours_left(asked).is_none().then_some(())
        });
    }
    assert_eq!(
        sources(&b.json(&["download", "three.tar"])),
        [("a".to_owned(), 3 * MIB)]
    );
    // What was fetched in between is known at the directory now.
    wait::until("the index to heal", wait::SOON, || {
        let info = a.json(&["info", "two.tar"]);
        let b = entry(&info["holders"], "peer", "b")?.clone();
        (b["online"] == true && b["complete"] == true).then_some(())
    });
    a.upload(&world.file("new.tar", 9, MIB).0);
    assert_eq!(b.json(&["fetch", "new.tar"])["name"], "new.tar");
}
