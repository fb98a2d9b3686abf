//! Events: what happened, for whoever may see it. Each is written in the transaction of the change that it tells of. Their
//! ids rise in the order of these transactions, also when the clock steps back: there is one writer, and an id is made
//! greater than the last one.

use p2p_proto::rest::events::Events;
use uuid::Uuid;

use super::Reply;

/// How many events are kept at most.
pub const MAX_KEPT: u32 = 1_000_000;

/// Knows what happened.
pub trait EventStore: Send + Sync {
    /// At most `limit` events after `after` that the caller may see, oldest first; without `after` none, only the last id.
    fn events(&self, caller: Uuid, after: Option<Uuid>, limit: usize) -> Reply<'_, Events>;
}
