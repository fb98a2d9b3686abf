//! A directory in this process with two accounts, a peer of each, and a public and a private file of `ana`'s. Its routers
//! are called as the connections call them, without the connections.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Request, Response},
};
use data_encoding::BASE64URL_NOPAD;
use http_body_util::BodyExt;
use jiff::Timestamp;
use p2p_directory::{
    admin::{self, types::USERS},
    app::open_state,
    clock::{ManualClock, after},
    config::{Config, Limits, Liveness},
    routes,
    state::{ClientAddress, State},
    storage::NewSession,
};
use p2p_proto::{ContentHash, PeerId, peer_id::sha256, rest::PREFIX};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tower::ServiceExt;
use uuid::Uuid;

/// The accounts, and what their peers are called.
pub const USERS_HERE: [&str; 2] = ["ana", "bob"];

/// The password of both.
pub const PASSWORD: &str = "plum-orbit-lark-42-fern";

/// The publications of ana's, a public one and a private one.
pub const PUBLICATIONS: [&str; 2] = [
    "01900000-0000-7000-8000-000000000001",
    "01900000-0000-7000-8000-000000000002",
];

/// Where who logs in comes from, and whoever fuzzes.
pub const OWN: [&str; 2] = ["10.0.0.1:1", "10.0.0.2:1"];

/// The directory.
pub struct World {
    pub state: Arc<State>,
    clock: Arc<ManualClock>,
    api: Router,
    admin: Router,
    keys: [KeyPair; 2],
    /// Of the sessions.
    pub tokens: [String; 2],
}

impl World {
    /// A new one in this folder.
    pub async fn new(folder: &Path) -> Self {
        p2p_service::tls::install_crypto_provider();
        let config = Config {
            state_dir: folder.to_owned(),
            // Nobody pings here, and nobody is to be slowed down.
            liveness: Liveness {
                lease: Duration::from_secs(24 * 3600),
                ..Liveness::default()
            },
            limits: Limits {
                requests_per_second: 1_000_000,
                ..Limits::default()
            },
            ..Config::default()
        };
        let clock = Arc::new(ManualClock::new(Timestamp::now()));
        let state = Arc::new(open_state(&config, clock.clone()).await.expect("a directory"));
        let mut world = Self {
            api: routes::router(state.clone()),
            admin: admin::server::router(state.clone()),
            state,
            clock,
            keys: [(); 2].map(|()| KeyPair::generate().expect("a key")),
            tokens: [String::new(), String::new()],
        };
        for (who, name) in USERS_HERE.into_iter().enumerate() {
            let user = json!({ "name": name, "password": PASSWORD, "admin": false });
            world.good(Method::POST, USERS, None, &user).await;
            world.log_in(who).await;
        }
        world.publish().await;
        world
    }

    async fn publish(&self) {
        for (at, visibility) in ["public", "private"].into_iter().enumerate() {
            let request = json!({
                "id": PUBLICATIONS[at], "name": format!("{visibility}.tar"), "size": 3, "visibility": visibility,
                "hash": ContentHash::of(visibility.as_bytes()),
            });
            let path = format!("{PREFIX}/publications");
            self.good(Method::POST, &path, Some(0), &request).await;
        }
        let delta = json!({
            "index_id": PUBLICATIONS[0], "after_seq": 0, "seq": 1, "digest": "0".repeat(64),
            "changes": [{ "held": { "publication": PUBLICATIONS[0], "state": "complete" } }],
        });
        self.good(Method::POST, &format!("{PREFIX}/index"), Some(0), &delta)
            .await;
    }

    /// Gives the peer a new session, as a login with the password does that costs much less.
    pub async fn log_in(&mut self, who: usize) {
        let name = USERS_HERE[who].parse().expect("a name");
        let user = self
            .state
            .storage
            .user(&name)
            .await
            .expect("an answer")
            .expect("an account");
        let token = sha256(Uuid::new_v4().as_bytes());
        let later = after(self.state.lease_until(), Duration::from_secs(30 * 24 * 3600));
        let session = NewSession {
            token_hash: sha256(&token),
            user: user.id,
            password_hash: user.password_hash,
            peer: self.peer(who),
            peer_name: format!("{}-ws", user.name).parse().expect("a name"),
            addresses: Vec::new(),
            expires_at: later,
            certificate_expires_at: later,
            lease_until: self.state.lease_until(),
        };
        self.state.storage.log_in(session).await.expect("a session");
        self.tokens[who] = BASE64URL_NOPAD.encode(&token);
    }

    /// A signing request for the peer's key.
    pub fn csr(&self, who: usize) -> String {
        let request = CertificateParams::default().serialize_request(&self.keys[who]);
        request.expect("a request").pem().expect("PEM")
    }

    /// The peer's id.
    pub fn peer(&self, who: usize) -> PeerId {
        PeerId::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&self.keys[who]))
    }

    async fn good(&self, method: Method, path: &str, who: Option<usize>, body: &serde_json::Value) -> Bytes {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(who) = who {
            request = request.header("authorization", format!("Bearer {}", self.tokens[who]));
        }
        let request = request.body(Body::from(body.to_string())).expect("a request");
        let (parts, body) = self.answer(request, OWN[0]).await.into_parts();
        assert!(parts.status.is_success(), "{path}: {} {body:?}", parts.status);
        body
    }

    /// What it answers, a second later.
    pub async fn answer(&self, mut request: Request<Body>, from: &str) -> Response<Bytes> {
        self.clock.advance(Duration::from_secs(1));
        let from = from.parse().expect("an address");
        request.extensions_mut().insert(ClientAddress(from));
        let router = if request.uri().path().starts_with("/admin/") {
            &self.admin
        } else {
            &self.api
        };
        let Ok(response) = router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Response::from_parts(parts, body)
    }

    /// Whether the peer's session lives.
    pub async fn is_logged_in(&self, who: usize) -> bool {
        let request = Request::builder()
            .uri(format!("{PREFIX}/me"))
            .header("authorization", format!("Bearer {}", self.tokens[who]))
            .body(Body::empty())
            .expect("a request");
        self.answer(request, OWN[0]).await.status().is_success()
    }
}
