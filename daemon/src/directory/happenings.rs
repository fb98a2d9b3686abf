//! What the directory says that happened: fetched when a ping tells of something new, page by page, and told on the bus. How
//! far that is known is kept with the events themselves, so a restart goes on there.

use std::time::Duration;

use p2p_proto::{
    Failure, PeerId,
    rest::events::{Event, Events, What as Said},
};
use uuid::Uuid;

use crate::{
    events::{Bus, Mark, What},
    identity::session::Session,
    transfer::journal::AccountId,
};

/// Pages that are fetched after one ping; the rest comes after the next.
const PAGES: u32 = 8;

/// What that may take: the next ping is not to be late.
const PATIENCE: Duration = Duration::from_secs(5);

/// Brings what happened up to this event, the last that there is, to the bus. When that cannot be had now, the next ping
/// asks again.
pub(super) async fn hear(bus: &Bus, session: &Session, last: Option<Uuid>) {
    let cluster = session.record.cluster;
    if last.is_none() || bus.heard_up_to(cluster) == last {
        return;
    }
    match tokio::time::timeout(PATIENCE, pages(bus, session)).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => tracing::debug!("what happened is not known yet: {failure}"),
        Err(_) => tracing::debug!("what happened is not known yet: it takes long"),
    }
}

async fn pages(bus: &Bus, session: &Session) -> Result<(), Failure> {
    let cluster = session.record.cluster;
    for _ in 0..PAGES {
        let after = bus.heard_up_to(cluster);
        let page = session.client.events(after).await?;
        let more = page.more;
        tell(bus, session, page);
        // A directory that gives the same again has no more.
        if !more || bus.heard_up_to(cluster) == after {
            return Ok(());
        }
    }
    Ok(())
}

fn tell(bus: &Bus, session: &Session, page: Events) {
    let first = bus.heard_up_to(session.record.cluster).is_none();
    if page.gap && !first {
        let host = session.directory_host();
        bus.tell(What::Lost {
            reason: format!("{host} has forgotten what happened in between"),
        });
    }
    let end = match page.events.last() {
        Some(last) if page.more => last.id,
        last => page.last.or(last.map(|last| last.id)).unwrap_or_default(),
    };
    // The first time only what follows counts.
    let events = page.events.into_iter().filter(|_| !first);
    let told = events.filter_map(|Event { id, at, what }| Some((id, at, meant(what, session.peer_id())?)));
    let mark = Mark {
        cluster: session.record.cluster,
        last: end,
    };
    bus.hear(AccountId::of(session), told.collect(), mark);
}

/// What it means here. That this peer itself came and went is known.
fn meant(said: Said, own: PeerId) -> Option<What> {
    match said {
        Said::Published { publication } => Some(What::Published { publication }),
        Said::Withdrawn { publication } => Some(What::Withdrawn { publication }),
        Said::Online { peer_id, .. } | Said::Offline { peer_id, .. } if peer_id == own => None,
        Said::Online { peer_id, peer, user } => Some(What::Online { peer_id, peer, user }),
        Said::Offline { peer_id, peer, user } => Some(What::Offline { peer_id, peer, user }),
        Said::Unknown => None,
    }
}
