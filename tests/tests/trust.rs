//! Who gets not one byte: strangers at the peer port, accounts that are out, and a directory that says bad names. Each
//! test also shows that the right one is served, so that silence means a refusal.

use std::sync::Arc;

use p2p_daemon::{
    identity::certificate::certificates,
    peer::frames::codec::{Frame, Reason},
};
use p2p_proto::{DATA_ALPN, FailureKind, GRPC_ALPN, PeerIdentity};
use p2p_tests::{
    Peer, World, check, data,
    forge::{self, Identity, Named},
    line::{FIRST, Line, reads},
    meddler::Meddler,
    process::free_port,
    visitor::{Visitor, address_of, id_of},
    wait,
};
use rustls::ClientConfig;

const KIB: u64 = 1 << 10;

/// Everything that a peer says to a client with this TLS that shows a grant and asks on; nothing when it hangs up.
fn hears(visitor: &Visitor, tls: Arc<ClientConfig>, peer: &Peer, grant: &str) -> Vec<u8> {
    let length = u32::try_from(grant.len()).expect("a short grant");
    let mut words = Frame::Open { length }.encode().to_vec();
    words.extend_from_slice(grant.as_bytes());
    words.extend_from_slice(&Frame::Read(FIRST).encode());
    match Line::dial(visitor.runtime(), tls, address_of(peer), id_of(peer)) {
        Some(line) => line.says(&words),
        None => Vec::new(),
    }
}

#[test]
fn without_a_certificate_of_the_cluster_not_one_byte_comes() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 600 * KIB);
    a.upload(&source);
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    let located = visitor.locate("scan.tar");
    let bytes = reads(&visitor, a, &located.publication, &located.grant);
    assert_eq!(bytes, data::bytes(1, 256 << 10));

    let ca = visitor.session().record.ca.clone();
    let (me, signer) = (visitor.identity(), || forge::ca_key(&world.directory));
    let own = || rcgen::KeyPair::generate().unwrap();
    let made = |signer, named, year| forge::certificate(&ca, signer, &named, year);
    let other_cluster = PeerIdentity {
        cluster: uuid::Uuid::new_v4(),
        ..me
    };
    let cases: [(&str, Option<Identity>); 6] = [
        ("no certificate", None),
        ("of another CA", Some(made(own(), Named::ItsOwnKey(me), 4000))),
        ("expired", Some(made(signer(), Named::ItsOwnKey(me), 2025))),
        (
            "of another's name",
            Some(made(signer(), Named::Another(me), 4000)),
        ),
        (
            "of another cluster",
            Some(made(signer(), Named::ItsOwnKey(other_cluster), 4000)),
        ),
        ("the CA itself", Some(ca_itself(&ca, &signer()))),
    ];
    for (what, identity) in cases {
        for protocol in [DATA_ALPN, GRPC_ALPN] {
            let with = identity
                .as_ref()
                .map(|(certificate, key)| (certificate.clone(), key.clone_key()));
            let heard = hears(&visitor, forge::tls(&ca, with, &[protocol]), a, &located.grant);
            assert!(heard.is_empty(), "{what}: {heard:?}");
        }
    }
    // A certificate that is made the same way, with nothing wrong in it, is heard: the cases fail for their own reasons.
    let fine = |protocol| forge::tls(&ca, Some(made(signer(), Named::ItsOwnKey(me), 4000)), &[protocol]);
    let mut line = Line::dial(visitor.runtime(), fine(DATA_ALPN), address_of(a), id_of(a)).unwrap();
    let reason = Reason::Grant;
    assert_eq!(
        line.open(&located.grant),
        Some(Frame::Refused { request: 0, reason })
    );
    assert!(!hears(&visitor, fine(GRPC_ALPN), a, &located.grant).is_empty());
}

fn ca_itself(ca: &str, key: &rcgen::KeyPair) -> Identity {
    let certificate = certificates(ca).expect("a CA").remove(0);
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    (certificate, key.into())
}

#[test]
fn without_a_protocol_not_one_byte_comes() {
    let world = World::start(&[]);
    let port = free_port();
    let a = &world.peer("a", &format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n"));
    a.login(&world.directory, &world.ana);
    let (source, _) = world.file("scan.tar", 1, 600 * KIB);
    a.upload(&source);
    let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
    let located = visitor.locate("scan.tar");
    for protocols in [&[][..], &[&b"http/1.1"[..]], &[&b"p2p-data/2"[..]]] {
        let record = &visitor.session().record;
        let chain = certificates(&record.certificate).unwrap();
        let identity = (chain[0].clone(), visitor.key().private_key());
        let tls = forge::tls(&record.ca, Some(identity), protocols);
        let heard = hears(&visitor, tls, a, &located.grant);
        assert!(heard.is_empty(), "{protocols:?}: {heard:?}");
    }
    reads(&visitor, a, &located.publication, &located.grant);
    let figures = check::figures(port);
    let counted = figures
        .lines()
        .find_map(|line| line.strip_prefix("p2pd_connections_refused_total{reason=\"not_allowed\"} "));
    assert!(counted.is_some_and(|count| count != "0"), "{figures}");
}

#[test]
fn a_connection_ends_with_its_certificate_and_none_begins_after() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 600 * KIB);
    a.upload(&source);
    world
        .directory
        .reconfigure("[session]\ncertificate_ttl = \"6s\"\n");
    // Nothing renews a visitor's certificate.
    let visitor = wait::until("a short certificate", wait::SOON, || {
        let visitor = Visitor::log_in(&world.directory, &world.ana, "visitor", &[]);
        let record = &visitor.session().record;
        let life = record.certificate_expires_at.as_second() - record.certified_at.as_second();
        (life <= 6).then_some(visitor)
    });
    let located = visitor.locate("scan.tar");
    let mut open = Line::to(&visitor, a);
    let size = located.publication.size;
    assert_eq!(open.open(&located.grant), Some(Frame::Opened { size }));
    assert!(open.read(FIRST).is_some());
    assert!(open.until_closed().is_empty());

    let tls = || Arc::clone(&visitor.session().tls.data);
    let refused = || hears(&visitor, tls(), a, &located.grant).is_empty();
    wait::until("the certificate to be refused", wait::SOON, || {
        refused().then_some(())
    });
    assert!(a.process.log().contains("its certificate ended"));
}

#[test]
fn a_disabled_account_is_out_at_once() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    a.upload(&world.file("scan.tar", 1, 600 * KIB).0);
    let (peer, eve) = world.stranger("c", "eve");
    let visitor = Visitor::log_in(&world.directory, &eve, "visitor", &[]);
    let located = visitor.locate("scan.tar");
    let mut open = Line::to(&visitor, a);
    assert!(matches!(open.open(&located.grant), Some(Frame::Opened { .. })));
    peer.json(&["whoami"]);

    world
        .directory
        .command(&["admin", "user", "disable", "eve"], None);
    assert_eq!(visitor.get("/download", &[("ref", "scan.tar")]).0, 401);
    assert_eq!(visitor.get("/me", &[]).0, 401);
    wait::until("eve's session to end", wait::SOON, || {
        let answer = peer.ctl(&["whoami"]);
        (answer.code != 0).then(|| assert_eq!(answer.code, 4, "{answer:?}"))
    });
    peer.fails(4, &["download", "scan.tar"]);
    let refused = peer.try_login(&world.directory.url, &world.directory.fingerprint, &eve);
    assert_eq!(refused.code, 4, "{refused:?}");
    // The grant and the certificate have not ended; the deny-list has come.
    assert!(open.until_closed().is_empty());
    let tls = Arc::clone(&visitor.session().tls.data);
    assert!(hears(&visitor, tls, a, &located.grant).is_empty());
    let again = visitor.wait(visitor.session().client.locate("scan.tar"));
    assert_eq!(again.unwrap_err().kind, FailureKind::NotLoggedIn);
    a.json(&["whoami"]);
}

#[test]
fn a_name_that_leads_elsewhere_is_written_nowhere() {
    const SAID: &str = "harmless-name.tar";
    let world = World::start(&["a"]);
    world.peers[0].upload(&world.file(SAID, 1, 600 * KIB).0);
    for (told, reader) in [
        (SAID, "b"),
        ("../../outside.tar", "c"),
        ("/tmp/p2ptests.tar", "d"),
        ("inside/other.tar.", "e"),
    ] {
        let meddler = Meddler::start(&world.directory, SAID, told);
        let peer = world.peer(reader, "");
        let fingerprint = &world.directory.fingerprint;
        assert_eq!(peer.try_login(&meddler.url(), fingerprint, &world.ana).code, 0);
        let answer = peer.ctl(&["download", "ana/harmless-name.tar", "--json"]);
        if told == SAID {
            // Between an honest pair of hands it works.
            assert_eq!(answer.code, 0, "{answer:?}");
            continue;
        }
        assert_eq!(answer.code, 8, "{told}: {answer:?}");
        let by_hash = blake3::hash(&data::bytes(1, 600 << 10)).to_string();
        for args in [
            &["download", &by_hash][..],
            &["fetch", &by_hash],
            &["search"],
            &["info", &by_hash],
        ] {
            peer.fails(8, args);
        }
        assert!(peer.stored().is_empty());
        for place in [peer.folder.join(told), peer.folder.join("inside")] {
            assert!(!place.exists(), "{}", place.display());
        }
        let left: Vec<_> = std::fs::read_dir(&peer.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 4, "configuration, log, state and sockets: {left:?}");
    }
}

#[test]
fn who_was_denied_is_out_also_after_a_restart_without_the_directory() {
    let mut world = World::start(&["a"]);
    let (source, _) = world.file("scan.tar", 1, 600 * KIB);
    world.peers[0].upload(&source);
    let eve = world.directory.add_user("eve");
    let visitor = |account, name| Visitor::log_in(&world.directory, account, name, &[]);
    let (eves, anas) = (visitor(&eve, "eves"), visitor(&world.ana, "anas"));
    let granted = |visitor: &Visitor| visitor.locate("scan.tar").grant;
    let (of_eve, of_ana) = (granted(&eves), granted(&anas));
    let (address, id) = (address_of(&world.peers[0]), id_of(&world.peers[0]));
    let served = |visitor: &Visitor, grant: &str| {
        let tls = Arc::clone(&visitor.session().tls.data);
        let line = Line::dial(visitor.runtime(), tls, address, id);
        line.is_some_and(|mut line| matches!(line.open(grant), Some(Frame::Opened { .. })))
    };
    assert!(served(&eves, &of_eve));

    let disable = ["admin", "user", "disable", "eve"];
    world.directory.command(&disable, None);
    wait::until("the deny-list to come", wait::SOON, || {
        (!served(&eves, &of_eve)).then_some(())
    });
    world.directory.process.kill();
    world.peers[0].restart_after_kill();
    // Certificates and grants last, and the directory cannot say otherwise.
    assert!(served(&anas, &of_ana));
    assert!(!served(&eves, &of_eve));
}
