//! The kinds of events, and what each is about. Plain data; how each is said to a person is in [`super::said`].

use std::collections::BTreeSet;

use p2p_proto::{FileName, GroupName, PeerId, PeerName, UserName, rest::publications::Publication};
use serde::{Deserialize, Serialize};

use super::said::one_line;
use crate::transfer::progress::Transfer;

/// What happened. Written to disk: variants and fields are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Somebody logged in.
    SessionBegan {
        /// The account.
        user: UserName,
        /// The directory's host.
        directory: String,
    },
    /// The session is over.
    SessionEnded {
        /// The account.
        user: UserName,
        /// Why; empty when somebody logged out.
        reason: String,
    },
    /// The directory does not answer.
    DirectoryAway {
        /// Its host.
        directory: String,
        /// What went wrong; names the host.
        reason: String,
    },
    /// It answers again.
    DirectoryBack {
        /// Its host.
        directory: String,
    },
    /// A transfer came to another state.
    Transfer {
        /// Which state.
        step: Step,
        /// Which transfer.
        transfer: Moving,
        /// Why, as a person should know it; may be empty.
        reason: String,
    },
    /// This peer holds it, whole and durable.
    Stored {
        /// What.
        publication: Publication,
    },
    /// This peer holds it no longer.
    Dropped {
        /// What.
        publication: Publication,
    },
    /// It was whole, and is not.
    Damaged {
        /// What.
        publication: Publication,
        /// What was found.
        reason: String,
    },
    /// It was damaged, and is whole again.
    Healed {
        /// What.
        publication: Publication,
    },
    /// A version was published.
    Published {
        /// Which.
        publication: Publication,
    },
    /// A version was withdrawn.
    Withdrawn {
        /// Which.
        publication: Publication,
    },
    /// Who may see a version changed.
    Changed {
        /// Which.
        publication: Publication,
    },
    /// Another peer came.
    Online {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// Another peer went.
    Offline {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// An administrator revoked another peer's key.
    Revoked {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// An administrator let a revoked key log in again.
    Allowed {
        /// Which.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
        /// Its account.
        user: UserName,
    },
    /// This account became a member of a group.
    Joined {
        /// Which.
        group: GroupName,
        /// The account.
        user: UserName,
    },
    /// This account is no longer a member of a group.
    Left {
        /// Which.
        group: GroupName,
        /// The account.
        user: UserName,
    },
    /// Limits are others now: in bytes per second, none for unlimited.
    LimitChanged {
        /// Of what is sent.
        upload: Option<u64>,
        /// Of what comes.
        download: Option<u64>,
        /// The transfer that is limited; none for the whole daemon.
        transfer: Option<Moving>,
    },
    /// The configuration was read again while running.
    ConfigReloaded {
        /// The keys that hold with other values now.
        changed: Vec<String>,
        /// The keys whose new values need a restart.
        needs_restart: Vec<String>,
    },
    /// Some events are missing here.
    Lost {
        /// Why.
        reason: String,
    },
}

/// The steps of a transfer that are told; not each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Others run first.
    Queued,
    /// It runs.
    Started,
    /// Nothing moves; it goes on by itself.
    Waiting,
    /// Nothing moves until somebody resumes it.
    Paused,
    /// It came to its end.
    Done,
    /// It came to nothing.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// A transfer, as far as events tell of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moving {
    /// Its number.
    pub id: u64,
    /// "download", "upload" or "replicate".
    pub direction: String,
    /// Whose file it is.
    pub owner: UserName,
    /// What the file is called.
    pub name: FileName,
    /// The publication, for what is published.
    pub publication: Option<Publication>,
    /// The Unix users who want it; none for one that only another peer asked for.
    #[serde(default)]
    pub users: BTreeSet<u32>,
}

impl Moving {
    /// This transfer.
    #[must_use]
    pub fn of(transfer: &Transfer) -> Self {
        Self {
            id: transfer.id,
            direction: transfer.job.direction().to_owned(),
            owner: transfer.owner().clone(),
            name: transfer.name().clone(),
            publication: transfer.job.publication().cloned(),
            users: transfer.users(),
        }
    }
}

impl What {
    /// Every type of event, as the wire and people say it; docs/json.md tells what each means.
    pub const TYPES: [&str; 27] = [
        "session.began",
        "session.ended",
        "directory.away",
        "directory.back",
        "transfer.queued",
        "transfer.started",
        "transfer.waiting",
        "transfer.paused",
        "transfer.done",
        "transfer.failed",
        "transfer.cancelled",
        "file.stored",
        "file.dropped",
        "file.damaged",
        "file.healed",
        "file.published",
        "file.withdrawn",
        "file.changed",
        "peer.online",
        "peer.offline",
        "peer.revoked",
        "peer.allowed",
        "group.joined",
        "group.left",
        "limit.changed",
        "config.reloaded",
        "events.lost",
    ];

    /// Its type.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        let place = match self {
            Self::SessionBegan { .. } => 0,
            Self::SessionEnded { .. } => 1,
            Self::DirectoryAway { .. } => 2,
            Self::DirectoryBack { .. } => 3,
            Self::Transfer { step, .. } => match step {
                Step::Queued => 4,
                Step::Started => 5,
                Step::Waiting => 6,
                Step::Paused => 7,
                Step::Done => 8,
                Step::Failed => 9,
                Step::Cancelled => 10,
            },
            Self::Stored { .. } => 11,
            Self::Dropped { .. } => 12,
            Self::Damaged { .. } => 13,
            Self::Healed { .. } => 14,
            Self::Published { .. } => 15,
            Self::Withdrawn { .. } => 16,
            Self::Changed { .. } => 17,
            Self::Online { .. } => 18,
            Self::Offline { .. } => 19,
            Self::Revoked { .. } => 20,
            Self::Allowed { .. } => 21,
            Self::Joined { .. } => 22,
            Self::Left { .. } => 23,
            Self::LimitChanged { .. } => 24,
            Self::ConfigReloaded { .. } => 25,
            Self::Lost { .. } => 26,
        };
        Self::TYPES[place]
    }

    /// What it is about, for what is published.
    #[must_use]
    pub const fn publication(&self) -> Option<&Publication> {
        match self {
            Self::Stored { publication }
            | Self::Dropped { publication }
            | Self::Damaged { publication, .. }
            | Self::Healed { publication }
            | Self::Published { publication }
            | Self::Withdrawn { publication }
            | Self::Changed { publication } => Some(publication),
            _ => match self.transfer() {
                Some(transfer) => transfer.publication.as_ref(),
                None => None,
            },
        }
    }

    /// The transfer that it is about.
    #[must_use]
    pub const fn transfer(&self) -> Option<&Moving> {
        match self {
            Self::Transfer { transfer, .. } => Some(transfer),
            Self::LimitChanged { transfer, .. } => transfer.as_ref(),
            _ => None,
        }
    }

    /// The peer that it is about.
    #[must_use]
    pub const fn peer(&self) -> Option<(&PeerName, PeerId)> {
        match self {
            Self::Online { peer, peer_id, .. }
            | Self::Offline { peer, peer_id, .. }
            | Self::Revoked { peer, peer_id, .. }
            | Self::Allowed { peer, peer_id, .. } => Some((peer, *peer_id)),
            _ => None,
        }
    }

    /// The account that it is about.
    #[must_use]
    pub const fn user(&self) -> Option<&UserName> {
        match self {
            Self::SessionBegan { user, .. }
            | Self::SessionEnded { user, .. }
            | Self::Online { user, .. }
            | Self::Offline { user, .. }
            | Self::Revoked { user, .. }
            | Self::Allowed { user, .. }
            | Self::Joined { user, .. }
            | Self::Left { user, .. } => Some(user),
            _ => None,
        }
    }

    /// Why, where there is a why.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::SessionEnded { reason, .. }
            | Self::DirectoryAway { reason, .. }
            | Self::Transfer { reason, .. }
            | Self::Damaged { reason, .. }
            | Self::Lost { reason } => one_line(reason),
            _ => String::new(),
        }
    }

    /// It says of the same thing what the other one says, whoever told it.
    #[must_use]
    pub fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Published { publication: a }, Self::Published { publication: b })
            | (Self::Withdrawn { publication: a }, Self::Withdrawn { publication: b }) => a.id == b.id,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/json.md lists each type, and no other.
    #[test]
    fn every_type_is_documented() {
        let page = include_str!("../../../docs/json.md");
        let (_, rest) = page.split_once("## `type` of an event").expect("the chapter");
        let chapter = rest.split("\n## ").next().unwrap_or(rest);
        let listed: Vec<&str> = chapter
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert_eq!(listed, What::TYPES);
    }
}
