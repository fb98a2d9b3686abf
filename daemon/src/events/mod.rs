//! What happens on this peer, and what the directory says that happened elsewhere: one typed stream, told at the one place
//! where each thing becomes true, and heard by whoever watches.
//!
//! [`bus`] owns the events: it gives each its place, keeps the last ones ([`state`]), and lets watchers read them at their
//! own pace ([`watcher`]). [`log`] is their file, `state_dir/events`, which has them before a watcher does: a kill loses no
//! event that somebody saw, and a watcher goes on after a restart where it was. [`what`] are the kinds of events, [`said`]
//! their words, and [`logged`] their lines in the log. What tells holds a [`Teller`]. Telling takes no time, waits for nothing and never fails.

pub mod bus;
mod log;
mod logged;
mod said;
mod state;
mod watcher;
pub mod what;

use std::sync::OnceLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    bus::{Bus, Mark},
    watcher::Watcher,
    what::{Moving, Step, What},
};
use crate::store::AccountId;

/// Something that happened. Written to disk: fields are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the stream: rises, also over restarts, not always by one.
    pub place: u64,
    /// When it happened, by the clock of who told it first.
    pub at: Timestamp,
    /// Whose it is: of the account that was logged in, or was last.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// Its id at the directory, when that told it.
    #[serde(default)]
    pub from: Option<Uuid>,
    /// What.
    pub what: What,
}

/// What tells events: mute until it is given a bus.
#[derive(Debug, Default)]
pub struct Teller(OnceLock<Bus>);

impl Teller {
    /// From now on it tells this bus. A second one is not listened to.
    pub fn tells(&self, bus: Bus) {
        // It has one already.
        let _ = self.0.set(bus);
    }

    /// Tells.
    pub fn tell(&self, what: What) {
        if let Some(bus) = self.0.get() {
            bus.tell(what);
        }
    }

    /// The bus, once there is one.
    #[must_use]
    pub fn bus(&self) -> Option<&Bus> {
        self.0.get()
    }
}
