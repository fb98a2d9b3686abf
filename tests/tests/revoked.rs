//! A lost machine: an admin revokes its peer, every other one refuses it within one ping, what it fetches is cut, and the
//! machine itself says why.

use std::sync::Arc;

use p2p_daemon::peer::frames::codec::Frame;
use p2p_tests::{
    Peer, World,
    check::entry,
    line::{FIRST, Line},
    proxy::Proxy,
    visitor::{Visitor, address_of, id_of},
    wait,
};

const MIB: u64 = 1 << 20;

fn said_by(peer: &Peer) -> Option<String> {
    let status = peer.json(&["status"]);
    let line = entry(&status["health"], "code", "session_ended")?;
    Some(line["message"].as_str()?.to_owned())
}

#[test]
fn a_revoked_peer_is_cut_refused_and_says_why() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let lost = world.peer("lost", "");
    lost.login(&world.directory, &world.ana);
    let other = world.peer("other", "");
    other.login(&world.directory, &world.ana);
    let (source, _) = world.file("scan.tar", 1, MIB);
    a.upload(&source);
    lost.json(&["whoami"]);

    let done = world.directory.json(&["admin", "peer", "revoke", "lost"]);
    assert_eq!(done["schema"], "p2p-directory.admin.peer.revoke/1");
    let reason = wait::until("its own status to say why", wait::SOON, || said_by(&lost));
    assert_eq!(reason, "not logged in: an administrator revoked this peer");
    let error = lost.fails(4, &["download", "scan.tar"]);
    assert!(error["message"].as_str().unwrap().contains("revoked this peer"));
    // The right password does not help this key.
    let again = lost.try_login(&world.directory.url, &world.directory.fingerprint, &world.ana);
    assert_eq!(again.code, 5, "{again:?}");
    assert!(again.err.contains("admin peer allow"), "{again:?}");
    let listed = world.directory.json(&["admin", "peer", "list"]);
    let entry = entry(&listed["peers"], "name", "lost").unwrap();
    assert!(entry["revoked_at"].is_string() && entry["online"] == false);
    other.json(&["download", "scan.tar", "--no-keep"]);

    world.directory.command(&["admin", "peer", "allow", "lost"], None);
    lost.login(&world.directory, &world.ana);
    // The others hear of it within a ping.
    wait::until("the others to let it in", wait::SOON, || {
        (lost.ctl(&["download", "scan.tar", "--no-keep"]).code == 0).then_some(())
    });
    assert!(said_by(&lost).is_none());
}

#[test]
fn a_running_peer_refuses_it_within_one_ping_though_its_certificate_and_grant_last() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    a.upload(&world.file("scan.tar", 1, MIB).0);
    let visitor = Visitor::log_in(&world.directory, &world.ana, "lost", &[]);
    let bystander = Visitor::log_in(&world.directory, &world.ana, "bystander", &[]);
    let located = visitor.locate("scan.tar");
    let mut open = Line::to(&visitor, a);
    assert!(matches!(open.open(&located.grant), Some(Frame::Opened { .. })));
    assert!(open.read(FIRST).is_some());

    world
        .directory
        .command(&["admin", "peer", "revoke", "lost"], None);
    assert!(open.until_closed().is_empty(), "what ran is cut");
    let served = |visitor: &Visitor, grant: &str| {
        let tls = Arc::clone(&visitor.session().tls.data);
        let line = Line::dial(visitor.runtime(), tls, address_of(a), id_of(a));
        line.is_some_and(|mut line| matches!(line.open(grant), Some(Frame::Opened { .. })))
    };
    assert!(!served(&visitor, &located.grant));
    assert!(served(&bystander, &bystander.locate("scan.tar").grant));
    assert_eq!(visitor.get("/me", &[]).0, 401);
}

#[test]
fn what_a_revoked_peer_fetches_is_cut_in_the_middle() {
    let world = World::start(&[]);
    let proxy = Proxy::start();
    let holder = world.behind(&proxy, "holder");
    let lost = world.peer("lost", "");
    lost.login(&world.directory, &world.ana);
    let (source, _) = world.file("large.bin", 1, 64 * MIB);
    holder.upload(&source);
    // The rest waits at the gate until the revocation has come.
    proxy.gate(8 * MIB);
    let fetching = lost.begin(&["fetch", "large.bin"]);
    wait::until("a part to come", wait::SOON, || {
        (proxy.passed() >= 8 * MIB).then_some(())
    });
    world
        .directory
        .command(&["admin", "peer", "revoke", "lost"], None);
    wait::until("the session to end", wait::SOON, || said_by(&lost));
    proxy.gate(u64::MAX);
    lost.until_download("large.bin", "waiting", wait::SOON);
    assert!(proxy.passed() < 64 * MIB, "{}", proxy.passed());
    // It waits for a session: the command is stopped by hand.
    drop(fetching);
}
