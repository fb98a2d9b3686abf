//! First trust: the CA, the fingerprint, the server's certificate; and that a restart keeps them.

use p2p_directory::ca::authority::stored_fingerprint;
use reqwest::Method;

use crate::support::{Directory, client};

#[tokio::test]
async fn the_ca_is_served_and_trusted() {
    let directory = Directory::start().await;
    let ca = directory.request(Method::GET, "/api/v1/ca").send().await.unwrap().text().await.unwrap();
    assert_eq!(ca, directory.state.authority.bundle());
    let stored = stored_fingerprint(&directory.config.state_dir).unwrap().unwrap();
    assert_eq!(stored, directory.state.authority.fingerprint());
}

#[tokio::test]
async fn another_directorys_ca_is_not_trusted() {
    let (one, other) = (Directory::start().await, Directory::start().await);
    let stranger = client(other.state.authority.bundle());
    let error = stranger.get(format!("https://{}/healthz", one.address)).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn health_is_at_both_places() {
    let directory = Directory::start().await;
    for path in ["/healthz", "/readyz", "/api/v1/healthz", "/api/v1/readyz"] {
        assert!(directory.request(Method::GET, path).send().await.unwrap().status().is_success(), "{path}");
    }
}

#[tokio::test]
async fn a_restart_keeps_ca_cluster_and_sessions() {
    let directory = Directory::with_users(&["ana"]).await;
    let before = (directory.state.authority.fingerprint().to_owned(), directory.state.cluster);
    let token = directory.peer("ana", "ws1").await.login.session_token.clone();
    let directory = directory.restart().await;
    assert_eq!(before, (directory.state.authority.fingerprint().to_owned(), directory.state.cluster));
    let me = directory.request(Method::GET, "/api/v1/me").bearer_auth(token).send().await.unwrap();
    assert!(me.status().is_success());
}

#[tokio::test]
async fn keys_are_for_nobody_else_and_tokens_are_not_stored() {
    use std::os::unix::fs::PermissionsExt;
    let mut directory = Directory::with_users(&["ana"]).await;
    let token = directory.peer("ana", "ws1").await.login.session_token.clone();
    directory.stop().await;
    for file in ["ca.key", "server.key", "grant.key"] {
        let mode = std::fs::metadata(directory.config.state_dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let database = std::fs::read(directory.config.database_file()).unwrap();
    let raw = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    let contains = |part: &[u8]| database.windows(part.len()).any(|window| window == part);
    assert!(!contains(token.as_bytes()) && !contains(&raw));
    assert!(contains(&p2p_proto::peer_id::sha256(&raw)));
}
