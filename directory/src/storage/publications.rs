//! Publications: who calls which content what. Every question is asked for a caller, and what that account may not see
//! is not there.

use p2p_proto::{
    ContentHash, FileName, GroupName, UserName,
    rest::publications::{CopiesOf, Publication, PublishRequest, SearchHit},
};
use uuid::Uuid;

use super::{Reply, Session};

/// What came of publishing.
pub enum Published {
    /// It is published: a new version, or the one that was there.
    As(Publication),
    /// The id is that of something else.
    IdTaken,
    /// The id is that of a publication that was withdrawn.
    Withdrawn,
    /// This content is published under that name with another size.
    OtherSize(u64),
    /// The account has the most there may be.
    TooMany,
    /// The account is not a member of that group, or there is none.
    NoGroup(GroupName),
}

/// A name to look for.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// Only this account's.
    pub owner: Option<&'a UserName>,
    /// Called exactly this.
    pub name: &'a FileName,
    /// This version; the newest visible one when absent.
    pub version: Option<u64>,
}

/// What to search for.
pub struct SearchFilter {
    /// Part of the lower-cased name; empty for all.
    pub folded: String,
    /// Only this account's.
    pub owner: Option<UserName>,
    /// Begin after this name and owner.
    pub after: Option<(String, String)>,
    /// At most so many.
    pub limit: u32,
}

/// What was found.
pub struct SearchPage {
    /// By name, then owner.
    pub hits: Vec<SearchHit>,
    /// How many there are in all.
    pub total: u64,
    /// More come after these.
    pub more: bool,
}

/// Keeps publications.
pub trait PublicationStore: Send + Sync {
    /// Publishes for the session's account, which then has at most `most` publications.
    fn publish<'a>(
        &'a self,
        session: &'a Session,
        request: &'a PublishRequest,
        most: u64,
    ) -> Reply<'a, Published>;

    /// Withdraws a publication of the session's account and drops its holds; `None` when it is not there or not the caller's.
    fn withdraw<'a>(&'a self, session: &'a Session, id: Uuid) -> Reply<'a, Option<Publication>>;

    /// The publication with this id.
    fn publication(&self, caller: Uuid, id: Uuid) -> Reply<'_, Option<Publication>>;

    /// One publication of each account that has this name, the caller's own first, then by account; some twenty at most.
    fn named<'a>(&'a self, caller: Uuid, named: Named<'a>) -> Reply<'a, Vec<Publication>>;

    /// A publication of this content: the caller's own, else the oldest.
    fn with_hash<'a>(&'a self, caller: Uuid, hash: &'a ContentHash) -> Reply<'a, Option<Publication>>;

    /// The contents whose hashes lie between these, both included; some twenty at most.
    fn hashes_between(&self, caller: Uuid, low: [u8; 32], high: [u8; 32]) -> Reply<'_, Vec<ContentHash>>;

    /// Every version of the name, newest first; a thousand at most.
    fn versions<'a>(&'a self, caller: Uuid, of: &'a Publication) -> Reply<'a, Vec<Publication>>;

    /// The newest version of each name that fits.
    fn search<'a>(&'a self, caller: Uuid, filter: &'a SearchFilter) -> Reply<'a, SearchPage>;

    /// How many peers hold all of each of these that is there for the caller. Whom several accounts reported does not
    /// count.
    fn copies(&self, caller: Uuid, publications: Vec<Uuid>) -> Reply<'_, Vec<CopiesOf>>;
}
