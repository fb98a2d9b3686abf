//! Boots a directory and plays its peers.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use p2p_directory::{
    admin::{
        client::AdminClient,
        types::{AddUser, Secret, USERS, UserWithPassword},
    },
    app::{App, Bounds, Running},
    clock::ManualClock,
    config::{Config, Limits},
    reload::Reloading,
    state::State,
};
use p2p_proto::{
    ContentHash, Visibility,
    index::{Hold, HoldState, IndexDigest},
    rest::{
        index::{HoldChange, IndexDelta, IndexResponse},
        location::{LocateResponse, PeersResponse},
        problem::{Problem, ProblemKind},
        publications::{Publication, PublishRequest},
        session::{IndexState, LoginRequest, LoginResponse, PingRequest, PingResponse},
    },
};
use p2p_service::lifecycle::Lifecycle;
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// The password of every account here.
pub const PASSWORD: &str = "plum-orbit-lark-42-fern";

/// A directory that runs.
pub struct Directory {
    pub clock: Arc<ManualClock>,
    pub state: Arc<State>,
    pub admin: AdminClient,
    pub config: Config,
    pub address: std::net::SocketAddr,
    pub lifecycle: Lifecycle,
    client: Client,
    running: Option<Running>,
    folder: Option<tempfile::TempDir>,
}

impl Directory {
    /// One on an empty state folder.
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Timestamp::now()).await
    }

    /// One with these accounts, `[limits]`, and bounds on connections.
    pub async fn bounded(users: &[&str], limits: Limits, bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = Self::boot(folder, Timestamp::now(), limits, bounds).await;
        for user in users {
            directory.add_user(user).await;
        }
        directory
    }

    /// One on this folder.
    pub async fn start_in(folder: tempfile::TempDir, now: Timestamp) -> Self {
        Self::boot(folder, now, Limits::default(), Bounds::default()).await
    }

    async fn boot(folder: tempfile::TempDir, now: Timestamp, limits: Limits, bounds: Bounds) -> Self {
        p2p_service::tls::install_crypto_provider();
        let mut config = Config {
            state_dir: folder.path().join("state"),
            runtime_dir: folder.path().join("run"),
            limits,
            ..Config::default()
        };
        config.api.listen = vec!["127.0.0.1:0".parse().unwrap()];
        let clock = Arc::new(ManualClock::new(now));
        let app = App::build(config.clone(), clock.clone())
            .await
            .unwrap()
            .with_bounds(bounds);
        let (state, address) = (app.state(), app.addresses()[0]);
        let lifecycle = Lifecycle::new();
        let running = app.start(&lifecycle, Reloading::default()).unwrap();
        Self {
            client: client(state.authority.bundle()),
            admin: AdminClient::new(&config.admin_socket()),
            clock,
            state,
            config,
            address,
            lifecycle,
            running: Some(running),
            folder: Some(folder),
        }
    }

    /// Stops it as SIGTERM would, and starts it again on the same folder.
    pub async fn restart(mut self) -> Self {
        use p2p_directory::clock::Clock;
        let folder = self.folder.take().unwrap();
        let now = self.clock.now();
        self.stop().await;
        Self::start_in(folder, now).await
    }

    pub async fn stop(&mut self) {
        self.lifecycle.stop();
        self.lifecycle.tracker().close();
        self.lifecycle.tracker().wait().await;
        assert!(!self.lifecycle.failed());
        self.running.take().unwrap().close().await;
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("https://{}{path}", self.address))
    }

    pub async fn add_user(&self, name: &str) {
        let password = Some(Secret::new(PASSWORD));
        let user = AddUser {
            name: name.parse().unwrap(),
            password,
            admin: false,
            groups: Vec::new(),
        };
        let _: UserWithPassword = self.admin.post(USERS, &user).await.unwrap();
    }

    pub async fn post_login(&self, request: &LoginRequest) -> Response {
        self.request(Method::POST, "/api/v1/login")
            .json(request)
            .send()
            .await
            .unwrap()
    }

    /// A new peer of this account.
    pub async fn peer(&self, user: &str, name: &str) -> Peer<'_> {
        self.peer_with(KeyPair::generate().unwrap(), user, name).await
    }

    /// The peer with this key.
    pub async fn peer_with(&self, key: KeyPair, user: &str, name: &str) -> Peer<'_> {
        let login: LoginResponse = good(self.post_login(&login_request(&key, user, name)).await).await;
        Peer {
            directory: self,
            key,
            login,
            index: IndexDigest::default(),
            seq: 0,
            index_id: Uuid::new_v4(),
        }
    }

    /// A directory with these accounts.
    pub async fn with_users(users: &[&str]) -> Self {
        let directory = Self::start().await;
        for user in users {
            directory.add_user(user).await;
        }
        directory
    }
}

fn client_builder(root: reqwest::Certificate) -> reqwest::ClientBuilder {
    Client::builder().tls_certs_only([root]).no_proxy()
}

/// The same that speaks HTTP/1.1.
pub fn old_client(ca: &str) -> Client {
    let root = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
    client_builder(root).http1_only().build().unwrap()
}

/// A client that trusts this CA only.
pub fn client(ca: &str) -> Client {
    let root = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
    client_builder(root).build().unwrap()
}

pub fn csr(key: &KeyPair) -> String {
    CertificateParams::default()
        .serialize_request(key)
        .unwrap()
        .pem()
        .unwrap()
}

pub fn login_request(key: &KeyPair, user: &str, name: &str) -> LoginRequest {
    LoginRequest {
        user: user.to_owned(),
        password: Secret::new(PASSWORD),
        peer_name: name.parse().unwrap(),
        csr: csr(key),
        addresses: Vec::new(),
        api_level: 1,
    }
}

/// What a good answer says.
pub async fn good<T: DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// The problem of a bad answer.
pub async fn problem(response: Response) -> Problem {
    let status = response.status();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json",
        "{status}"
    );
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}

pub async fn problem_kind(response: Response) -> ProblemKind {
    problem(response).await.kind().unwrap()
}

/// A publication that is asked for.
pub fn publish_request(name: &str, content: &str) -> PublishRequest {
    PublishRequest {
        id: Uuid::now_v7(),
        name: name.parse().unwrap(),
        hash: ContentHash::of(content.as_bytes()),
        size: content.len() as u64,
        visibility: Visibility::Public,
    }
}

/// A peer that is logged in.
pub struct Peer<'a> {
    pub directory: &'a Directory,
    pub key: KeyPair,
    pub login: LoginResponse,
    index: IndexDigest,
    seq: u64,
    index_id: Uuid,
}

impl Peer<'_> {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.directory
            .request(method, &format!("/api/v1{path}"))
            .bearer_auth(&self.login.session_token)
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Response {
        self.request(Method::GET, path).query(query).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    pub async fn publish(&self, request: &PublishRequest) -> Publication {
        good(self.post("/publications", request).await).await
    }

    /// Publishes this content under this name.
    pub async fn put(&self, name: &str, content: &str) -> Publication {
        self.publish(&publish_request(name, content)).await
    }

    pub async fn put_private(&self, name: &str, content: &str) -> Publication {
        let request = PublishRequest {
            visibility: Visibility::Private,
            ..publish_request(name, content)
        };
        self.publish(&request).await
    }

    pub async fn withdraw(&self, id: Uuid) -> Response {
        self.request(Method::DELETE, &format!("/publications/{id}"))
            .send()
            .await
            .unwrap()
    }

    pub async fn locate(&self, reference: &str) -> LocateResponse {
        good(self.get("/download", &[("ref", reference)]).await).await
    }

    /// Why it cannot be located.
    pub async fn not_located(&self, reference: &str) -> Problem {
        problem(self.get("/download", &[("ref", reference)]).await).await
    }

    pub async fn peers(&self) -> PeersResponse {
        good(self.get("/peers", &[]).await).await
    }

    /// Whether this peer sees the one of that name online.
    pub async fn sees_online(&self, name: &str) -> bool {
        self.peers()
            .await
            .peers
            .iter()
            .any(|peer| peer.name.as_str() == name && peer.online)
    }

    pub fn ping_request(&self) -> PingRequest {
        PingRequest {
            addresses: Vec::new(),
            index: IndexState {
                index_id: self.index_id,
                seq: self.seq,
                digest: self.index,
            },
            free_bytes: 1 << 40,
            files: 1,
            active_transfers: 0,
            deny_version: 0,
            leaving: false,
            accept_copies: p2p_proto::rest::session::AcceptCopies::Own,
        }
    }

    pub async fn ping(&self) -> PingResponse {
        good(self.post("/ping", &self.ping_request()).await).await
    }

    /// Pings with something else to say.
    pub async fn ping_as(&self, change: impl FnOnce(&mut PingRequest)) -> PingResponse {
        let mut ping = self.ping_request();
        change(&mut ping);
        good(self.post("/ping", &ping).await).await
    }

    /// Begins a new index: the next delta is the first of a full resend.
    pub fn begin_anew(&mut self) {
        self.index_id = Uuid::new_v4();
        self.seq = 0;
        self.index = IndexDigest::default();
    }

    pub async fn logout(&self) -> StatusCode {
        self.request(Method::POST, "/logout")
            .send()
            .await
            .unwrap()
            .status()
    }

    /// The next run of changes; what it says of itself is right as long as the directory knows every publication.
    pub fn delta(&mut self, changes: Vec<HoldChange>) -> IndexDelta {
        let after_seq = self.seq;
        self.seq += changes.len() as u64;
        for change in &changes {
            if let HoldChange::Held(hold) = change {
                self.index.toggle(hold);
            }
        }
        IndexDelta {
            index_id: self.index_id,
            after_seq,
            seq: self.seq,
            digest: self.index,
            changes,
        }
    }

    pub async fn send_index(&self, delta: &IndexDelta) -> IndexResponse {
        good(self.post("/index", delta).await).await
    }

    /// Says that it holds these.
    pub async fn hold(&mut self, publications: &[Uuid], state: HoldState) -> IndexResponse {
        let held = publications
            .iter()
            .map(|&publication| HoldChange::Held(Hold { publication, state }))
            .collect();
        let delta = self.delta(held);
        self.send_index(&delta).await
    }
}

/// Waits until the condition holds; a test that would wait forever is ended by its runner, and by this.
pub async fn eventually<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let held = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), held)
        .await
        .expect("it never came to be");
}
