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
        let account = AccountId::of(session);
        tell(bus, account, (session.peer_id(), session.directory_host()), page);
        // A directory that gives the same again has no more.
        if !more || bus.heard_up_to(cluster) == after {
            return Ok(());
        }
    }
    Ok(())
}

/// Tells one page to the account of this peer.
fn tell(bus: &Bus, account: AccountId, (own, host): (PeerId, &str), page: Events) {
    let cluster = account.cluster;
    let first = bus.heard_up_to(cluster).is_none();
    if page.gap && !first {
        bus.tell(What::Lost {
            reason: format!("{host} does not know any more what happened in between"),
        });
        bus.hears_anew();
    }
    let end = match page.events.last() {
        Some(last) if page.more => last.id,
        last => page.last.or(last.map(|last| last.id)).unwrap_or_default(),
    };
    // The first time only what follows counts.
    let events = page.events.into_iter().filter(|_| !first);
    let told = events.filter_map(|Event { id, at, what }| Some((id, at, meant(what, own)?)));
    bus.hear(account, told.collect(), Mark { cluster, last: end });
}

/// What it means here. That this peer itself came and went is known.
fn meant(said: Said, own: PeerId) -> Option<What> {
    match said {
        Said::Published { publication } => Some(What::Published { publication }),
        Said::Withdrawn { publication } => Some(What::Withdrawn { publication }),
        Said::Changed { publication } => Some(What::Changed { publication }),
        Said::Online { peer_id, .. } | Said::Offline { peer_id, .. } if peer_id == own => None,
        Said::Online { peer_id, peer, user } => Some(What::Online { peer_id, peer, user }),
        Said::Offline { peer_id, peer, user } => Some(What::Offline { peer_id, peer, user }),
        Said::Revoked { peer_id, peer, user } => Some(What::Revoked { peer_id, peer, user }),
        Said::Allowed { peer_id, peer, user } => Some(What::Allowed { peer_id, peer, user }),
        Said::Joined { group, user } => Some(What::Joined { group, user }),
        Said::Left { group, user } => Some(What::Left { group, user }),
        // What an account's own login and status tell, and what only the directory goes by.
        Said::Reported { .. }
        | Said::AccountAdded { .. }
        | Said::PasswordChanged { .. }
        | Said::AccountDisabled { .. }
        | Said::AccountEnabled { .. }
        | Said::AccountRemoved { .. }
        | Said::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use jiff::Timestamp;

    use super::*;

    const ANA: AccountId = AccountId {
        cluster: Uuid::from_u128(1),
        user: Uuid::from_u128(2),
    };

    fn online(id: u128, name: &str) -> Event {
        Event {
            id: Uuid::from_u128(id),
            at: Timestamp::UNIX_EPOCH,
            what: Said::Online {
                peer_id: PeerId::of_spki(name.as_bytes()),
                peer: name.parse().unwrap(),
                user: "ana".parse().unwrap(),
            },
        }
    }

    fn page(events: Vec<Event>, last: Option<u128>, gap: bool, more: bool) -> Events {
        Events {
            events,
            last: last.map(Uuid::from_u128),
            gap,
            more,
        }
    }

    struct Told {
        bus: Bus,
        _folder: tempfile::TempDir,
    }

    impl Told {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let bus = Bus::open(&folder.path().join("events")).unwrap();
            Self { bus, _folder: folder }
        }

        fn hears(&self, page: Events) {
            tell(&self.bus, ANA, (PeerId::of_spki(b"own"), "dir.lab"), page);
        }

        fn up_to(&self) -> Option<u128> {
            self.bus.heard_up_to(ANA.cluster).map(|last| last.as_u128())
        }

        async fn lines(&self) -> Vec<String> {
            self.bus.flush().await;
            let mut watcher = self.bus.watch("?");
            let all = watcher.next().now_or_never().unwrap_or_default();
            all[1..].iter().map(|event| event.what.line()).collect()
        }
    }

    #[tokio::test]
    async fn at_first_only_what_follows_counts_and_pages_follow_each_other() {
        let told = Told::new();
        assert_eq!(told.up_to(), None);
        // A directory that tells all of it unasked.
        told.hears(page(vec![online(4, "before")], Some(5), false, false));
        assert_eq!(told.up_to(), Some(5));
        told.hears(page(
            vec![online(6, "gpu1"), online(7, "own")],
            Some(7),
            false,
            true,
        ));
        assert_eq!(told.up_to(), Some(7));
        told.hears(page(vec![online(8, "gpu2")], Some(11), false, false));
        // One that the caller may not see was the last.
        assert_eq!(told.up_to(), Some(11));
        assert_eq!(
            told.lines().await,
            ["gpu1 of ana is online", "gpu2 of ana is online"],
            "and not this peer itself"
        );
    }

    #[tokio::test]
    async fn a_directory_that_had_none_is_asked_from_its_beginning() {
        let told = Told::new();
        told.hears(page(Vec::new(), None, false, false));
        assert_eq!(told.up_to(), Some(0));
        told.hears(page(vec![online(1, "gpu1")], Some(1), false, false));
        assert_eq!(told.lines().await, ["gpu1 of ana is online"]);
    }

    #[tokio::test]
    async fn what_the_directory_forgot_is_said_to_be_lost() {
        let told = Told::new();
        told.hears(page(Vec::new(), Some(1), true, false));
        told.hears(page(vec![online(9, "gpu1")], Some(9), true, false));
        assert_eq!(
            told.lines().await,
            [
                "some events are missing here: dir.lab does not know any more what happened in between",
                "gpu1 of ana is online"
            ]
        );
    }

    #[tokio::test]
    async fn a_directory_whose_clock_was_ahead_is_heard_again() {
        let told = Told::new();
        told.hears(page(Vec::new(), Some(1), false, false));
        told.hears(page(vec![online(900, "gpu1")], Some(900), false, false));
        // It was restored, and its clock is right now.
        told.hears(page(vec![online(20, "gpu2")], Some(20), true, false));
        told.hears(page(vec![online(21, "gpu3")], Some(21), false, false));
        let lines = told.lines().await;
        assert_eq!(lines[2..], ["gpu2 of ana is online", "gpu3 of ana is online"]);
    }

    #[test]
    fn what_concerns_a_peer_has_a_type_here() {
        let file = r#""publication":{"id":"00000000-0000-0000-0000-000000000001","owner":"ana","name":"x","version":1,
            "hash":"HASH","size":1,"visibility":"public","published_at":"2026-01-01T00:00:00Z"}"#;
        let file = file.replace("HASH", &"ab".repeat(32));
        let peer = format!(
            r#""peer_id":"{}","peer":"gpu1","user":"ana""#,
            PeerId::of_spki(b"gpu1")
        );
        let group = r#""group":"lab","user":"ana""#;
        for (word, about) in [
            ("file.published", file.as_str()),
            ("file.withdrawn", &file),
            ("file.changed", &file),
            ("peer.online", &peer),
            ("peer.offline", &peer),
            ("peer.revoked", &peer),
            ("peer.allowed", &peer),
            ("group.joined", group),
            ("group.left", group),
        ] {
            let said = format!(r#"{{"type":"{word}",{about}}}"#);
            let said: Said = serde_json::from_str(&said).unwrap();
            let meant = meant(said, PeerId::of_spki(b"own")).unwrap();
            assert_eq!(meant.word(), word);
        }
    }

    #[test]
    fn what_this_build_does_not_know_is_left_out() {
        let of_tomorrow = r#"{"id":"00000000-0000-0000-0000-000000000001","at":"2026-01-01T00:00:00Z",
            "type":"peer.painted","colour":"red"}"#;
        let event: Event = serde_json::from_str(of_tomorrow).unwrap();
        assert_eq!(meant(event.what, PeerId::of_spki(b"own")), None);
    }
}
