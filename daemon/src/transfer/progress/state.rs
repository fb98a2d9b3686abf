//! Where a transfer stands, what somebody wants of it, and how it ended.

use jiff::Timestamp;
use p2p_proto::{ContentHash, Failure, PeerName};
use serde::{Deserialize, Serialize};

/// Where a transfer stands; STATE.md tells which follows which.
#[derive(Clone, Debug)]
pub enum State {
    /// Others run first.
    Queued,
    /// Asking who has the content, or who has room for it.
    Locating,
    /// Talking to the first of them.
    Connecting,
    /// Bytes move.
    Transferring,
    /// Nothing moves; it goes on by itself.
    Waiting,
    /// Nothing moves until somebody resumes it.
    Paused,
    /// All bytes are there and are made durable.
    Verifying,
    /// They are written where the person wants them.
    Delivering,
    /// All is done.
    Done(Outcome),
    /// It came to nothing.
    Failed(Failure),
}

impl State {
    /// Every word for a state.
    pub const WORDS: [&str; 10] = [
        "queued",
        "locating",
        "connecting",
        "transferring",
        "waiting",
        "paused",
        "verifying",
        "delivering",
        "done",
        "failed",
    ];

    /// Nothing follows.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }

    /// As the wire and people say it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        let place = match self {
            Self::Queued => 0,
            Self::Locating => 1,
            Self::Connecting => 2,
            Self::Transferring => 3,
            Self::Waiting => 4,
            Self::Paused => 5,
            Self::Verifying => 6,
            Self::Delivering => 7,
            Self::Done(_) => 8,
            Self::Failed(_) => 9,
        };
        Self::WORDS[place]
    }
}

/// What a finished transfer did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// From start to end.
    pub seconds: f64,
    /// Bytes that an earlier attempt had left here.
    pub resumed: u64,
    /// Bytes from each holder.
    pub sources: Vec<(PeerName, u64)>,
}

/// How far a transfer is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// What a person should know of that; empty when the state says it all.
    pub reason: String,
    /// Since when.
    pub entered_at: Timestamp,
    /// Verified bytes.
    pub done: u64,
    /// Verified bytes from the start without a gap.
    pub frontier: u64,
    /// All bytes; none while nobody knows.
    pub size: Option<u64>,
    /// The content, once it is known.
    pub hash: Option<ContentHash>,
}

/// What its owner wants of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To go on.
    Run,
    /// To stand still.
    Pause,
    /// To end.
    Cancel,
}
