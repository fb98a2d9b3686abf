//! `GET /events?after=&limit=`: what happened at the directory, as far as the caller may see it now. Each change is told
//! in the transaction that made it, and ids rise in the order of those transactions, whatever the clock does: who asks on
//! after `last` misses nothing and hears nothing twice.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    name::{GroupName, PeerName, UserName},
    peer_id::PeerId,
    rest::{publications::Publication, reports::Fault},
};

/// The most events in one answer, and as many as there are without a `limit`.
pub const MAX_EVENTS: usize = 500;

/// Query of `GET /events`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// `last` of an earlier answer, or the id of an event; without it no events are told, only the last id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(nullable = false)]
    pub after: Option<Uuid>,
    /// At most so many, 1 to [`MAX_EVENTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500, nullable = false)]
    pub limit: Option<usize>,
}

/// Answer of `GET /events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// The oldest first, those after `after`; without `after` none.
    pub events: Vec<Event>,
    /// The id to ask with next: that of the last event told here, or when there are no more, of the last that the caller
    /// may see. Null while there is none.
    pub last: Option<Uuid>,
    /// Some events after `after` are forgotten, or `after` is none of this directory's: what the caller knows is to be
    /// asked for anew.
    pub gap: bool,
    /// More of them are there now.
    pub more: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// A UUIDv7; later events have greater ones.
    pub id: Uuid,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. Of a file only those are told who may see it now; of an account and its groups, that account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// Who may see a version changed.
    #[serde(rename = "file.changed")]
    Changed {
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
    /// An administrator revoked a peer's key.
    #[serde(rename = "peer.revoked")]
    Revoked {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// An administrator let a revoked peer's key log in again.
    #[serde(rename = "peer.allowed")]
    Allowed {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// A holder was reported: what it gave is not the content.
    #[serde(rename = "holder.reported")]
    Reported {
        /// Of which publication.
        publication: Uuid,
        /// The holder.
        peer_id: PeerId,
        /// What it did.
        fault: Fault,
    },
    /// An account became a member of a group.
    #[serde(rename = "group.joined")]
    Joined {
        /// Which.
        group: GroupName,
        /// The account.
        user: UserName,
    },
    /// An account is no longer a member of a group.
    #[serde(rename = "group.left")]
    Left {
        /// Which.
        group: GroupName,
        /// The account.
        user: UserName,
    },
    /// An account was made.
    #[serde(rename = "account.added")]
    AccountAdded {
        /// Which.
        user: UserName,
    },
    /// An account's password changed.
    #[serde(rename = "account.password_changed")]
    PasswordChanged {
        /// Which.
        user: UserName,
    },
    /// An account was disabled.
    #[serde(rename = "account.disabled")]
    AccountDisabled {
        /// Which.
        user: UserName,
    },
    /// A disabled account was enabled.
    #[serde(rename = "account.enabled")]
    AccountEnabled {
        /// Which.
        user: UserName,
    },
    /// An account was removed.
    #[serde(rename = "account.removed")]
    AccountRemoved {
        /// Which.
        user: UserName,
    },
    /// Something that this build does not know.
    #[serde(other, rename = "unknown")]
    Unknown,
}
