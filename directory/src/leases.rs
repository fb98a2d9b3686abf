//! Leases that end: the sweeper un-lists a peer as its lease ends, tells so in the events and in the log. A lease that
//! has ended counts as such in every query before that, so nothing depends on this task being in time.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{clock::after, state::State, storage::StorageError};

/// How often old events and ended sessions are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// How long they are kept at least: 30 days.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Tells the sweeper that a lease has begun.
#[derive(Default)]
pub struct Leases(Notify);

impl Leases {
    /// A lease has begun or was renewed. One that ends before all others may be new to the sweeper.
    pub fn renewed(&self) {
        self.0.notify_one();
    }
}

/// Runs until the program stops.
///
/// # Errors
/// Never; what fails is logged and tried again.
pub async fn sweep_task(state: Arc<State>) -> anyhow::Result<()> {
    let mut prune_at = state.clock.now();
    loop {
        if state.clock.now() >= prune_at {
            prune(&state).await;
            prune_at = after(state.clock.now(), PRUNE_EVERY);
        }
        let next = match sweep(&state).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(error = %error, "leases could not be swept");
                Some(after(state.clock.now(), Duration::from_secs(1)))
            }
        };
        wait(
            &state,
            next.map_or(prune_at, |next| next.min(prune_at)),
            next.is_none(),
        )
        .await;
    }
}

/// Until then; when no lease was known, also until one begins. Leases are all of one length, so a new one ends after
/// those that are known.
async fn wait(state: &State, until: Timestamp, none_known: bool) {
    tokio::select! {
        () = state.clock.sleep_until(until) => {}
        () = state.leases.0.notified(), if none_known => {}
    }
}

/// Ends what has ended; when the next one ends.
///
/// # Errors
/// When the database fails.
pub async fn sweep(state: &State) -> Result<Option<Timestamp>, StorageError> {
    let now = state.clock.now();
    let next = state.storage.next_lease_end().await?;
    if next.is_none_or(|next| next > now) {
        return Ok(next);
    }
    for ended in state.storage.end_leases().await? {
        tracing::info!(PEER = %ended.name, PEER_ID = %ended.peer, "lease ended: {} is offline", ended.name);
    }
    state.storage.next_lease_end().await
}

async fn prune(state: &State) {
    // A denial outlives every certificate that it is about.
    let keep = KEEP.max(state.settings().session.certificate_ttl.saturating_mul(2));
    let before = state.clock.now().checked_sub(keep).unwrap_or(Timestamp::MIN);
    if let Err(error) = state.storage.prune(before).await {
        tracing::error!(error = %error, "old events could not be forgotten");
    }
}
