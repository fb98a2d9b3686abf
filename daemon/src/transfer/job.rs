//! What a transfer does: bring a content here, import a file, or follow a copy that another peer makes.

use p2p_proto::{ContentHash, FileName, PeerId, PeerName, UserName, rest::publications::Publication};
use serde::{Deserialize, Serialize};

use crate::user_file::UserFile;

/// Where a fetched content stays.
pub enum Keep {
    /// In the store: this peer becomes a holder.
    InStore,
    /// Only in the file that the user passed.
    OnlyIn(UserFile),
    /// Nowhere: it is read while it comes.
    Nowhere,
}

/// One of the three. Written by the journal: fields are only ever added.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "lowercase")]
pub enum Job {
    /// Bytes come here.
    Download {
        /// What.
        publication: Publication,
        /// It ends as a copy in the store.
        kept: bool,
        /// The peer that asked for the copy; none when somebody here did.
        #[serde(default)]
        placed_by: Option<PeerName>,
    },
    /// A file is imported and published.
    Upload {
        /// Who publishes.
        owner: UserName,
        /// Under which name.
        name: FileName,
        /// Its bytes; none for a stream.
        size: Option<u64>,
    },
    /// Another peer fetches a copy and keeps it.
    Replicate {
        /// What.
        publication: Publication,
        /// Who.
        peer_id: PeerId,
        /// Its name.
        peer: PeerName,
    },
}

impl Job {
    /// Every word for a direction.
    pub const DIRECTIONS: [&str; 3] = ["download", "upload", "replicate"];

    /// As the wire and people say it.
    #[must_use]
    pub const fn direction(&self) -> &'static str {
        match self {
            Self::Download { .. } => Self::DIRECTIONS[0],
            Self::Upload { .. } => Self::DIRECTIONS[1],
            Self::Replicate { .. } => Self::DIRECTIONS[2],
        }
    }

    /// What the file is called.
    #[must_use]
    pub const fn name(&self) -> &FileName {
        match self {
            Self::Download { publication, .. } | Self::Replicate { publication, .. } => &publication.name,
            Self::Upload { name, .. } => name,
        }
    }

    /// Whose file it is.
    #[must_use]
    pub const fn owner(&self) -> &UserName {
        match self {
            Self::Download { publication, .. } | Self::Replicate { publication, .. } => &publication.owner,
            Self::Upload { owner, .. } => owner,
        }
    }

    /// The publication, for what is published.
    #[must_use]
    pub const fn publication(&self) -> Option<&Publication> {
        match self {
            Self::Download { publication, .. } | Self::Replicate { publication, .. } => Some(publication),
            Self::Upload { .. } => None,
        }
    }

    /// Its bytes, where they are known from the start.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Upload { size, .. } => *size,
            _ => self.publication().map(|publication| publication.size),
        }
    }

    /// Its content, where it is known from the start.
    #[must_use]
    pub fn hash(&self) -> Option<ContentHash> {
        self.publication().map(|publication| publication.hash)
    }

    /// It goes on after a restart.
    #[must_use]
    pub const fn survives(&self) -> bool {
        !matches!(self, Self::Download { kept: false, .. } | Self::Upload { .. })
    }

    /// The content that it will add to the store, when it is a download.
    #[must_use]
    pub fn brings(&self) -> Option<ContentHash> {
        match self {
            Self::Download {
                publication,
                kept: true,
                ..
            } => Some(publication.hash),
            _ => None,
        }
    }

    /// The peer whose copy it makes; none for what somebody here wants.
    #[must_use]
    pub const fn placed_by(&self) -> Option<&PeerName> {
        match self {
            Self::Download { placed_by, .. } => placed_by.as_ref(),
            _ => None,
        }
    }
}
