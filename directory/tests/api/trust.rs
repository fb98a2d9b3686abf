//! First trust: the CA, the fingerprint, the server's certificate; and that a restart keeps them.

use std::sync::Arc;

use p2p_directory::{
    app::App, ca::authority::stored_fingerprint, clock::SystemClock, config::Config, reload::Reloading,
};
use p2p_service::{config::Sources, lifecycle::Lifecycle};
use reqwest::Method;

use crate::support::{Directory, client, eventually};

#[tokio::test]
async fn the_ca_is_served_and_trusted() {
    let directory = Directory::start().await;
    let ca = directory
        .request(Method::GET, "/api/v1/ca")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(ca, directory.state.authority.bundle());
    let stored = stored_fingerprint(&directory.config.state_dir).unwrap().unwrap();
    assert_eq!(stored, directory.state.authority.fingerprint());
}

#[tokio::test]
async fn another_directorys_ca_is_not_trusted() {
    let (one, other) = (Directory::start().await, Directory::start().await);
    let stranger = client(other.state.authority.bundle());
    let error = stranger
        .get(format!("https://{}/healthz", one.address))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn health_is_at_both_places() {
    let directory = Directory::start().await;
    for path in ["/healthz", "/readyz", "/api/v1/healthz", "/api/v1/readyz"] {
        assert!(
            directory
                .request(Method::GET, path)
                .send()
                .await
                .unwrap()
                .status()
                .is_success(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_restart_keeps_ca_cluster_and_sessions() {
    let directory = Directory::with_users(&["ana"]).await;
    let before = (
        directory.state.authority.fingerprint().to_owned(),
        directory.state.cluster,
    );
    let token = directory.peer("ana", "ws1").await.login.session_token.clone();
    let directory = directory.restart().await;
    assert_eq!(
        before,
        (
            directory.state.authority.fingerprint().to_owned(),
            directory.state.cluster
        )
    );
    let me = directory
        .request(Method::GET, "/api/v1/me")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert!(me.status().is_success());
}

#[tokio::test]
async fn keys_are_for_nobody_else_and_tokens_are_not_stored() {
    use std::os::unix::fs::PermissionsExt;
    let mut directory = Directory::with_users(&["ana"]).await;
    let token = directory.peer("ana", "ws1").await.login.session_token.clone();
    directory.stop().await;
    for file in ["ca.key", "server.key", "grant.key", "directory.db"] {
        let mode = std::fs::metadata(directory.config.state_dir.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let database = std::fs::read(directory.config.database_file()).unwrap();
    let raw = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    let contains = |part: &[u8]| database.windows(part.len()).any(|window| window == part);
    assert!(!contains(token.as_bytes()) && !contains(&raw));
    assert!(contains(&p2p_proto::peer_id::sha256(&raw)));
}

#[tokio::test]
async fn a_reload_serves_with_other_names() {
    p2p_service::tls::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p2p-directory.toml");
    let write = |names: &str| {
        let folder = folder.path().display();
        let text = format!(
            "state_dir = \"{folder}/state\"\nruntime_dir = \"{folder}/run\"\n\
             [api]\nlisten = [\"127.0.0.1:0\"]\nnames = [{names}]\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    write("\"localhost\"");
    let app = App::build(Config::load(Some(&file)).unwrap(), Arc::new(SystemClock))
        .await
        .unwrap();
    let (address, ca) = (app.addresses()[0], app.state().authority.bundle().to_owned());
    let lifecycle = Lifecycle::new();
    let sources = Sources::file(Some(&file));
    let running = app.start(&lifecycle, Reloading { sources, level: None }).unwrap();
    let reached = async || {
        client(&ca)
            .get(format!("https://{address}/healthz"))
            .send()
            .await
            .is_ok()
    };
    assert!(!reached().await);
    write("\"localhost\", \"127.0.0.1\"");
    running.reloader.reload();
    eventually(&reached).await;
    lifecycle.stop();
}
