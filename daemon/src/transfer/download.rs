//! One download from locating to a durable, announced copy.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use p2p_proto::{Failure, FailureKind, FileName, rest::location::LocateResponse};

use super::{
    Shared,
    progress::{State, Transfer},
    swarm,
};
use crate::{
    identity::session::Session,
    store::{Incoming, StoreError},
};

/// Where the content stays.
pub enum Keep {
    /// In the store: this peer becomes a holder.
    InStore,
    /// Only in the file that the user passed.
    OnlyIn(OwnedFd),
    /// Nowhere: it is read while it comes.
    Nowhere,
}

/// How often the directory is asked while no holder is online.
const WAIT_POLL: Duration = Duration::from_secs(2);

/// How long the directory may take to hear of the new copy before the person is told "done"; a ping tells it later.
const ANNOUNCE: Duration = Duration::from_secs(5);

/// Fetches the transfer's publication.
///
/// # Errors
/// See [`swarm::fetch_all`]; `DiskFull` before the first byte.
pub(super) async fn fetch(
    shared: &Arc<Shared>,
    transfer: &Arc<Transfer>,
    keep: Keep,
    wait: bool,
) -> Result<(), Failure> {
    let publication = &transfer.publication;
    // The semaphore lives as long as its owner and is never closed.
    let _slot = shared
        .slots
        .acquire()
        .await
        .map_err(|_| super::progress::interrupted("p2pd stops"))?;
    transfer.enter(State::Locating);
    let in_store = matches!(keep, Keep::InStore);
    if in_store && shared.store.content(publication.hash).await?.is_some() {
        return hold(shared, transfer).await;
    }
    let session = shared.sessions.require()?;
    let incoming = begin(shared, transfer, keep).await?;
    transfer.receives_into(incoming.clone());
    if publication.size == 0 {
        incoming.write_piece(0, &[])?;
    } else {
        let located = holders(&session, transfer, wait).await?;
        swarm::fetch_all(shared, &session, transfer, incoming.clone(), located).await?;
    }
    transfer.enter(State::Committing);
    if in_store {
        incoming.commit().await?;
        hold(shared, transfer).await?;
    }
    tracing::info!(TRANSFER = transfer.id, CONTENT_HASH = %publication.hash, "{} fetched", publication.name);
    Ok(())
}

async fn begin(shared: &Shared, transfer: &Transfer, keep: Keep) -> Result<Incoming, Failure> {
    let (hash, size) = (transfer.publication.hash, transfer.publication.size);
    let begun = match keep {
        Keep::InStore | Keep::Nowhere => shared.store.begin(hash, size).await,
        Keep::OnlyIn(file) => shared.store.begin_into(hash, size, file),
    };
    begun.map_err(|error| match error {
        StoreError::NoSpace { .. } => no_space(&transfer.publication.name, &error),
        other => other.into(),
    })
}

fn no_space(name: &FileName, error: &StoreError) -> Failure {
    let message = format!("{name} needs {error}");
    // "… needs 4.1 GiB needed in …" reads badly: the store says "needed", a person hears it once.
    let message = message.replacen(" needed in ", " in ", 1);
    Failure::new(FailureKind::DiskFull, message).hint("Use --no-keep or set store.path")
}

/// Who has the content; with `wait`, as soon as somebody has.
async fn holders(session: &Session, transfer: &Transfer, wait: bool) -> Result<LocateResponse, Failure> {
    loop {
        if !matches!(transfer.progress().state, State::Waiting(_)) {
            transfer.enter(State::Locating);
        }
        let located = swarm::locate(session, &transfer.publication).await?;
        if !located.holders.is_empty() {
            return Ok(located);
        }
        let nobody = no_holder(&located);
        if !wait {
            return Err(nobody.hint("To wait: --wait"));
        }
        transfer.enter(State::Waiting(nobody.message));
        tokio::time::sleep(WAIT_POLL).await;
    }
}

/// "scan.tar: 0 of 3 holders online (last gpu2, 18:04)".
pub(super) fn no_holder(located: &LocateResponse) -> Failure {
    let last = match &located.last_seen {
        Some(seen) => format!(" (last {}, {})", seen.peer_name, seen_at(seen.at)),
        None => String::new(),
    };
    let message = format!(
        "{}: 0 of {} holders online{last}",
        located.publication.name, located.holders_total
    );
    Failure::new(FailureKind::NoHolderOnline, message)
}

/// The time of day on this machine's clock, `18:04`; before today with its date.
fn seen_at(at: jiff::Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    let today = jiff::Timestamp::now().to_zoned(zone.clone()).date();
    let seen = at.to_zoned(zone);
    let minute = format!("{:02}:{:02}", seen.hour(), seen.minute());
    if seen.date() == today {
        minute
    } else {
        format!("{} {minute}", seen.date())
    }
}

/// The content is in the store: hold it under this publication, and tell the directory.
async fn hold(shared: &Shared, transfer: &Transfer) -> Result<(), Failure> {
    let already = shared.store.hold(transfer.publication.id).await?.is_some();
    shared.store.add_hold(&transfer.publication).await?;
    if already {
        return Ok(());
    }
    if let Some(session) = shared.sessions.current() {
        let announced = tokio::time::timeout(ANNOUNCE, shared.announcer.announce(&session)).await;
        if !matches!(announced, Ok(Ok(()))) {
            tracing::warn!(
                "the directory was not told of {}; a ping will",
                transfer.publication.name
            );
        }
    }
    Ok(())
}
