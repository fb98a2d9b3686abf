//! What every request shares. Owned by the program's [`crate::app::App`]; what must survive a crash is in the storage
//! and in the authority's files.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, RwLock},
};

use jiff::Timestamp;
use p2p_proto::rest::session::Credentials;
use uuid::Uuid;

use crate::{
    accounts::{password::Passwords, throttle::Throttle},
    ca::{
        CaError,
        authority::Authority,
        grants::Grants,
        issue::{PeerCertificate, ProvenKey},
    },
    clock::{Clock, after},
    config,
    leases::Leases,
    rate::{Rate, Source},
    storage::Storage,
};

/// What every request shares.
pub struct State {
    /// What is remembered.
    pub storage: Arc<dyn Storage>,
    /// The CA.
    pub authority: Authority,
    /// The signer of grants.
    pub grants: Grants,
    /// The cluster's id.
    pub cluster: Uuid,
    /// Where the keys and the database are.
    pub state_dir: PathBuf,
    /// When the program started.
    pub started_at: Timestamp,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Slows guessing.
    pub throttle: Throttle,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Bounds how often somebody asks.
    pub requests: Rate<Source>,
    /// Bounds how often an account reports.
    pub reports: Rate<Uuid>,
    /// Wakes the sweeper.
    pub leases: Leases,
    settings: RwLock<Settings>,
}

/// Which part of the configuration requests go by, and a reload changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Who counts as alive.
    pub liveness: config::Liveness,
    /// How long a login lasts.
    pub session: config::Session,
    /// What others may have.
    pub limits: config::Limits,
}

/// What a [`State`] is made of.
pub struct Parts {
    /// What is remembered.
    pub storage: Arc<dyn Storage>,
    /// The CA.
    pub authority: Authority,
    /// The signer of grants.
    pub grants: Grants,
    /// The cluster's id.
    pub cluster: Uuid,
    /// Where the keys and the database are.
    pub state_dir: PathBuf,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// As configured.
    pub settings: Settings,
}

impl From<Parts> for State {
    fn from(parts: Parts) -> Self {
        Self {
            storage: parts.storage,
            authority: parts.authority,
            grants: parts.grants,
            cluster: parts.cluster,
            state_dir: parts.state_dir,
            started_at: parts.clock.now(),
            passwords: parts.passwords,
            throttle: Throttle::default(),
            requests: Rate::default(),
            reports: Rate::default(),
            clock: parts.clock,
            leases: Leases::default(),
            settings: RwLock::new(parts.settings),
        }
    }
}

impl State {
    /// The settings now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        *self
            .settings
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sets them.
    pub fn set_settings(&self, settings: Settings) {
        *self
            .settings
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = settings;
    }

    /// When a lease that begins now ends.
    #[must_use]
    pub fn lease_until(&self) -> Timestamp {
        after(self.clock.now(), self.settings().liveness.lease)
    }

    /// A certificate for the key, and when a session that begins or is renewed now ends. The certificate does not
    /// outlive the session.
    ///
    /// # Errors
    /// When the CA has ended.
    pub fn certify(&self, key: &ProvenKey, user: Uuid) -> Result<(PeerCertificate, Timestamp), CaError> {
        let now = self.clock.now();
        let settings = self.settings().session;
        let session_end = after(now, settings.lifetime);
        let until = after(now, settings.certificate_ttl).min(session_end);
        let certificate = self.authority.certify(key, self.cluster, user, now, until)?;
        Ok((certificate, session_end))
    }

    /// What a session gives a peer.
    #[must_use]
    pub fn credentials(&self, certificate: PeerCertificate, session_expires_at: Timestamp) -> Credentials {
        Credentials {
            certificate: certificate.pem,
            certificate_expires_at: certificate.expires_at,
            session_expires_at,
            ca: self.authority.bundle().to_owned(),
            grant_keys: self.grants.keys(),
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub SocketAddr);

impl ClientAddress {
    /// The address without the port; an IPv4 one as such.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0.ip().to_canonical()
    }
}
