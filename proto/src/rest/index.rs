//! `POST /index`: what changed in a peer's holds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::session::IndexState;
use crate::index::{Hold, IndexDigest};

/// The most changes in one request.
pub const MAX_CHANGES: usize = 1000;

/// Body of `POST /index`: one run of changes. A full resend is a run that begins at sequence 0 under a new `index_id`:
/// the directory then forgets what it had.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexDelta {
    /// Which index.
    pub index_id: Uuid,
    /// The sequence before these changes; 0 begins anew.
    #[schema(maximum = 9223372036854775807_u64)]
    pub after_seq: u64,
    /// The sequence after them: `after_seq` plus the number of changes.
    #[schema(maximum = 9223372036854775807_u64)]
    pub seq: u64,
    /// Over all holds after these changes.
    pub digest: IndexDigest,
    /// In order; at most [`MAX_CHANGES`], or as many as the directory's `[limits]` say, which is at most 50,000.
    #[schema(max_items = 50_000)]
    pub changes: Vec<HoldChange>,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum HoldChange {
    /// This is held now, whatever was said of the publication before.
    Held(Hold),
    /// No longer held.
    Dropped(Uuid),
}

/// Answer of `POST /index`. A delta that does not follow what the directory has is a 409 `index-gap` problem: send all.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IndexResponse {
    /// The index as the directory has it now. Holds of publications that it does not know are dropped by it, and its
    /// digest then differs.
    pub index: IndexState,
    /// Those unknown publications.
    pub unknown: Vec<Uuid>,
}
