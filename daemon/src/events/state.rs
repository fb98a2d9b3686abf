//! What [`super::bus`] knows of the events: those that are kept, those that wait to be written, and how far the directory's
//! are known. Plain data, changed under the bus's lock and never for long.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Event,
    log::{Line, Mark, Written},
    what::What,
};
use crate::store::AccountId;

/// Events that are kept.
pub const KEPT: usize = 4096;

/// Events that wait to be written; more are lost.
pub(super) const WAITING: usize = 4096;

/// Places that are left out between two runs, at least.
const BETWEEN_RUNS: u64 = 1 << 20;

/// Something to be written.
#[derive(Clone)]
pub(super) enum Item {
    Event(Arc<Event>),
    Mark(Mark),
}

impl Item {
    pub fn line(&self) -> Line<'_> {
        match self {
            Self::Event(event) => Line::Event(event),
            Self::Mark(mark) => Line::Directory(*mark),
        }
    }
}

/// The last events that were written, and so may be watched.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// Events after this place are all here.
    pub after: u64,
    /// By place.
    pub events: VecDeque<Arc<Event>>,
    /// How far the directory's are among them.
    pub mark: Option<Mark>,
}

impl Kept {
    /// The place of the last one.
    pub fn last(&self) -> u64 {
        self.events.back().map_or(self.after, |event| event.place)
    }

    /// Adds what was written, and forgets the oldest.
    pub fn add(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Event(event) => self.events.push_back(Arc::clone(event)),
                Item::Mark(mark) => self.mark = Some(*mark),
            }
        }
        while self.events.len() > KEPT {
            self.after = self.events.pop_front().map_or(self.after, |event| event.place);
        }
    }

    /// Whether all that follows this place is here, and the place is one that was given.
    pub fn has(&self, place: u64) -> bool {
        let found = self.events.binary_search_by_key(&place, |event| event.place);
        place == self.after || found.is_ok()
    }

    /// A file with all of it.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let events = self.events.iter().map(|event| Line::Event(event));
        let mark = self.mark.map(Line::Directory);
        std::iter::once(Line::After(self.after))
            .chain(events)
            .chain(mark)
            .collect()
    }
}

/// All of it.
pub(super) struct State {
    /// The place of the next event.
    pub next: u64,
    /// Who is logged in, or was last.
    pub account: Option<AccountId>,
    pub kept: Kept,
    /// What follows those, and is being written.
    writing: Vec<Item>,
    /// What follows those.
    waiting: VecDeque<Item>,
    /// How many were told since then and had no room.
    lost: u64,
    /// What is known of the directory's events.
    mark: Option<Mark>,
    /// The last event of that directory that was told here: at the mark, or after it when a kill came between.
    heard: Option<Uuid>,
}

impl State {
    /// As it was written; `now` is the time in microseconds.
    pub fn of(written: Written, now: u64) -> Self {
        let Written { after, events, mark } = written;
        let last = events.last().map(|last| last.place).or(after);
        let next = last.map_or(0, |last| last + BETWEEN_RUNS).max(now).max(1);
        let first = events.first().map_or(next, |first| first.place);
        let heard = events.iter().filter_map(|event| event.from).next_back();
        let mut kept = Kept {
            after: after.unwrap_or(first - 1),
            events: events.into_iter().map(Arc::new).collect(),
            mark,
        };
        kept.add(&[]);
        Self {
            next,
            account: None,
            kept,
            writing: Vec::new(),
            waiting: VecDeque::new(),
            lost: 0,
            mark,
            heard: heard.max(mark.map(|mark| mark.last)),
        }
    }

    /// Tells what happened now, unless it says nothing new.
    pub fn tell(&mut self, account: Option<AccountId>, what: What) {
        if !self.is_known(&what) {
            self.push(Timestamp::now(), account, None, what);
        }
    }

    /// See [`super::Bus::hear`].
    pub fn hear(&mut self, account: AccountId, events: Vec<(Uuid, Timestamp, What)>, mark: Mark) {
        if self.mark.is_some_and(|before| before.cluster != mark.cluster) {
            self.heard = None;
        }
        for (id, at, what) in events {
            if self.heard.is_none_or(|heard| id > heard) && !self.is_known(&what) {
                self.push(at, Some(account), Some(id), what);
            }
            self.heard = self.heard.max(Some(id));
        }
        self.heard = self.heard.max(Some(mark.last));
        if self.mark != Some(mark) {
            self.mark = Some(mark);
            // Marks without events between them are one.
            if let Some(Item::Mark(_)) = self.waiting.back() {
                self.waiting.pop_back();
            }
            self.waiting.push_back(Item::Mark(mark));
        }
    }

    /// The directory's events begin anew: what comes now may have lower ids than what was heard.
    pub const fn hears_anew(&mut self) {
        self.heard = None;
    }

    pub fn heard_up_to(&self, cluster: Uuid) -> Option<Uuid> {
        let mark = self.mark.filter(|mark| mark.cluster == cluster);
        mark.map(|mark| mark.last)
    }

    /// What is to be written, with a word for what had no room; [`Self::written`] must follow.
    pub fn take_waiting(&mut self) -> Vec<Item> {
        let lost = std::mem::take(&mut self.lost);
        let mut items: Vec<Item> = std::mem::take(&mut self.waiting).into();
        if lost > 0 {
            let reason = format!("{lost} were told faster than they could be written");
            self.push(Timestamp::now(), None, None, What::Lost { reason });
            items.extend(self.waiting.drain(..));
        }
        self.writing.clone_from(&items);
        items
    }

    /// What was to be written is, or could not be: it may be watched. The place of the last event.
    pub fn written(&mut self) -> u64 {
        let items = std::mem::take(&mut self.writing);
        self.kept.add(&items);
        self.kept.last()
    }

    fn push(&mut self, at: Timestamp, account: Option<AccountId>, from: Option<Uuid>, what: What) {
        if self.waiting.len() >= WAITING {
            self.lost += 1;
            return;
        }
        let event = Event {
            place: self.next,
            at,
            account,
            from,
            what,
        };
        self.next += 1;
        self.waiting.push_back(Item::Event(Arc::new(event)));
    }

    fn newest_first(&self) -> impl Iterator<Item = &Event> {
        let unwritten = self.writing.iter().chain(&self.waiting).rev();
        let unwritten = unwritten.filter_map(|item| match item {
            Item::Event(event) => Some(&**event),
            Item::Mark(_) => None,
        });
        unwritten.chain(self.kept.events.iter().rev().map(|event| &**event))
    }

    /// It was told already, here or by the directory.
    fn is_known(&self, what: &What) -> bool {
        match what {
            What::Published { .. } | What::Withdrawn { .. } => {
                self.newest_first().any(|event| event.what.is_the_same(what))
            }
            What::DirectoryAway { .. } => self.directory_is_away(),
            // One that was not away does not come back.
            What::DirectoryBack { .. } => !self.directory_is_away(),
            _ => false,
        }
    }

    fn directory_is_away(&self) -> bool {
        let mut told = self.newest_first().filter_map(|event| match event.what {
            What::DirectoryAway { .. } => Some(true),
            What::DirectoryBack { .. } => Some(false),
            _ => None,
        });
        told.next().unwrap_or(false)
    }
}
