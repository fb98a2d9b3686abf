//! `GET /events?after=&limit=`: what happened at the directory, as far as the caller may see it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    name::{PeerName, UserName},
    peer_id::PeerId,
    rest::publications::Publication,
};

/// The most events in one answer.
pub const MAX_EVENTS: usize = 500;

/// Answer of `GET /events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// The oldest first, those after `after`; without `after` none.
    pub events: Vec<Event>,
    /// The id to ask with next: that of the last event that there is, also of one that this caller may not see.
    /// Null while there is none.
    pub last: Option<Uuid>,
    /// Some events after `after` are forgotten.
    pub gap: bool,
    /// More of them are there now.
    pub more: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// A UUIDv7; later events have greater ones.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum What {
    /// A version was published.
    #[serde(rename = "file.published")]
    Published {
        /// Which.
        publication: Publication,
    },
    /// A version was withdrawn.
    #[serde(rename = "file.withdrawn")]
    Withdrawn {
        /// Which.
        publication: Publication,
    },
    /// A peer came.
    #[serde(rename = "peer.online")]
    Online {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// A peer went.
    #[serde(rename = "peer.offline")]
    Offline {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// Something that this build does not know.
    #[serde(other, rename = "unknown")]
    Unknown,
}
