//! What the directory remembers, as traits, one per subject: accounts and their groups, sessions, peers with their leases,
//! publications, holds, reports of holders, where copies might go, events, and what admins ask. Whoever implements them owns
//! the state and the clock that it is judged by. A call either happened wholly, with the `events` row that tells of it, or
//! not at all; after a crash what was answered is still there.

pub mod admin;
pub mod events;
pub mod figures;
pub mod groups;
pub mod holds;
pub mod peers;
pub mod placement;
pub mod publications;
pub mod reports;
pub mod sessions;
pub mod sqlite;
pub mod users;

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

pub use admin::{AdminStore, KnownPeer, Revocation};
pub use events::EventStore;
pub use figures::{FigureStore, Figures, Overview};
pub use groups::{Group, GroupChange, GroupStore};
pub use holds::{HoldStore, IndexOutcome, KnownHolder, Released};
pub use peers::{EndedLease, PeerStore, Pong};
pub use placement::{Place, PlacementStore, Places};
pub use publications::{Named, PublicationStore, Published, SearchFilter, SearchPage};
pub use reports::{ReportStore, Reported};
pub use sessions::{Ended, LogIn, NewSession, Session, SessionStore};
pub use sqlite::Sqlite;
pub use users::{Account, NewPassword, NewUser, UserAdded, UserStore};

/// What a call gives, some time later.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, StorageError>>;

/// Why the storage could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A later release wrote the database; it is left as it is.
    #[error(
        "was written by a newer p2p-directory (format {found}; this one knows {known}): install the newer package again, \
         or restore a backup"
    )]
    Newer {
        /// Its format.
        found: i64,
        /// The newest one that this build reads.
        known: i64,
    },
    /// The database is from another version.
    #[error("the database cannot be brought to this version: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored value is not what was once stored.
    #[error("the database holds a damaged value in {0}")]
    Damaged(&'static str),
    /// The session that asks has ended meanwhile, by others when that is said.
    #[error("the session has ended")]
    NoSession(Option<Ended>),
}

/// Everything.
pub trait Storage:
    UserStore
    + GroupStore
    + SessionStore
    + PeerStore
    + PublicationStore
    + HoldStore
    + ReportStore
    + PlacementStore
    + EventStore
    + AdminStore
    + FigureStore
{
    /// The id of this directory's cluster, made with the database.
    fn cluster(&self) -> Reply<'_, Uuid>;

    /// Asks the database something small.
    fn check(&self) -> Reply<'_, ()>;

    /// Forgets events (the newest one and what came after an event that is kept stay), ended sessions and denials from before
    /// this time, and reports that no longer count. Of the denied, no certificate may be left that is older.
    fn prune(&self, before: Timestamp) -> Reply<'_, ()>;

    /// Writes down what is pending and closes.
    fn close(&self) -> BoxFuture<'_, ()>;
}
