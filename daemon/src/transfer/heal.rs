//! What was found damaged is fetched anew, where another peer has it: a watcher that begins transfers for each. The store
//! keeps what is still good of it, so only the rest comes. A content may have several publications, each with holders of
//! its own: they are tried in turn, and all again from time to time, ever more seldom. In memory; a restart begins anew.

use std::{collections::HashMap, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use p2p_proto::{ContentHash, FailureKind};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    Order, Transfers,
    progress::{Intent, State, Transfer},
};
use crate::store::{Damaged, Store};

/// How long after a first round the next one begins; each pause is twice the one before.
const AGAIN: Duration = Duration::from_secs(600);

/// The longest pause, in such times.
const LONGEST_REST: u32 = 32;

/// Contents that are tried at once; the others come after them.
const AT_ONCE: usize = 32;

/// Begins a round for each damaged content, now, whenever one is found and from time to time, until `stop`.
///
/// # Errors
/// None; the signature is that of a service task.
pub async fn heal_task(transfers: Transfers, store: Store, stop: CancellationToken) -> anyhow::Result<()> {
    let mut found = store.subscribe_damage();
    let mut sessions = transfers.0.sessions.subscribe();
    let mut again = interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cases = Cases::default();
    let mut rounds = FuturesUnordered::new();
    loop {
        found.borrow_and_update();
        sessions.borrow_and_update();
        if transfers.0.sessions.current().is_some() {
            match store.damaged().await {
                Ok(damaged) => {
                    let due = cases.due(damaged).into_iter();
                    rounds.extend(due.map(|content| round(transfers.clone(), content)));
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = found.changed() => changed?,
            changed = sessions.changed() => {
                changed?;
                cases.look_again();
            }
            _ = again.tick() => cases.time_goes_by(),
            Some(hash) = rounds.next() => cases.tried(hash),
        }
    }
}

/// What is known of the contents that are damaged.
#[derive(Default)]
struct Cases(HashMap<ContentHash, Case>);

struct Case {
    /// When the damage was found: one that is found later is another one.
    found_at: Timestamp,
    /// A round goes on.
    in_hand: bool,
    /// Rounds that came to nothing.
    rounds: u32,
    /// It is left alone for so many times [`AGAIN`].
    rest: u32,
}

impl Cases {
    /// Which of those that are damaged now a round shall begin for; they are in hand from now on.
    fn due(&mut self, damaged: Vec<Damaged>) -> Vec<Damaged> {
        self.0
            .retain(|hash, case| case.in_hand || damaged.iter().any(|content| content.hash == *hash));
        let mut busy = self.0.values().filter(|case| case.in_hand).count();
        let mut due = Vec::new();
        for content in damaged {
            let found_at = content.found_at;
            let case = self.0.entry(content.hash).or_insert_with(|| Case::new(&content));
            if case.found_at != found_at && !case.in_hand {
                *case = Case::new(&content);
            }
            if case.in_hand || case.rest > 0 || busy >= AT_ONCE || content.publications.is_empty() {
                continue;
            }
            case.in_hand = true;
            busy += 1;
            due.push(content);
        }
        due
    }

    /// A round has ended; a next one is due when the content is damaged still.
    fn tried(&mut self, hash: ContentHash) {
        if let Some(case) = self.0.get_mut(&hash) {
            case.in_hand = false;
            case.rest = 1_u32
                .checked_shl(case.rounds)
                .unwrap_or(LONGEST_REST)
                .min(LONGEST_REST);
            case.rounds += 1;
        }
    }

    /// It is [`AGAIN`] later.
    fn time_goes_by(&mut self) {
        for case in self.0.values_mut() {
            case.rest = case.rest.saturating_sub(1);
        }
    }

    /// What came to nothing may come to something now.
    fn look_again(&mut self) {
        for case in self.0.values_mut() {
            (case.rounds, case.rest) = (0, 0);
        }
    }
}

impl Case {
    /// Tells of it, once.
    fn new(content: &Damaged) -> Self {
        if let Some(publication) = content.publications.first() {
            tracing::info!(CONTENT_HASH = %content.hash, "{} is damaged: {}; it is fetched anew",
                publication.name, content.reason);
        }
        Self {
            found_at: content.found_at,
            in_hand: false,
            rounds: 0,
            rest: 0,
        }
    }
}

/// Tries the content's publications, each when the one before came to nothing or waits. Only the last one waits for a
/// holder that may come. Whose copy somebody paused or cancelled is left alone for this time.
async fn round(transfers: Transfers, content: Damaged) -> ContentHash {
    for running in transfers.0.registry.that_bring(content.hash) {
        if matches!(came_to(&running).await, Came::Over) {
            return content.hash;
        }
    }
    let last = content.publications.last().map(|publication| publication.id);
    for publication in content.publications {
        let (id, name) = (publication.id, publication.name.clone());
        if !transfers.holds(id).await {
            continue;
        }
        let order = Order {
            wait: Some(id) == last,
            ..Order::copy(publication, None)
        };
        match transfers.start(order).await {
            Ok(begun) => {
                if !transfers.holds(id).await {
                    // Removed in this moment.
                    begun.transfer.want(Intent::Cancel);
                }
                if matches!(came_to(&begun.transfer).await, Came::Over) {
                    break;
                }
            }
            Err(failure) => {
                tracing::warn!(CONTENT_HASH = %content.hash, "{name} cannot be fetched anew: {failure}");
                break;
            }
        }
    }
    content.hash
}

/// What a transfer has come to, for now.
enum Came {
    /// The content is whole, or somebody does not want it fetched.
    Over,
    /// It came to nothing, or waits: another publication may help.
    Nothing,
}

async fn came_to(transfer: &Transfer) -> Came {
    let mut progress = transfer.subscribe();
    let stands = progress
        .wait_for(|now| now.state.is_final() || matches!(now.state, State::Waiting | State::Paused))
        .await;
    match stands.as_deref().map(|now| &now.state) {
        Ok(State::Failed(failure)) if failure.kind == FailureKind::Interrupted => Came::Over,
        Ok(State::Failed(_) | State::Waiting) => Came::Nothing,
        _ => Came::Over,
    }
}

#[cfg(test)]
mod tests {
    use p2p_proto::{Visibility, rest::publications::Publication};
    use uuid::Uuid;

    use super::*;

    fn damaged(number: u64, second: i64) -> Damaged {
        let hash = ContentHash::of(&number.to_le_bytes());
        Damaged {
            hash,
            size: 1,
            reason: "a test".to_owned(),
            found_at: Timestamp::from_second(second).unwrap(),
            publications: vec![Publication {
                id: Uuid::from_u128(number.into()),
                owner: "ana".parse().unwrap(),
                name: "scan.tar".parse().unwrap(),
                version: 1,
                hash,
                size: 1,
                visibility: Visibility::Public,
                published_at: Timestamp::UNIX_EPOCH,
            }],
        }
    }

    #[test]
    fn what_stays_damaged_is_tried_again_ever_more_seldom() {
        let (mut cases, one) = (Cases::default(), || vec![damaged(1, 1)]);
        let hash = one()[0].hash;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(cases.due(one()).len(), 1);
            assert_eq!(cases.due(one()).len(), 0, "one round at a time");
            cases.tried(hash);
            let mut pause = 0;
            while cases.0[&hash].rest > 0 {
                assert_eq!(cases.due(one()).len(), 0, "it rests");
                cases.time_goes_by();
                pause += 1;
            }
            pauses.push(pause);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn what_is_found_anew_is_tried_at_once_and_what_is_healed_is_forgotten() {
        let mut cases = Cases::default();
        let hash = damaged(1, 1).hash;
        assert_eq!(cases.due(vec![damaged(1, 1)]).len(), 1);
        cases.tried(hash);
        assert_eq!(cases.due(vec![damaged(1, 1)]).len(), 0);
        assert_eq!(cases.due(vec![damaged(1, 2)]).len(), 1, "found later");
        cases.tried(hash);
        cases.look_again();
        assert_eq!(cases.due(vec![damaged(1, 2)]).len(), 1, "a session began");
        cases.tried(hash);
        assert_eq!(cases.due(Vec::new()).len(), 0);
        assert!(cases.0.is_empty());
    }

    #[test]
    fn only_so_many_are_in_hand() {
        let mut cases = Cases::default();
        let all = || (0..100).map(|number| damaged(number, 1)).collect::<Vec<_>>();
        assert_eq!(cases.due(all()).len(), AT_ONCE);
        assert_eq!(cases.due(all()).len(), 0);
        cases.tried(all()[0].hash);
        let next = cases.due(all());
        assert_eq!((next.len(), next[0].hash), (1, all()[AT_ONCE].hash));
    }
}
