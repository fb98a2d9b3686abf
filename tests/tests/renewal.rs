//! Certificates are short and renewed while the session lives: peers go on serving each other after the end of the
//! certificates that they logged in with.

use std::time::Duration;

use p2p_tests::{Peer, World, data, wait};

fn certificate_ends(peer: &Peer) -> jiff::Timestamp {
    let status = peer.json(&["status"]);
    let text = status["session"]["certificate_expires_at"]
        .as_str()
        .expect("a time");
    text.parse().expect("RFC 3339")
}

#[test]
fn peers_serve_each_other_after_their_first_certificates_ended() {
    let world = World::with_directory(&["a", "b"], "[session]\ncertificate_ttl = \"6s\"\n");
    let (a, b) = (&world.peers[0], &world.peers[1]);
    let first = [certificate_ends(a), certificate_ends(b)];
    let file = world.path("scan.tar");
    let hash = data::file(&file, 41, 3 << 20);
    a.upload(&file);
    for (peer, first) in [a, b].into_iter().zip(first) {
        wait::until(
            "the first certificate to end, renewed",
            Duration::from_secs(30),
            || {
                (jiff::Timestamp::now() > first && certificate_ends(peer) > jiff::Timestamp::now())
                    .then_some(())
            },
        );
        assert!(peer.process.log().contains("certificate renewed"));
    }
    let got = b.json(&["download", "scan.tar"]);
    assert_eq!(got["hash"], hash.as_str());
    assert_eq!(got["sources"][0]["peer"], "a");
}

#[test]
fn a_session_renews_a_certificate_that_ended_while_the_daemon_was_down() {
    let mut world = World::with_directory(&["a", "b"], "[session]\ncertificate_ttl = \"6s\"\n");
    let file = world.path("scan.tar");
    data::file(&file, 42, 3 << 20);
    world.peers[0].upload(&file);
    let ends = certificate_ends(&world.peers[1]);
    let mut b = world.peers.remove(1);
    b.process.stop();
    wait::until("the certificate to end", Duration::from_secs(30), || {
        (jiff::Timestamp::now() > ends).then_some(())
    });
    b.restart();
    wait::until("a fresh certificate", wait::SOON, || {
        (certificate_ends(&b) > jiff::Timestamp::now()).then_some(())
    });
    b.json(&["download", "scan.tar"]);
}
