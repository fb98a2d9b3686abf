//! Who reads the events, at his own pace: all he has is a place in the stream.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Bus, Event, what::What};

/// The most events that are given at once.
const BATCH: usize = 64;

/// Reads events from a place on.
pub struct Watcher {
    bus: Bus,
    /// Changes when there are more.
    newest: watch::Receiver<u64>,
    /// Of the last event that was given.
    place: u64,
    /// What an event's id would be, after which all follows that is given.
    begins_after: u64,
    /// Nobody knows what was between that and the oldest.
    lost: bool,
}

impl Watcher {
    pub(super) fn after(bus: Bus, newest: watch::Receiver<u64>, after: &str) -> Self {
        let (place, last) = {
            let state = bus.state();
            let place = match after {
                "" => Some(state.next - 1),
                id => id.parse().ok().filter(|place| state.kept.has(*place)),
            };
            (place, state.kept.last())
        };
        Self {
            bus,
            newest,
            begins_after: place.map_or(0, |place| place.min(last)),
            place: place.unwrap_or(0),
            lost: place.is_none(),
        }
    }

    /// The id after which the first event follows: who has seen none yet goes on there, also after a restart.
    #[must_use]
    pub const fn begins_after(&self) -> u64 {
        self.begins_after
    }

    /// The next events: at least one, once there is one. Nothing is lost by a caller that waits no longer.
    pub async fn next(&mut self) -> Vec<Arc<Event>> {
        loop {
            self.newest.borrow_and_update();
            let batch = self.take();
            if !batch.is_empty() {
                return batch;
            }
            if self.newest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn take(&mut self) -> Vec<Arc<Event>> {
        let state = self.bus.state();
        let kept = &state.kept;
        let mut batch = Vec::new();
        if self.lost || self.place < kept.after {
            batch.push(Arc::new(forgotten(kept.after)));
            (self.place, self.lost) = (kept.after, false);
        }
        let from = kept.events.partition_point(|event| event.place <= self.place);
        batch.extend(kept.events.range(from..).take(BATCH).cloned());
        self.place = batch.last().map_or(self.place, |last| last.place);
        batch
    }
}

/// In the place before the oldest event: who goes on after it gets that one.
fn forgotten(place: u64) -> Event {
    Event {
        place,
        at: Timestamp::now(),
        account: None,
        from: None,
        what: What::Lost {
            reason: "what came before is known no more".to_owned(),
        },
    }
}
