//! The directory's REST API: any body, query or path part through its real router, storage and all. Never a failure of
//! the directory's, never an answer that a client could not read, nothing without a session, nothing private of another.
//!
//! An input is lines of text, each one a request: a letter for the endpoint ([`ENDPOINTS`]), a digit for who asks (0 ana,
//! 1 bob, else nobody), and then the body, the query or the part of the path. `$ANA`, `$BOB` stand for peer ids,
//! `$CSR` for ana's signing request as it stands in JSON, `$PUB` and `$PRIV` for ana's publications.
//!
//! The directory is the same for some hundred inputs, so what one finds may need what others left: a panic says the request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::{
    body::{Body, Bytes},
    http::{Method, Request, Response, StatusCode},
};
use p2p_directory::admin::types::{USERS, UserWithPassword};
use p2p_proto::{
    Visibility,
    rest::{
        PREFIX,
        index::IndexResponse,
        location::{LocateResponse, PeersResponse},
        placement::PlaceResponse,
        problem::{CONTENT_TYPE, Problem},
        publications::{FileInfo, Publication, SearchResponse},
        session::{Credentials, LoginRequest, LoginResponse, Me, PingResponse},
    },
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::world::{OWN, PUBLICATIONS, USERS_HERE, World};

/// Letters and what they ask for; in `{}` goes the rest of the line, which is the body where there is none.
pub const ENDPOINTS: [(u8, &str, &str); 17] = [
    (b'L', "POST", "/login"),
    (b'R', "POST", "/session/renew"),
    (b'P', "POST", "/ping"),
    (b'U', "POST", "/publications"),
    (b'D', "DELETE", "/publications/{}"),
    (b'I', "POST", "/index"),
    (b'S', "GET", "/search?{}"),
    (b'F', "GET", "/files?{}"),
    (b'H', "GET", "/files/{}"),
    (b'G', "GET", "/download?{}"),
    (b'C', "POST", "/upload"),
    (b'X', "POST", "/reports"),
    (b'M', "GET", "/me"),
    (b'E', "GET", "/peers"),
    (b'O', "POST", "/logout"),
    (b'A', "POST", "admin"),
    (b'W', "POST", "admin/{}"),
];

/// So many requests of one input are sent.
const MAX_REQUESTS: usize = 8;

/// After so many inputs there is a new directory.
const INPUTS: u32 = 512;

/// When passwords are hashed, which is slow on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Once in every input that asks for it.
    Always,
    /// In one of so many inputs, as the input's own hash says; in the others a login has an empty password, and accounts
    /// are left alone.
    OneIn(u8),
}

/// A directory that is asked.
pub struct Rest {
    runtime: Runtime,
    hashing: Hashing,
    alive: Mutex<Option<Alive>>,
}

struct Alive {
    world: World,
    inputs: u32,
    _folder: TempDir,
}

struct Asked<'a> {
    letter: u8,
    who: Option<usize>,
    line: &'a str,
}

impl Rest {
    /// Without a directory: the first input makes it.
    ///
    /// # Panics
    /// When there is no runtime.
    #[must_use]
    pub fn new(hashing: Hashing) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        Self {
            runtime: runtime.expect("a runtime"),
            hashing,
            alive: Mutex::default(),
        }
    }

    /// One input.
    ///
    /// # Panics
    /// When the directory fails, or says what it should not.
    pub fn run(&self, data: &[u8]) {
        self.runtime.block_on(async {
            let left = self.alive().take();
            let mut alive = match left {
                Some(alive) => alive,
                None => Alive::new().await,
            };
            let may_hash = match self.hashing {
                Hashing::Always => true,
                Hashing::OneIn(inputs) => blake3::hash(data).as_bytes()[0].is_multiple_of(inputs),
            };
            alive.ask(data, may_hash).await;
            if alive.inputs < INPUTS {
                *self.alive() = Some(alive);
            } else {
                alive.world.state.storage.close().await;
            }
        });
    }

    fn alive(&self) -> MutexGuard<'_, Option<Alive>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let left = self.alive().take();
        if let Some(alive) = left {
            self.runtime.block_on(alive.world.state.storage.close());
        }
    }
}

impl Alive {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            world: World::new(folder.path()).await,
            inputs: 0,
            _folder: folder,
        }
    }

    async fn ask(&mut self, data: &[u8], mut may_hash: bool) {
        self.inputs += 1;
        let text = String::from_utf8_lossy(data);
        let mut sessions_changed = false;
        for line in text.lines().take(MAX_REQUESTS) {
            let Some((letter, method, path)) = line
                .bytes()
                .next()
                .and_then(|letter| ENDPOINTS.into_iter().find(|(of, ..)| *of == letter))
            else {
                continue;
            };
            let hashes = matches!(letter, b'L' | b'A' | b'W');
            let may_hash = hashes && std::mem::take(&mut may_hash);
            if hashes && !may_hash && letter != b'L' {
                continue;
            }
            let rest = self.filled_in(line.get(2..).unwrap_or_default());
            let rest = match letter {
                b'L' => login(rest, may_hash),
                _ => rest,
            };
            let who = match line.as_bytes().get(1) {
                Some(b'0') => Some(0),
                Some(b'1') => Some(1),
                _ => None,
            };
            let request = self.request(method, path, who, &rest);
            let response = self.world.answer(request, OWN[1]).await;
            check(&Asked { letter, who, line }, &response);
            sessions_changed |= response.status().is_success() && matches!(letter, b'L' | b'O');
        }
        for who in 0..USERS_HERE.len() {
            if sessions_changed && !self.world.is_logged_in(who).await {
                self.world.log_in(who).await;
            }
        }
    }

    fn filled_in(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let csr = serde_json::json!(self.world.csr(0)).to_string();
        text.replace("$ANA", &self.world.peer(0).to_string())
            .replace("$BOB", &self.world.peer(1).to_string())
            .replace("$PUB", PUBLICATIONS[0])
            .replace("$PRIV", PUBLICATIONS[1])
            .replace("$CSR", &csr)
    }

    fn request(&self, method: &str, path: &str, who: Option<usize>, rest: &str) -> Request<Body> {
        let base = path.strip_prefix("admin").map(|path| format!("{USERS}{path}"));
        let base = base.unwrap_or_else(|| format!("{PREFIX}{path}"));
        // The password of one account is set, which nobody logs in to.
        let in_path = !base.starts_with(USERS) && base.contains("{}");
        let (uri, body) = if in_path {
            (base.replace("{}", &in_uri(rest)), Vec::new())
        } else {
            (base.replace("{}", "carl/passwd"), rest.as_bytes().to_vec())
        };
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("a method"))
            .uri(uri);
        if let Some(who) = who {
            request = request.header("authorization", format!("Bearer {}", self.world.tokens[who]));
        }
        request.body(Body::from(body)).expect("a request")
    }
}

/// With what no URI has as `%XX`; what looks like that stays, right or wrong.
fn in_uri(text: &str) -> String {
    let keeps = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
    text.bytes()
        .map(|b| match keeps(b) {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect()
}

/// A login dials the peer's addresses back: port 0 is never dialled. An empty password is not hashed.
fn login(body: String, may_hash: bool) -> String {
    let Ok(mut login) = serde_json::from_str::<LoginRequest>(&body) else {
        return body;
    };
    for address in &mut login.addresses {
        address.set_port(0);
    }
    if !may_hash {
        login.password = String::new().into();
    }
    serde_json::to_string(&login).expect("JSON")
}

fn check(asked: &Asked<'_>, response: &Response<Bytes>) {
    let (status, body) = (response.status(), response.body());
    assert!(!status.is_server_error(), "{}: {status} {body:?}", asked.line);
    if !status.is_success() {
        let kind = response.headers().get("content-type");
        assert_eq!(kind.expect("a type"), CONTENT_TYPE, "{}", asked.line);
        let problem: Problem = read(asked, body);
        assert_eq!(problem.status, status.as_u16(), "{}", asked.line);
        assert!(problem.kind().is_some(), "{}: {problem:?}", asked.line);
        return;
    }
    let is_open = matches!(asked.letter, b'L' | b'A' | b'W');
    assert!(asked.who.is_some() || is_open, "{}: {status}", asked.line);
    match asked.letter {
        b'L' => drop(read::<LoginResponse>(asked, body)),
        b'R' => drop(read::<Credentials>(asked, body)),
        b'P' => drop(read::<PingResponse>(asked, body)),
        b'U' => seen(asked, [&read::<Publication>(asked, body)]),
        b'I' => drop(read::<IndexResponse>(asked, body)),
        b'S' => {
            let found: SearchResponse = read(asked, body);
            assert!(found.total >= found.files.len() as u64, "{}", asked.line);
            seen(asked, found.files.iter().map(|hit| &hit.publication));
        }
        b'F' | b'H' => {
            let info: FileInfo = read(asked, body);
            seen(asked, info.versions.iter().chain([&info.publication]));
        }
        b'G' => seen(asked, [&read::<LocateResponse>(asked, body).publication]),
        b'C' => seen(asked, [&read::<PlaceResponse>(asked, body).publication]),
        b'M' => drop(read::<Me>(asked, body)),
        b'E' => drop(read::<PeersResponse>(asked, body)),
        b'A' | b'W' => drop(read::<UserWithPassword>(asked, body)),
        _ => assert_eq!(status, StatusCode::NO_CONTENT, "{}", asked.line),
    }
}

/// As a client would.
fn read<T: DeserializeOwned>(asked: &Asked<'_>, body: &Bytes) -> T {
    match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => panic!("{}: {error}: {body:?}", asked.line),
    }
}

/// What somebody was told of is his, or public, or that of a group which an admin made.
fn seen<'a>(asked: &Asked<'_>, publications: impl IntoIterator<Item = &'a Publication>) {
    let caller = asked.who.map(|who| USERS_HERE[who]);
    for publication in publications {
        let own = Some(publication.owner.as_str()) == caller;
        assert!(
            own || publication.visibility != Visibility::Private,
            "{}: {publication:?}",
            asked.line
        );
    }
}
