//! A peer that a test plays: really logged in, with a key and a certificate of its own, and free to misbehave. It speaks
//! with the product's own codec and client, so that what it says wrong is wrong on purpose.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use p2p_daemon::{
    directory::client::DirectoryClient,
    identity::{
        key::PeerKey,
        session::{Session, SessionRecord, Sessions},
    },
    peer::dial::{self, Target},
};
use p2p_proto::{
    API_LEVEL, PeerId, PeerIdentity,
    index::{Hold, HoldState, IndexDigest},
    rest::{
        index::{HoldChange, IndexDelta},
        location::LocateResponse,
        session::{IndexState, LoginRequest, LoginResponse, PingRequest},
    },
    v1::peer_service_client::PeerServiceClient,
};
use serde_json::Value;
use tokio::runtime::{Builder, Handle, Runtime};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::{Account, Directory, Peer};

/// A logged-in peer without a daemon.
pub struct Visitor {
    runtime: Runtime,
    http: reqwest::Client,
    url: String,
    session: Arc<Session>,
    key: PeerKey,
    addresses: Vec<SocketAddr>,
    index: Arc<Mutex<IndexState>>,
    _folder: tempfile::TempDir,
}

impl Visitor {
    /// Logs in to the account with a new key; others will dial it at these addresses.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn log_in(directory: &Directory, account: &Account, name: &str, addresses: &[SocketAddr]) -> Self {
        p2p_service::tls::install_crypto_provider();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = PeerKey::load_or_create(folder.path()).expect("a key");
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let ca = fs::read_to_string(directory.state().join("ca.pem")).expect("the directory's CA");
        let request = LoginRequest {
            user: account.name.clone(),
            password: account.password.clone().into(),
            peer_name: name.parse().expect("a peer name"),
            csr: key.request().expect("a request"),
            addresses: addresses.to_vec(),
            api_level: API_LEVEL,
        };
        let client = DirectoryClient::new(&directory.url, &ca, None).expect("a client");
        let answer = runtime.block_on(client.login(request)).expect("a login");
        let record = record(directory, answer, &ca);
        let sessions = Sessions::load(folder.path(), key.clone()).expect("no session yet");
        let root = reqwest::Certificate::from_pem(ca.as_bytes()).expect("a CA");
        let http = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
        Self {
            http: http.build().expect("a client"),
            url: directory.url.clone(),
            session: sessions.begin(record).expect("a session"),
            key,
            addresses: addresses.to_vec(),
            index: Arc::new(Mutex::new(IndexState {
                index_id: Uuid::new_v4(),
                seq: 0,
                digest: IndexDigest::default(),
            })),
            runtime,
            _folder: folder,
        }
    }

    /// The session: its certificate, TLS and client.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &PeerKey {
        &self.key
    }

    /// Who its certificate says it is.
    #[must_use]
    pub fn identity(&self) -> PeerIdentity {
        PeerIdentity {
            cluster: self.session.record.cluster,
            user: self.session.record.user_id,
            peer: self.session.peer_id(),
        }
    }

    /// Where its tasks run.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Runs it to its end.
    pub fn wait<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// `GET` of the API; status and body.
    ///
    /// # Panics
    /// When no answer comes, or none in JSON.
    #[must_use]
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        let request = self.http.get(format!("{}/api/v1{path}", self.url));
        let request = request.bearer_auth(&self.session.record.token).query(query);
        self.wait(async {
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            (status, response.json().await.expect("JSON"))
        })
    }

    /// A request of the API with a body; status and what came back.
    ///
    /// # Panics
    /// When no answer comes.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        let request = request.bearer_auth(&self.session.record.token).json(body);
        self.wait(async {
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            (status, response.text().await.expect("text"))
        })
    }

    /// Where this file is, with a grant.
    ///
    /// # Panics
    /// When the directory does not say.
    #[must_use]
    pub fn locate(&self, reference: &str) -> LocateResponse {
        self.wait(self.session.client.locate(reference))
            .expect("a location")
    }

    /// A gRPC client of that peer.
    ///
    /// # Panics
    /// When it cannot be dialled.
    #[must_use]
    pub fn words(&self, peer: &Peer) -> PeerServiceClient<Channel> {
        let target = Target {
            peer_id: id_of(peer),
            name: peer.name.parse().expect("a peer name"),
            addresses: vec![address_of(peer)],
        };
        self.wait(dial::words(&self.session, &target))
            .expect("a connection")
    }

    /// Tells the directory that it holds all of this publication, true or not.
    ///
    /// # Panics
    /// When the directory does not take it.
    pub fn claims_to_hold(&self, publication: Uuid) {
        assert!(
            self.claims(publication).is_empty(),
            "the directory knows no {publication}"
        );
    }

    /// The same; what of it the directory does not know.
    ///
    /// # Panics
    /// When there is a gap.
    #[must_use]
    pub fn claims(&self, publication: Uuid) -> Vec<Uuid> {
        self.wait(self.claims_of().claim(publication))
    }

    /// What makes its claims, also within its runtime.
    #[must_use]
    pub fn claims_of(&self) -> Claims {
        Claims {
            session: Arc::clone(&self.session),
            index: Arc::clone(&self.index),
        }
    }

    /// Pings for as long as it lives, so that the directory lists it.
    pub fn keeps_pinging(&self) {
        let (session, index) = (Arc::clone(&self.session), Arc::clone(&self.index));
        let addresses = self.addresses.clone();
        self.runtime.spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(500));
            loop {
                tick.tick().await;
                let index = *index.lock().unwrap_or_else(PoisonError::into_inner);
                let ping = PingRequest {
                    addresses: addresses.clone(),
                    index,
                    free_bytes: 1 << 30,
                    files: 1,
                    active_transfers: 0,
                    deny_version: 0,
                    leaving: false,
                    accept_copies: p2p_proto::rest::session::AcceptCopies::Own,
                };
                // A directory that does not answer un-lists it, and the test sees that.
                let _ = session.client.ping(&ping).await;
            }
        });
    }
}

/// Tells the directory what a visitor holds, true or not.
#[derive(Clone)]
pub struct Claims {
    session: Arc<Session>,
    index: Arc<Mutex<IndexState>>,
}

impl Claims {
    /// All of this publication; what of it the directory does not know.
    ///
    /// # Panics
    /// When there is a gap, or no answer.
    pub async fn claim(&self, publication: Uuid) -> Vec<Uuid> {
        let hold = Hold {
            publication,
            state: HoldState::Complete,
        };
        let delta = {
            let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            index.digest.toggle(&hold);
            index.seq += 1;
            IndexDelta {
                index_id: index.index_id,
                after_seq: index.seq - 1,
                seq: index.seq,
                digest: index.digest,
                changes: vec![HoldChange::Held(hold)],
            }
        };
        let told = self.session.client.index(&delta).await.expect("an answer");
        told.expect("no gap").unknown
    }
}

/// The id of a real peer that is logged in.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn id_of(peer: &Peer) -> PeerId {
    let whoami = peer.json(&["whoami"]);
    let id = whoami["peer_id"].as_str().expect("an id");
    id.parse().expect("an id")
}

/// Its peer port.
#[must_use]
pub fn address_of(peer: &Peer) -> SocketAddr {
    ([127, 0, 0, 1], peer.port).into()
}

fn record(directory: &Directory, answer: LoginResponse, ca: &str) -> SessionRecord {
    SessionRecord {
        directory: directory.url.clone(),
        ca: ca.to_owned(),
        ca_fingerprint: directory.fingerprint.clone(),
        token: answer.session_token,
        user: answer.user,
        user_id: answer.user_id,
        cluster: answer.cluster,
        peer_name: answer.peer_name,
        certificate: answer.credentials.certificate,
        certified_at: Timestamp::now(),
        certificate_expires_at: answer.credentials.certificate_expires_at,
        session_expires_at: answer.credentials.session_expires_at,
        grant_keys: answer.credentials.grant_keys,
        ping_interval_ms: answer.ping_interval_ms,
        unreachable: Vec::new(),
        made_by: 0,
    }
}
