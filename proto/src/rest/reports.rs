//! `POST /reports`: a holder gave what is not the content.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::peer_id::PeerId;

/// Body of `POST /reports`; answered with 204. One account's reports rank a holder last for that content, those of several
/// accounts un-list it, until it tells anew that it holds the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// What was asked for; the caller can see it.
    pub publication: Uuid,
    /// Who gave something else.
    pub holder: PeerId,
    /// What it did.
    pub fault: Fault,
}

/// What a bad holder did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// Bytes that are not the content's.
    Bytes,
    /// A layer that does not merge to the hash.
    Layer,
    /// Another size than the publication's.
    Size,
    /// Frames or messages that are none.
    Protocol,
}
