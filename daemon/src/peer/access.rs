//! Who may read what: the one place where a grant is checked. Knowing a hash opens nothing; a content is served only
//! under a publication that the grant names and under which this peer holds it.

use std::sync::Arc;

use jiff::Timestamp;
use p2p_proto::{
    ContentHash, PeerIdentity,
    grant::{Action, BadGrant, Expected, Grant, LEEWAY_SECONDS},
};
use tokio::sync::Semaphore;

use crate::{
    directory::link::Link,
    identity::session::Sessions,
    store::{Content, Store, StoreError},
    transfer::limits::Limits,
};

/// Why a peer gets nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The grant does not count.
    #[error(transparent)]
    Grant(#[from] BadGrant),
    /// Not held here under that publication.
    #[error("this peer does not hold that publication")]
    NotHeld,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Decides whether a token counts. Today the directory's grants do; another authority can take its place.
pub trait Authority: Send + Sync {
    /// The grant in the token, when `peer` may do `action` with it now.
    ///
    /// # Errors
    /// The first check that fails.
    fn check(&self, token: &str, peer: &PeerIdentity, action: Action) -> Result<Grant, BadGrant>;

    /// The grant was good when it was checked: is it still?
    fn still_valid(&self, grant: &Grant) -> bool;
}

/// Grants that the directory of the current session signed.
pub struct DirectoryGrants {
    sessions: Arc<Sessions>,
    link: Link,
}

impl DirectoryGrants {
    /// An authority that follows the session.
    #[must_use]
    pub const fn new(sessions: Arc<Sessions>, link: Link) -> Self {
        Self { sessions, link }
    }
}

impl Authority for DirectoryGrants {
    fn check(&self, token: &str, peer: &PeerIdentity, action: Action) -> Result<Grant, BadGrant> {
        let session = self.sessions.current().ok_or(BadGrant::UnknownKey)?;
        let expected = Expected {
            cluster: session.record.cluster,
            peer: peer.peer,
            action,
            now: Timestamp::now().as_second(),
            directory_away: self.link.state().failing,
        };
        session.verifier.verify(token, &expected)
    }

    fn still_valid(&self, grant: &Grant) -> bool {
        let end = if self.link.state().failing {
            grant.offline_exp.max(grant.exp)
        } else {
            grant.exp
        };
        Timestamp::now().as_second() <= end.saturating_add(LEEWAY_SECONDS)
    }
}

/// Contents that are opened for peers at the same time: their layers, up to 128 MiB for a TiB, are read and merged. Once
/// open, a content is open for all.
const OPENING: usize = 4;

/// An authority and what it guards.
#[derive(Clone)]
pub struct Access {
    authority: Arc<dyn Authority>,
    store: Store,
    opening: Arc<Semaphore>,
    limits: Limits,
}

/// A content that a peer may read while its grant lasts.
pub struct Admitted {
    /// The content.
    pub content: Content,
    grant: Grant,
    authority: Arc<dyn Authority>,
}

impl Access {
    /// Guards this store.
    #[must_use]
    pub fn new(authority: Arc<dyn Authority>, store: Store) -> Self {
        Self {
            authority,
            store,
            opening: Arc::new(Semaphore::new(OPENING)),
            limits: Limits::default(),
        }
    }

    /// The same, and what is read goes out within these limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// How fast what is read may go out.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The content that the token lets this peer read.
    ///
    /// # Errors
    /// The grant does not count, or the content is not held under its publication.
    pub async fn admit(&self, token: &str, peer: &PeerIdentity) -> Result<Admitted, Refusal> {
        let grant = self.authority.check(token, peer, Action::Read)?;
        let held = self
            .store
            .hold(grant.publication)
            .await?
            .ok_or(Refusal::NotHeld)?;
        if held.publication.hash != grant.hash {
            return Err(Refusal::NotHeld);
        }
        // Nobody closes it; who waits is one of a bounded number of calls and connections.
        let _turn = self.opening.acquire().await;
        let content = match self.store.content(grant.hash).await {
            Ok(content) => content.ok_or(Refusal::NotHeld)?,
            Err(StoreError::Damaged { hash }) => {
                self.doubt(hash);
                return Err(Refusal::NotHeld);
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Admitted {
            content,
            grant,
            authority: Arc::clone(&self.authority),
        })
    }
}

impl Access {
    /// A content could not be read as it should: the store looks at it.
    pub fn doubt(&self, hash: ContentHash) {
        self.store.doubt(hash);
    }
}

impl Admitted {
    /// The grant still lasts.
    #[must_use]
    pub fn still_valid(&self) -> bool {
        self.authority.still_valid(&self.grant)
    }
}
