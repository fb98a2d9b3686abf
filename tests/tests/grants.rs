//! What a grant opens: one content, for one peer, under one publication, for a time; and that knowing a hash opens
//! nothing. Each refusal is checked on frames and on gRPC.

use p2p_daemon::peer::frames::codec::{Frame, Reason};
use p2p_proto::{
    ContentHash, Visibility,
    grant::{Action, Grant, LEEWAY_SECONDS},
    rest::publications::{Publication, PublishRequest},
    v1::{HaveRequest, LayerRequest},
};
use p2p_tests::{
    Peer, World,
    check::entry,
    data, forge,
    line::{FIRST, Line, reads},
    visitor::Visitor,
    wait,
};
use serde_json::json;
use tonic::Code;

const KIB: u64 = 1 << 10;

/// The grant opens nothing, on frames and on gRPC.
fn is_refused(visitor: &Visitor, peer: &Peer, grant: &str, reason: Reason, what: &str) {
    let mut line = Line::to(visitor, peer);
    let refused = |request| Frame::Refused { request, reason };
    assert_eq!(line.open(grant), Some(refused(0)), "{what}");
    let reason = Reason::Grant;
    let answer = Frame::Refused { request: 1, reason };
    assert_eq!(line.read(FIRST), Some((answer, Vec::new())), "{what}");
    let code = match refused(0) {
        Frame::Refused {
            reason: Reason::Grant,
            ..
        } => Code::PermissionDenied,
        _ => Code::NotFound,
    };
    let mut words = visitor.words(peer);
    let have = HaveRequest {
        grant: grant.to_owned(),
    };
    assert_eq!(
        visitor.wait(words.have(have)).expect_err("a refusal").code(),
        code,
        "{what}"
    );
    let layer = LayerRequest {
        grant: grant.to_owned(),
    };
    assert_eq!(
        visitor.wait(words.layer(layer)).expect_err("a refusal").code(),
        code,
        "{what}"
    );
}

#[test]
fn only_the_right_grant_opens_a_content() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    for (name, seed) in [("one.tar", 1), ("two.tar", 2)] {
        a.upload(&world.file(name, seed, 600 * KIB).0);
    }
    let eve = world.directory.add_user("eve");
    let visitor = Visitor::log_in(&world.directory, &eve, "visitor", &[]);
    let other = Visitor::log_in(&world.directory, &eve, "other", &[]);
    let (one, two) = (visitor.locate("one.tar"), visitor.locate("two.tar"));
    let bytes = reads(&visitor, a, &one.publication, &one.grant);
    assert_eq!(bytes, data::bytes(1, 256 << 10));
    // A grant for one content reads that one and no other.
    assert_eq!(
        reads(&visitor, a, &two.publication, &two.grant),
        data::bytes(2, 256 << 10)
    );

    let good = forge::grant(visitor.identity(), &one.publication);
    let directory = forge::grant_key(&world.directory);
    reads(&visitor, a, &one.publication, &directory.sign(&good));
    let change = |change: fn(&mut Grant)| {
        let mut grant = good.clone();
        change(&mut grant);
        directory.sign(&grant)
    };
    let crossed = Grant {
        hash: two.publication.hash,
        ..good.clone()
    };
    let unknown = ContentHash::of(b"nobody has this");
    // The true key's name over another key's signature.
    let own = forge::own_key().sign(&good);
    let parts: Vec<&str> = own.split('.').collect();
    let header = one.grant.split('.').next().unwrap();
    let renamed = [header, parts[1], parts[2]].join(".");
    let over = |grant: &mut Grant| {
        grant.iat -= 2000;
        grant.exp = grant.iat + 900;
    };
    for (what, grant, reason) in [
        ("none", String::new(), Reason::Grant),
        ("another peer's", other.locate("one.tar").grant, Reason::Grant),
        ("expired", change(over), Reason::Grant),
        ("not begun", change(|grant| grant.iat += 900), Reason::Grant),
        (
            "to replicate",
            change(|grant| grant.action = Action::Replicate),
            Reason::Grant,
        ),
        (
            "of another cluster",
            change(|grant| grant.cluster = uuid::Uuid::new_v4()),
            Reason::Grant,
        ),
        ("signed by another key", own.clone(), Reason::Grant),
        ("signed by another key in its name", renamed, Reason::Grant),
        ("for another content", directory.sign(&crossed), Reason::NotHeld),
        (
            "for another publication",
            change(|grant| grant.publication = uuid::Uuid::new_v4()),
            Reason::NotHeld,
        ),
        (
            "for nothing",
            directory.sign(&Grant {
                hash: unknown,
                ..good.clone()
            }),
            Reason::NotHeld,
        ),
    ] {
        is_refused(&visitor, a, &grant, reason, what);
    }
}

#[test]
fn a_grant_that_ends_ends_the_reading() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    a.upload(&world.file("scan.tar", 1, 600 * KIB).0);
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    let publication = visitor.locate("scan.tar").publication;
    let mut grant = forge::grant(visitor.identity(), &publication);
    // Past its end, and for some seconds more within what two clocks may differ.
    grant.iat -= 900;
    grant.exp = grant.iat + 900 - LEEWAY_SECONDS + 6;
    let mut line = Line::to(&visitor, a);
    let opened = line.open(&forge::grant_key(&world.directory).sign(&grant));
    assert_eq!(
        opened,
        Some(Frame::Opened {
            size: publication.size
        })
    );
    assert_eq!(line.read(FIRST).unwrap().0, Frame::Piece(FIRST));
    let reason = Reason::Grant;
    wait::until("the grant to end", wait::SOON, || {
        let (frame, _) = line.read(FIRST).expect("an answer");
        (frame == Frame::Refused { request: 1, reason }).then_some(())
    });
}

#[test]
fn what_is_private_is_nowhere_and_its_hash_opens_nothing() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let (source, hash) = world.file("secret.tar", 1, 600 * KIB);
    let path = source.to_str().unwrap();
    let published = a.json(&["upload", path, "--visibility", "private"])["files"][0].clone();
    assert_eq!(published["visibility"], "private");
    let (curious, eve) = world.stranger("c", "eve");
    let visitor = Visitor::log_in(&world.directory, &eve, "visitor", &[]);

    for reference in [hash.as_str(), "secret.tar", "ana/secret.tar", &hash[..12]] {
        let (status, problem) = visitor.get("/download", &[("ref", reference)]);
        assert_eq!(
            (status, &problem["type"]),
            (404, &json!("urn:p2p:problem:not-found"))
        );
        assert_eq!(visitor.get("/files", &[("ref", reference)]).0, 404);
        assert_eq!(curious.fails(6, &["download", reference])["kind"], "not_found");
    }
    assert_eq!(visitor.get(&format!("/files/{hash}"), &[]).0, 404);
    assert_eq!(visitor.get("/search", &[("q", "secret")]).1["total"], 0);
    let peers = visitor.get("/peers", &[]).1;
    let seen = entry(&peers["peers"], "name", "a").unwrap();
    assert_eq!(seen["files"], 0, "{seen}");
    let peers = b.json(&["peers"]);
    assert_eq!(entry(&peers["peers"], "name", "a").unwrap()["files"], 1);

    // Publishing the hash himself gives a grant, and the grant opens nothing at who holds it for ana.
    let mine = publish(&visitor, &hash, 600 * KIB);
    let located = visitor.locate(&format!("id:{}", mine.id));
    assert_eq!((located.holders.len(), located.holders_total), (0, 0));
    is_refused(&visitor, a, &located.grant, Reason::NotHeld, "eve's own");
    assert_eq!(
        curious.fails(7, &["download", "mine.tar"])["kind"],
        "no_holder_online"
    );
    assert!(curious.stored().is_empty());
    // Ana's other peer gets it.
    b.json(&["fetch", "secret.tar"]);
    assert_eq!(b.json(&["list"])["files"][0]["hash"], hash);
}

fn publish(visitor: &Visitor, hash: &str, size: u64) -> Publication {
    let request = PublishRequest {
        id: uuid::Uuid::now_v7(),
        name: "mine.tar".parse().expect("a name"),
        hash: hash.parse().expect("a hash"),
        size,
        visibility: Visibility::Public,
    };
    visitor
        .wait(visitor.session().client.publish(&request))
        .expect("a publication")
}
