//! Events as lines of the log, with the fields that docs/logs.md lists. What the log hears where it happens, with more to
//! say, it does not hear again here.

use tracing::field::{Empty, display};

use super::{Step, What};

impl What {
    /// Says it in the log. What a user here asked for is always said.
    pub(crate) fn log(&self) {
        let transfer = self.transfer().map(|transfer| transfer.id);
        let hash = self.publication().map(|publication| display(publication.hash));
        let owner = self.publication().map(|publication| &publication.owner);
        let owner = owner
            .or(self.transfer().map(|transfer| &transfer.owner))
            .map(display);
        match self {
            // Other peers can make a transfer wait and run as often as they like.
            Self::Transfer {
                step: Step::Waiting | Step::Started,
                ..
            } => tracing::info!(
                TRANSFER = transfer,
                CONTENT_HASH = hash,
                ACCOUNT = owner,
                "{}",
                self.line()
            ),
            Self::Transfer { transfer: moving, .. } if !moving.users.is_empty() => tracing::info!(
                own = Empty,
                TRANSFER = transfer,
                CONTENT_HASH = hash,
                ACCOUNT = owner,
                "{}",
                self.line()
            ),
            Self::Transfer { .. }
            | Self::Dropped { .. }
            | Self::Healed { .. }
            | Self::Withdrawn { .. }
            | Self::LimitChanged { .. }
            | Self::Lost { .. } => tracing::info!(
                TRANSFER = transfer,
                CONTENT_HASH = hash,
                ACCOUNT = owner,
                "{}",
                self.line()
            ),
            _ => {}
        }
    }
}
