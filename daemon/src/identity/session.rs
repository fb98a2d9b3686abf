//! The session: what the directory gave this daemon at login, kept in `state_dir/session.json` (mode 0600) across
//! restarts, and what outlives it ([`super::known`]).
//!
//! [`Sessions`] owns both files. Each is replaced whole, so a crash leaves the state before or after, never between.

mod record;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use p2p_proto::{Failure, FailureKind, PeerId, grant::Verifier};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::record::SessionRecord;
pub use super::known::Account;
use super::{
    certificate::{self, PeerTls},
    key::{PeerKey, write_private},
    known::{Known, rules},
    trust::TrustedCa,
};
use crate::{
    directory::client::DirectoryClient,
    events::{Bus, Teller, What},
    peer::dials::Dials,
};

/// A session in use.
pub struct Session {
    peer_id: PeerId,
    /// What is written of it.
    pub record: SessionRecord,
    /// The peer port's and the dialler's TLS.
    pub tls: PeerTls,
    /// The directory, with this session's token.
    pub client: DirectoryClient,
    /// Checks grants.
    pub verifier: Verifier,
    /// Who could not be dialled lately.
    pub dials: Dials,
}

impl Session {
    fn new(record: SessionRecord, key: &PeerKey, dials: &Dials) -> Result<Self, Failure> {
        let internal =
            |error: certificate::CertificateError| Failure::new(FailureKind::Internal, error.to_string());
        let ca = certificate::certificates(&record.ca).map_err(internal)?;
        let chain = certificate::certificates(&record.certificate).map_err(internal)?;
        let named = certificate::peer_identity(&chain[0]).map_err(internal)?.identity;
        if named.peer != key.id() || named.cluster != record.cluster || named.user != record.user_id {
            let message = "the directory certified another key, account or cluster than this peer's";
            return Err(Failure::new(FailureKind::IdentityMismatch, message));
        }
        let tls = PeerTls::new(&ca, &chain, &key.private_key()).map_err(internal)?;
        let client = DirectoryClient::new(&record.directory, &record.ca, Some(&record.token))?;
        let verifier = Verifier::new(&record.grant_keys);
        Ok(Self {
            peer_id: key.id(),
            record,
            tls,
            client,
            verifier,
            dials: dials.clone(),
        })
    }

    /// This peer's id.
    #[must_use]
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// The host of the directory, as messages name it.
    #[must_use]
    pub fn directory_host(&self) -> &str {
        self.client.host()
    }
}

/// Why there is no session.
#[derive(Clone, Debug)]
pub struct Ended {
    /// As a person reads it.
    pub reason: String,
    /// What to do, when a login by hand is not it.
    pub fix: Option<String>,
}

/// The session and what is remembered of earlier ones.
pub struct Sessions {
    key: PeerKey,
    file: PathBuf,
    known_file: PathBuf,
    known: Mutex<Known>,
    /// Logins begin one after the other. Nobody who has it waits for a directory.
    beginning: tokio::sync::Mutex<()>,
    /// Held while the session becomes another one, on disk and in memory.
    changing: Mutex<()>,
    current: watch::Sender<Option<Arc<Session>>>,
    server_tls: watch::Sender<Option<Arc<ServerConfig>>>,
    ended: Mutex<Option<Ended>>,
    teller: Teller,
    dials: Dials,
}

impl Sessions {
    /// Reads the files in this folder. A session that has ended by time is forgotten.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn load(state_dir: &Path, key: PeerKey) -> Result<Self, Failure> {
        let file = state_dir.join("session.json");
        let known_file = state_dir.join("known.json");
        let known = read_json(&known_file)?.unwrap_or_default();
        let sessions = Self {
            key,
            file,
            known_file,
            known: Mutex::new(known),
            beginning: tokio::sync::Mutex::default(),
            changing: Mutex::default(),
            current: watch::Sender::new(None),
            server_tls: watch::Sender::new(None),
            ended: Mutex::new(None),
            teller: Teller::default(),
            dials: Dials::default(),
        };
        if let Some(record) = read_json::<SessionRecord>(&sessions.file)? {
            if record.session_expires_at > Timestamp::now() {
                sessions.put(Session::new(record, &sessions.key, &sessions.dials)?);
            } else {
                sessions.end_now("the session has ended; log in again")?;
            }
        }
        Ok(sessions)
    }

    /// From now on it tells when a session begins and ends; also when the last one ended by itself before.
    pub fn tells(&self, bus: Bus) {
        bus.is_of(self.account().as_ref().map(Account::id));
        self.teller.tells(bus);
        let ended = lock(&self.ended).clone();
        if let (Some(Ended { reason, .. }), Some(Account { user, .. })) = (ended, self.account()) {
            self.teller.tell(What::SessionEnded { user, reason });
        }
    }

    /// The key of this daemon.
    #[must_use]
    pub const fn key(&self) -> &PeerKey {
        &self.key
    }

    /// The id of this daemon.
    #[must_use]
    pub const fn peer_id(&self) -> PeerId {
        self.key.id()
    }

    /// The session, when somebody is logged in.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Session>> {
        let session = self.current.borrow().clone()?;
        (session.record.session_expires_at > Timestamp::now()).then_some(session)
    }

    /// The session.
    ///
    /// # Errors
    /// `NotLoggedIn`.
    pub fn require(&self) -> Result<Arc<Session>, Failure> {
        self.current().ok_or_else(|| {
            let mut failure = Failure::not_logged_in();
            if let Some(Ended { reason, fix }) = self.why_ended() {
                failure.message = format!("not logged in: {reason}");
                failure.hint = fix.or(failure.hint);
            }
            failure
        })
    }

    /// Why the last session ended, when nobody here asked for that, and no other one began since.
    #[must_use]
    pub fn why_ended(&self) -> Option<Ended> {
        lock(&self.ended).clone()
    }

    /// Why there is no session, for whoever asks next.
    pub fn say_why(&self, why: Ended) {
        if self.current().is_none() {
            *lock(&self.ended) = Some(why);
        }
    }

    /// Who could not be dialled lately.
    #[must_use]
    pub const fn dials(&self) -> &Dials {
        &self.dials
    }

    /// Follows the session as it comes, renews and goes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Session>>> {
        self.current.subscribe()
    }

    /// The TLS of the peer port; `None` while nobody is logged in.
    #[must_use]
    pub fn server_tls(&self) -> watch::Receiver<Option<Arc<ServerConfig>>> {
        self.server_tls.subscribe()
    }

    /// The CA that is pinned for this directory, when this user, or one who rules this daemon, vouched for it.
    #[must_use]
    pub fn pinned_for(&self, url: &str, uid: u32) -> Option<TrustedCa> {
        self.known().pinned_for(url, uid)
    }

    /// This user may end the session or put another one in its place, also the last one while nobody is logged in.
    #[must_use]
    pub fn is_owned_by(&self, uid: u32) -> bool {
        rules(uid) || uid == self.made_by()
    }

    /// Others than the owner of the last session may log in where that was, and nowhere else: what a directory says of who
    /// somebody is, is believed. Where it was, and by which CA; none for who may choose.
    ///
    /// # Errors
    /// `NotPermitted` when this is another directory.
    pub fn must_be_at(&self, uid: u32, url: &str) -> Result<Option<TrustedCa>, Failure> {
        if self.is_owned_by(uid) {
            return Ok(None);
        }
        let known = self.known();
        let (Some(account), Some(last)) = (&known.account, &known.last_directory) else {
            return Ok(None);
        };
        match known.pinned(last).filter(|_| last == url) {
            Some(ca) => Ok(Some(ca)),
            None => {
                let message = format!("this peer was {}'s, at {last}", account.user);
                let hint = format!("p2pctl login --directory {last}; root may choose another one");
                Err(Failure::new(FailureKind::NotPermitted, message).hint(hint))
            }
        }
    }

    /// Logins begin one after the other: nobody else's does while this is kept.
    pub(super) async fn beginning(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.beginning.lock().await
    }

    /// The directory of the last session.
    #[must_use]
    pub fn last_directory(&self) -> Option<String> {
        self.known().last_directory.clone()
    }

    /// Whose files the store holds, when anybody's.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.known().account.clone()
    }

    /// The Unix user who made the session, or the last one; 0 for the machine.
    #[must_use]
    pub fn made_by(&self) -> u32 {
        match self.current() {
            Some(session) => session.record.made_by,
            None => self.known().made_by,
        }
    }

    /// Begins or replaces the session; it is on disk when this returns.
    ///
    /// # Errors
    /// When the record does not fit this daemon's key, or cannot be written.
    pub fn begin(&self, record: SessionRecord) -> Result<Arc<Session>, Failure> {
        let _changing = lock(&self.changing);
        let session = self.write(record)?;
        self.teller.tell(What::SessionBegan {
            user: session.record.user.clone(),
            directory: session.directory_host().to_owned(),
        });
        Ok(self.put(session))
    }

    fn write(&self, record: SessionRecord) -> Result<Session, Failure> {
        let session = Session::new(record, &self.key, &self.dials)?;
        let record = &session.record;
        {
            let mut known = self.known();
            known.remember(record);
            write_json(&self.known_file, &*known)?;
        }
        write_json(&self.file, record)?;
        if let Some(bus) = self.teller.bus() {
            bus.is_of(self.account().as_ref().map(Account::id));
        }
        Ok(session)
    }

    /// Replaces what a renewal brought, unless the session has ended or changed meanwhile.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn renewed(&self, record: SessionRecord) -> Result<(), Failure> {
        let _changing = lock(&self.changing);
        let same = self
            .current()
            .is_some_and(|session| session.record.token == record.token);
        if same {
            self.put(self.write(record)?);
        }
        Ok(())
    }

    /// Ends this session here, unless another one has begun meanwhile; `reason` is told to whoever asks next.
    ///
    /// # Errors
    /// When the file cannot be removed: the session is over in memory all the same.
    pub fn end(&self, session: &Session, reason: &str) -> Result<(), Failure> {
        let _changing = lock(&self.changing);
        let now = self.current.borrow().as_ref().map(Arc::clone);
        match now {
            Some(now) if now.record.token == session.record.token => self.end_now(reason),
            _ => Ok(()),
        }
    }

    fn end_now(&self, reason: &str) -> Result<(), Failure> {
        // Who follows the session asks for the reason.
        *lock(&self.ended) = (!reason.is_empty()).then(|| Ended {
            reason: reason.to_owned(),
            fix: None,
        });
        let ended = self.current.send_replace(None);
        self.server_tls.send_replace(None);
        let removed = match fs::remove_file(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        if let Some(session) = ended {
            self.teller.tell(What::SessionEnded {
                user: session.record.user.clone(),
                reason: reason.to_owned(),
            });
        }
        removed.map_err(|error| file_failure(&self.file, &error))
    }

    fn put(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        *lock(&self.ended) = None;
        self.server_tls
            .send_replace(Some(Arc::clone(&session.tls.server)));
        self.current.send_replace(Some(Arc::clone(&session)));
        session
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_failure(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, format!("{}: {error}", path.display()))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Failure> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| file_failure(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_failure(path, &error)),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| file_failure(path, &error))?;
    write_private(path, &bytes).map_err(|error| file_failure(path, &error))
}
