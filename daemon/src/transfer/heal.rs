//! What was found damaged is fetched anew, where another peer has it: a watcher that begins a transfer for each. The
//! store keeps what is still good of it, so only the rest comes.

use tokio_util::sync::CancellationToken;

use super::{Order, Transfers};
use crate::store::Store;

/// Begins a transfer for each damaged content, now and whenever one is found, until `stop`.
///
/// # Errors
/// None; the signature is that of a service task.
pub async fn heal_task(transfers: Transfers, store: Store, stop: CancellationToken) -> anyhow::Result<()> {
    let mut found = store.subscribe_damage();
    let mut sessions = transfers.0.sessions.subscribe();
    loop {
        found.borrow_and_update();
        sessions.borrow_and_update();
        if transfers.0.sessions.current().is_some() {
            begin_all(&transfers, &store).await;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = found.changed() => changed?,
            changed = sessions.changed() => changed?,
        }
    }
}

async fn begin_all(transfers: &Transfers, store: &Store) {
    let damaged = match store.damaged().await {
        Ok(damaged) => damaged,
        Err(error) => return tracing::error!("{error}"),
    };
    for content in damaged {
        let Some(publication) = content.publications.into_iter().next() else {
            continue;
        };
        let name = publication.name.clone();
        tracing::error!(CONTENT_HASH = %content.hash, "{name} is damaged: {}; it is fetched anew", content.reason);
        if let Err(failure) = transfers.start(Order::copy(publication, None)).await {
            tracing::warn!("{name} cannot be fetched anew: {failure}");
        }
    }
}
