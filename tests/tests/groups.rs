//! A group through the real programs: its members find, download and hold what is published to it, others meet nothing.

use p2p_tests::{World, check::entry, wait};
use serde_json::json;

const SIZE: u64 = 300_000;

fn admin(world: &World, args: &[&str]) {
    let args: Vec<&str> = ["admin", "group"]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    world.directory.command(&args, None);
}

#[test]
fn members_find_download_and_hold_and_others_meet_nothing() {
    let world = World::start(&["a"]);
    let (bobs, _) = world.stranger("b", "bob");
    let (eves, _) = world.stranger("e", "eve");
    let a = &world.peers[0];
    admin(&world, &["add", "lab", "ana", "bob"]);
    let (source, hash) = world.file("plan.tar", 1, SIZE);
    let path = source.to_str().unwrap();
    let said = a.ctl(&["upload", path, "--visibility", "group:lab"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.text().contains("group:lab: only its members can find it"),
        "{said:?}"
    );

    assert_eq!(bobs.json(&["search", "plan"])["files"][0]["owner"], "ana");
    assert_eq!(bobs.json(&["fetch", "plan.tar"])["hash"], json!(hash));
    assert_eq!(bobs.json(&["list"])["files"][0]["visibility"], "group:lab");
    assert_eq!(eves.json(&["search", "plan"])["total"], 0);
    for args in [
        &["info", "plan.tar"][..],
        &["download", "ana/plan.tar"],
        &["fetch", &hash],
    ] {
        assert_eq!(eves.fails(6, args)["kind"], "not_found");
    }
    let refused = eves.fails(
        6,
        &["upload", path, "--name", "mine", "--visibility", "group:lab"],
    );
    assert_eq!(refused["kind"], "not_found");

    // Out of the group, out of sight: nor is his peer sent to any more.
    let holders = || a.json(&["info", "plan.tar"])["holders"].clone();
    wait::until("bob's peer to be a holder", wait::SOON, || {
        entry(&holders(), "peer", "b").map(|_| ())
    });
    admin(&world, &["remove", "lab", "bob"]);
    assert_eq!(bobs.json(&["search", "plan"])["total"], 0);
    let _ = bobs.fails(6, &["info", "plan.tar"]);
    assert!(entry(&holders(), "peer", "b").is_none());

    let listed = world.directory.json(&["admin", "group", "list"]);
    assert_eq!(listed["schema"], "p2p-directory.admin.group.list/1");
    assert_eq!(listed["groups"][0]["members"], json!(["ana"]));
    let removed = world.directory.json(&["admin", "group", "remove", "lab"]);
    assert_eq!(removed["made_private"], 1);
    assert_eq!(a.json(&["info", "plan.tar"])["visibility"], "private");
}
