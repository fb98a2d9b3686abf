//! The bus: places, restarts, watchers that are late, and what the directory tells.

use std::{fs, path::PathBuf};

use p2p_proto::{ContentHash, Visibility, rest::publications::Publication};

use super::*;
use crate::events::{Event, state::WAITING};

struct Home {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            path: folder.path().join("events"),
            _folder: folder,
        }
    }

    fn bus(&self) -> Bus {
        Bus::open(&self.path).unwrap()
    }
}

const ANA: AccountId = AccountId {
    cluster: Uuid::from_u128(1),
    user: Uuid::from_u128(2),
};

fn mark(last: u128) -> Mark {
    Mark {
        cluster: ANA.cluster,
        last: Uuid::from_u128(last),
    }
}

fn publication(number: u128) -> Publication {
    Publication {
        id: Uuid::from_u128(number),
        owner: "ana".parse().unwrap(),
        name: format!("{number}.tar").parse().unwrap(),
        version: 1,
        hash: ContentHash::of(&number.to_le_bytes()),
        size: 1,
        visibility: Visibility::Public,
        published_at: Timestamp::UNIX_EPOCH,
    }
}

fn stored(number: u128) -> What {
    What::Stored {
        publication: publication(number),
    }
}

fn published(number: u128) -> What {
    What::Published {
        publication: publication(number),
    }
}

fn lines(events: &[Arc<Event>]) -> Vec<String> {
    events.iter().map(|event| event.what.line()).collect()
}

/// All that follows the event with this id now, however many readings that takes.
fn all_after(bus: &Bus, after: &str) -> Vec<Arc<Event>> {
    use futures::FutureExt;
    let mut watcher = bus.watch(after);
    let mut all = Vec::new();
    while let Some(batch) = watcher.next().now_or_never() {
        all.extend(batch);
    }
    all
}

fn id(event: &Event) -> String {
    event.place.to_string()
}

#[tokio::test]
async fn a_watcher_goes_on_after_a_restart_without_loss_or_repetition() {
    let home = Home::new();
    let bus = home.bus();
    let (mut one, mut other) = (bus.watch(""), bus.watch(""));
    for number in 1..=3 {
        bus.tell(stored(number));
    }
    bus.flush().await;
    let seen = one.next().await;
    assert_eq!(
        lines(&seen),
        [
            "ana/1.tar@1 is stored here",
            "ana/2.tar@1 is stored here",
            "ana/3.tar@1 is stored here"
        ]
    );
    assert_eq!(other.next().await, seen, "two see the same");
    drop((bus, one, other));
    let bus = home.bus();
    bus.tell(stored(4));
    bus.flush().await;
    let rest = all_after(&bus, &id(&seen[1]));
    assert_eq!(
        lines(&rest),
        ["ana/3.tar@1 is stored here", "ana/4.tar@1 is stored here"]
    );
    assert_eq!(rest[0], seen[2]);
    assert!(
        rest[1].place >= rest[0].place + (1 << 20) - 1,
        "no place is given twice"
    );
    assert!(all_after(&bus, &id(&rest[1])).is_empty());
}

#[tokio::test]
async fn an_id_that_is_not_known_gets_events_lost_and_the_oldest_that_is_kept() {
    let home = Home::new();
    let bus = home.bus();
    for number in 1..=2 {
        bus.tell(stored(number));
    }
    bus.flush().await;
    let all = all_after(&bus, "not an id");
    assert_eq!(all[0].what.word(), "events.lost");
    assert_eq!(
        lines(&all[1..]),
        ["ana/1.tar@1 is stored here", "ana/2.tar@1 is stored here"]
    );
    // Who goes on after the word of the loss hears nothing twice, and nothing is lost anew.
    assert_eq!(all_after(&bus, &id(&all[0])), all[1..]);
    let future = (all[2].place + 1).to_string();
    assert_eq!(all_after(&bus, &future)[0].what.word(), "events.lost");
    // The folder was thrown away: what is known of it is of no use.
    let last = id(&all[2]);
    drop(bus);
    fs::remove_file(&home.path).unwrap();
    let again = all_after(&home.bus(), &last);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].what.word(), "events.lost");
}

#[tokio::test]
async fn so_many_are_kept_and_who_is_later_hears_of_the_loss() {
    let home = Home::new();
    let bus = home.bus();
    let mut slow = bus.watch("");
    let tell = async |from: u128, count: usize| {
        for number in 0..count as u128 {
            bus.tell(stored(from + number));
            if number % 1000 == 0 {
                bus.flush().await;
            }
        }
        bus.flush().await;
    };
    tell(0, KEPT).await;
    let first = slow.next().await;
    assert_eq!((first.len(), first[0].what.word()), (64, "file.stored"));
    tell(10_000, 2 * KEPT + 3).await;
    let next = slow.next().await;
    assert_eq!(next[0].what.word(), "events.lost");
    assert_eq!(
        all_after(&bus, &id(&next[0])).len(),
        KEPT,
        "and no more than are kept"
    );
    let size = fs::read_to_string(&home.path).unwrap().lines().count();
    assert!(size <= 2 * KEPT + 1, "{size} lines");
    let kept = all_after(&bus, &id(&next[0]));
    drop((bus, slow));
    assert_eq!(all_after(&home.bus(), &id(&next[0])), kept);
}

#[tokio::test]
async fn what_nobody_writes_is_counted_and_holds_nobody_up() {
    let home = Home::new();
    let bus = home.bus();
    let mut watcher = bus.watch("");
    for number in 0..WAITING as u128 + 7 {
        bus.tell(stored(number));
    }
    bus.flush().await;
    let mut all = watcher.next().await;
    while all.len() <= WAITING {
        all.extend(watcher.next().await);
    }
    // The oldest may be forgotten already; the word comes at its place, at the end.
    assert_eq!(
        all.last().unwrap().what.line(),
        "some events are missing here: 7 were told faster than they could be written"
    );
}

#[tokio::test]
async fn a_file_that_takes_nothing_keeps_nobody_from_watching() {
    let home = Home::new();
    let bus = home.bus();
    let mut watcher = bus.watch("");
    // The file's next self cannot be made, and the file itself takes nothing: a folder is in its place.
    fs::create_dir(home.path.with_extension("next")).unwrap();
    lock(&bus.0.log).spoil();
    bus.tell(stored(1));
    bus.flush().await;
    assert_eq!(lines(&watcher.next().await), ["ana/1.tar@1 is stored here"]);
    fs::remove_dir(home.path.with_extension("next")).unwrap();
    bus.tell(stored(2));
    bus.flush().await;
    drop((bus, watcher));
    let kept = all_after(&home.bus(), "?");
    assert_eq!(
        lines(&kept[1..]),
        ["ana/1.tar@1 is stored here", "ana/2.tar@1 is stored here"]
    );
}

#[tokio::test]
async fn what_the_directory_tells_is_told_once() {
    let home = Home::new();
    let bus = home.bus();
    assert_eq!(bus.heard_up_to(ANA.cluster), None);
    bus.hear(ANA, Vec::new(), mark(10));
    // This peer's own comes first from itself, and again with a kill in between.
    bus.tell(published(1));
    let page = || {
        let event = |id, what| (Uuid::from_u128(id), Timestamp::UNIX_EPOCH, what);
        vec![event(11, published(1)), event(12, published(2))]
    };
    bus.hear(ANA, page(), mark(12));
    bus.tell(published(2));
    bus.flush().await;
    let told = |bus: &Bus| lines(&all_after(bus, "?")[1..]);
    let both = ["ana/1.tar@1 is published", "ana/2.tar@1 is published"];
    assert_eq!(told(&bus), both);
    assert_eq!(bus.heard_up_to(ANA.cluster), Some(Uuid::from_u128(12)));
    assert_eq!(bus.heard_up_to(Uuid::from_u128(9)), None);
    drop(bus);
    // Cut before the mark: the page comes again.
    let file = fs::read_to_string(&home.path).unwrap();
    let before_mark = file.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(&home.path, format!("{before_mark}\n")).unwrap();
    let bus = home.bus();
    assert_eq!(bus.heard_up_to(ANA.cluster), Some(Uuid::from_u128(10)));
    bus.hear(ANA, page(), mark(12));
    bus.flush().await;
    assert_eq!(told(&bus), both);
    drop(bus);
    assert_eq!(home.bus().heard_up_to(ANA.cluster), Some(Uuid::from_u128(12)));
}

#[tokio::test]
async fn a_directory_goes_and_comes_back_in_turn() {
    let home = Home::new();
    let bus = home.bus();
    let directory = || "dir.lab".to_owned();
    let back = || What::DirectoryBack {
        directory: directory(),
    };
    let away = || What::DirectoryAway {
        directory: directory(),
        reason: "dir.lab cannot be reached".to_owned(),
    };
    bus.tell(back());
    bus.tell(away());
    bus.tell(away());
    bus.flush().await;
    drop(bus);
    let bus = home.bus();
    bus.tell(away());
    bus.tell(back());
    bus.tell(back());
    bus.flush().await;
    assert_eq!(
        lines(&all_after(&bus, "?")[1..]),
        [
            "the directory is away: dir.lab cannot be reached",
            "dir.lab answers again"
        ]
    );
}

#[tokio::test]
async fn what_is_being_written_was_told_already() {
    let home = Home::new();
    let bus = home.bus();
    let away = || What::DirectoryAway {
        directory: "dir.lab".into(),
        reason: "dir.lab does not answer".into(),
    };
    let back = || What::DirectoryBack {
        directory: "dir.lab".into(),
    };
    bus.tell(published(1));
    bus.tell(away());
    {
        let mut state = bus.state();
        assert_eq!(state.take_waiting().len(), 2);
        for what in [published(1), away(), back(), back()] {
            state.tell(None, what);
        }
        state.written();
    }
    bus.flush().await;
    assert_eq!(
        lines(&all_after(&bus, "?"))[1..],
        [published(1), away(), back()].map(|what| what.line())
    );
}
