//! `POST /login`.

use std::time::Duration;

use axum::http::Method as AdminMethod;
use p2p_directory::admin::types::{USERS, User};
use p2p_proto::{
    PeerId, PeerIdentity,
    rest::{
        problem::ProblemKind,
        session::{LoginRequest, LoginResponse},
    },
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PublicKeyData};
use x509_parser::extensions::GeneralName;

use crate::{
    log::Log,
    support::{Directory, good, login_request, problem, problem_kind},
};

#[tokio::test]
async fn a_good_login_says_everything() {
    let directory = Directory::with_users(&["ana"]).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let key = KeyPair::generate().unwrap();
    let request = LoginRequest {
        addresses: vec![closed, open],
        ..login_request(&key, "ana", "ws1")
    };
    let login: LoginResponse = good(directory.post_login(&request).await).await;
    assert_eq!(login.answered, [open]);
    assert_eq!(login.peer_id, PeerId::of_spki(&key.subject_public_key_info()));
    assert_eq!((login.user.as_str(), login.peer_name.as_str()), ("ana", "ws1"));
    assert_eq!(
        (login.ping_interval_ms, login.lease_ms, login.api_level),
        (10_000, 30_000, 1)
    );
    assert_eq!(login.cluster, directory.state.cluster);
    assert_eq!(login.credentials.ca, directory.state.authority.bundle());
    assert_eq!(login.credentials.grant_keys, directory.state.grants.keys());
}

#[tokio::test]
async fn a_password_in_the_wrong_field_is_not_logged() {
    let log = Log::listen();
    let directory = Directory::with_users(&["ana"]).await;
    let key = KeyPair::generate().unwrap();
    for user in ["Secret words of hers", "ana"] {
        let request = LoginRequest {
            password: "wrong words".to_owned().into(),
            ..login_request(&key, user, "ws1")
        };
        let kind = problem_kind(directory.post_login(&request).await).await;
        assert_eq!(kind, ProblemKind::BadCredentials);
    }
    assert_eq!(log.count("a login was refused"), 2, "{}", log.text());
    assert_eq!(log.count("(no account name)") + log.count("ACCOUNT=ana from="), 2);
    assert_eq!(log.count("Secret words") + log.count("wrong words"), 0);
}

#[tokio::test]
async fn wrong_unknown_and_disabled_get_the_same_answer() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let _: User = directory
        .admin
        .call(AdminMethod::POST, &format!("{USERS}/bob/disable"))
        .await
        .unwrap();
    let key = KeyPair::generate().unwrap();
    let wrong = LoginRequest {
        password: "wrong".to_owned().into(),
        ..login_request(&key, "ana", "ws1")
    };
    let expected = problem(directory.post_login(&wrong).await).await;
    assert_eq!(expected.kind(), Some(ProblemKind::BadCredentials));
    assert_eq!(expected.retry_after_s, Some(1));
    for user in ["nobody", "bob", "Not A Name"] {
        let found = problem(directory.post_login(&login_request(&key, user, "ws1")).await).await;
        assert_eq!(found, expected, "{user}");
    }
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let directory = Directory::with_users(&["ana"]).await;
    let key = KeyPair::generate().unwrap();
    let right = login_request(&key, "ana", "ws1");
    let wrong = LoginRequest {
        password: "wrong".to_owned().into(),
        ..right.clone()
    };
    assert_eq!(
        problem_kind(directory.post_login(&wrong).await).await,
        ProblemKind::BadCredentials
    );
    let early = directory.post_login(&right).await;
    assert_eq!(early.headers()["retry-after"], "1");
    assert_eq!(problem_kind(early).await, ProblemKind::TooMany);
    directory.clock.advance(Duration::from_secs(1));
    assert_eq!(
        problem(directory.post_login(&wrong).await).await.retry_after_s,
        Some(2)
    );
    directory.clock.advance(Duration::from_secs(2));
    assert!(directory.post_login(&right).await.status().is_success());
}

#[tokio::test]
async fn what_a_request_asks_for_in_its_csr_is_ignored() {
    let directory = Directory::with_users(&["ana"]).await;
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(["dir.lab".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    let request = LoginRequest {
        csr,
        ..login_request(&key, "ana", "ws1")
    };
    let login: LoginResponse = good(directory.post_login(&request).await).await;
    let (_, block) = x509_parser::pem::parse_x509_pem(login.credentials.certificate.as_bytes()).unwrap();
    let certificate = block.parse_x509().unwrap();
    let identity = PeerIdentity {
        cluster: login.cluster,
        user: login.user_id,
        peer: login.peer_id,
    };
    let (uri, dns) = (identity.to_string(), login.peer_id.dns_name());
    let names = certificate.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(
        names.general_names.as_slice(),
        [GeneralName::URI(&uri), GeneralName::DNSName(&dns)]
    );
    assert!(!certificate.is_ca());
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let directory = Directory::with_users(&["ana"]).await;
    let key = KeyPair::generate().unwrap();
    let good = login_request(&key, "ana", "ws1");
    let broken_csr = good.csr.replacen("A", "B", 8);
    for (request, kind) in [
        (
            LoginRequest {
                csr: "no".to_owned(),
                ..good.clone()
            },
            ProblemKind::Invalid,
        ),
        (
            LoginRequest {
                csr: broken_csr,
                ..good.clone()
            },
            ProblemKind::Invalid,
        ),
        (
            LoginRequest {
                password: String::new().into(),
                ..good.clone()
            },
            ProblemKind::Invalid,
        ),
        (
            LoginRequest {
                password: "x".repeat(1025).into(),
                ..good.clone()
            },
            ProblemKind::Invalid,
        ),
        (
            LoginRequest {
                addresses: vec!["10.0.0.1:1".parse().unwrap(); 9],
                ..good.clone()
            },
            ProblemKind::Invalid,
        ),
        (
            LoginRequest {
                api_level: 0,
                ..good.clone()
            },
            ProblemKind::ApiLevel,
        ),
    ] {
        assert_eq!(problem_kind(directory.post_login(&request).await).await, kind);
    }
    let newer = LoginRequest {
        api_level: 99,
        ..good
    };
    let login: LoginResponse = crate::support::good(directory.post_login(&newer).await).await;
    assert_eq!(login.api_level, 1);
}

#[tokio::test]
async fn a_peer_name_is_unique() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let first = directory.peer("ana", "nas").await;
    let second = directory.peer("bob", "nas").await;
    assert_eq!(second.login.peer_name.as_str(), "nas-2");
    assert_eq!(
        directory.peer("ana", "nas").await.login.peer_name.as_str(),
        "nas-3"
    );
    // The key that has the name keeps it, and the one with a number keeps that.
    let again = directory.peer_with(first.key, "ana", "nas").await;
    assert_eq!(again.login.peer_name.as_str(), "nas");
    let again = directory.peer_with(second.key, "bob", "nas").await;
    assert_eq!(again.login.peer_name.as_str(), "nas-2");
}

#[tokio::test]
async fn a_silent_peers_name_is_handed_over_within_the_account() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    directory.peer("ana", "nas").await;
    directory.clock.advance(Duration::from_secs(31));
    assert_eq!(
        directory.peer("bob", "nas").await.login.peer_name.as_str(),
        "nas-2"
    );
    let reinstalled = directory.peer("ana", "nas").await;
    assert_eq!(reinstalled.login.peer_name.as_str(), "nas");
    let names: Vec<_> = reinstalled
        .peers()
        .await
        .peers
        .into_iter()
        .map(|peer| peer.name.to_string())
        .collect();
    assert_eq!(names, ["nas", "nas-2", "nas-3"]);
}
