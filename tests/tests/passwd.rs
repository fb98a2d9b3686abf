//! A password that is changed from a peer: the old one opens nothing any more, and the session goes on.

use p2p_proto::FailureKind;
use p2p_tests::{Account, World, calls::Calls, wait};

const NEW: &str = "a quite different password 7";

#[test]
fn the_new_password_counts_and_the_session_stays() {
    let world = World::start(&["a", "b"]);
    let [a, b] = &world.peers[..] else { unreachable!() };
    let old = world.ana.password.clone();
    let mut calls = Calls::of(a);
    let wrong = calls.passwd("not hers", NEW).expect_err("the wrong password");
    assert_eq!(wrong.kind, FailureKind::CredentialsRefused, "{wrong}");
    assert_eq!(
        calls.passwd(&old, "").expect_err("nothing").kind,
        FailureKind::Usage
    );
    // Who guessed wrong waits a moment.
    let changed = wait::until("the change", wait::SOON, || calls.passwd(&old, NEW).ok());
    assert_eq!(changed.user, "ana");
    for peer in [a, b] {
        assert_eq!(peer.json(&["whoami"])["user"], "ana");
        assert_eq!(peer.ctl(&["search"]).code, 0, "its session stays");
    }
    let (url, fingerprint) = (&world.directory.url, &world.directory.fingerprint);
    assert_eq!(b.try_login(url, fingerprint, &world.ana).code, 4);
    let changed = Account {
        password: NEW.to_owned(),
        ..world.ana.clone()
    };
    wait::until("the login", wait::SOON, || {
        (b.try_login(url, fingerprint, &changed).code == 0).then_some(())
    });
    for program in [&a.process, &b.process, &world.directory.process] {
        assert!(!program.log().contains(NEW) && !program.log().contains(&old));
    }
    // And it says so.
    let typed = format!("{NEW}\n{old}\n");
    let answer = a.ctl_with(&["passwd", "--password-stdin"], typed.as_bytes());
    let said = "Changed the password of ana. Peers that are logged in stay so.\n";
    assert_eq!((answer.code, answer.text().as_str()), (0, said), "{answer:?}");
    assert_eq!(b.ctl(&["search"]).code, 0);
    assert_eq!(calls_without_session(&world), FailureKind::NotLoggedIn);
}

fn calls_without_session(world: &World) -> FailureKind {
    let peer = world.peer("c", "");
    let refused = Calls::of(&peer).passwd("old", NEW);
    refused.expect_err("nobody is logged in").kind
}
