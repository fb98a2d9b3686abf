//! Holds: which peer has which publication's content.

use p2p_proto::rest::{index::IndexDelta, location::Holder, session::IndexState};
use uuid::Uuid;

use super::{Reply, Session};

/// What came of a delta.
pub enum IndexOutcome {
    /// It is stored.
    Applied {
        /// The index now.
        index: IndexState,
        /// Publications that were not there for the caller.
        unknown: Vec<Uuid>,
    },
    /// It does not follow what is stored.
    Gap,
    /// The peer would have more than it may.
    TooMany,
}

/// What came of asking whether a copy may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It may: others keep it, or it goes even as the last one.
    Yes,
    /// No other peer keeps all of it.
    Last,
    /// The publication is not there for the caller.
    NotVisible,
}

/// A peer that holds a publication.
pub struct KnownHolder {
    /// Who.
    pub holder: Holder,
    /// It is the caller itself.
    pub is_caller: bool,
}

/// Keeps holds.
pub trait HoldStore: Send + Sync {
    /// Stores a delta of the session's peer, which then has at most `most` holds.
    fn apply_index<'a>(
        &'a self,
        session: &'a Session,
        delta: &'a IndexDelta,
        most: u64,
    ) -> Reply<'a, IndexOutcome>;

    /// Lets the caller's copy of the publication go, unless no other peer keeps all of it and `even_last` is not set. A
    /// copy that may go keeps no other one from being the last; said anew in the index, it is kept again.
    fn release<'a>(&'a self, session: &'a Session, publication: Uuid, even_last: bool)
    -> Reply<'a, Released>;

    /// Who holds the publication: online first, then those that nobody reported, then those with the fewest transfers,
    /// then in random order; a thousand at most. Whom several accounts reported is not among them.
    fn holders<'a>(&'a self, session: &'a Session, publication: Uuid) -> Reply<'a, Vec<KnownHolder>>;
}
