//! What an administrator does, what others change and what one does oneself is told in the events of those whom it
//! concerns, once, and in nobody else's.

use p2p_proto::v1::Event;
use p2p_tests::{World, control::Control};

/// The only event of this type: what it says.
fn only<'a>(events: &'a [Event], kind: &str) -> &'a str {
    let told: Vec<&Event> = events.iter().filter(|event| event.r#type == kind).collect();
    assert_eq!(told.len(), 1, "{kind} in {events:?}");
    &told[0].message
}

#[test]
fn groups_peers_and_visibilities_are_told_to_whom_they_concern() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (bobs, account) = world.stranger("b", "bob");
    let lost = world.peer("lost", "");
    lost.login(&world.directory, &world.ana);
    let (ana, bob) = (Control::of(a), Control::of(&bobs));
    let (mut anas, mut his) = (ana.watch(""), bob.watch(""));

    world
        .directory
        .command(&["admin", "group", "add", "lab", "bob"], None);
    let mut heard = his.until("group.joined");
    world
        .directory
        .command(&["admin", "group", "remove", "lab", "bob"], None);
    heard.extend(his.until("group.left"));
    let (source, _) = world.file("plan.tar", 1, 1000);
    let path = source.to_str().expect("a path in UTF-8");
    a.json(&["upload", path, "--visibility", "private"]);
    a.json(&["upload", path, "--visibility", "public"]);
    heard.extend(his.until("file.changed"));
    world
        .directory
        .command(&["admin", "peer", "revoke", "lost"], None);
    heard.extend(his.until("peer.revoked"));
    world.directory.command(&["admin", "peer", "allow", "lost"], None);
    heard.extend(his.until("peer.allowed"));
    for (kind, said) in [
        ("group.joined", "bob is in group lab"),
        ("group.left", "bob is no longer in group lab"),
        ("file.changed", "ana/plan.tar@1 is public now"),
        ("peer.revoked", "lost of ana is revoked"),
        ("peer.allowed", "lost of ana may log in again"),
    ] {
        assert_eq!(only(&heard, kind), said);
    }

    // What he does himself is told once, too.
    bobs.json(&["logout"]);
    bobs.login(&world.directory, &account);
    let heard = his.until("session.began");
    assert_eq!(only(&heard, "session.ended"), "bob is logged out");
    assert_eq!(only(&heard, "session.began"), "logged in to 127.0.0.1 as bob");

    let heard = anas.until("peer.allowed");
    assert_eq!(only(&heard, "file.changed"), "ana/plan.tar@1 is public now");
    assert!(
        !heard.iter().any(|event| event.r#type.starts_with("group.")),
        "{heard:?}"
    );
}
