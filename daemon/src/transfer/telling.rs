//! What is told of transfers: the steps that matter to somebody who watches, not each state and no byte. A step is told by
//! the journal, after what it says is written: whoever hears that a transfer is done finds it done after a crash too.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use p2p_proto::{Failure, FailureKind};
use tokio::sync::watch;

use super::{
    journal::{AccountId, Journal},
    progress::{Intent, State, Transfer},
};
use crate::events::{Moving, Step, What};

/// Tells of one transfer.
pub(super) struct Voice {
    journal: Arc<Journal>,
    account: Option<AccountId>,
    moving: Moving,
    /// Who may hear of it.
    users: watch::Receiver<BTreeSet<u32>>,
    /// What was told last.
    last: Mutex<Option<Step>>,
}

impl Voice {
    /// Of this transfer, of which others know how it stands now.
    pub fn of(transfer: &Transfer, journal: Arc<Journal>, account: Option<AccountId>) -> Self {
        let known = step(&transfer.progress().state, None);
        Self {
            journal,
            account,
            moving: Moving::of(transfer),
            users: transfer.subscribe_users(),
            last: Mutex::new(known),
        }
    }

    /// It came to this state, which is not its end.
    pub fn entered(&self, state: &State, reason: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(step) = step(state, *last) else { return };
        if *last != Some(step) {
            *last = Some(step);
            self.says(step, reason);
        }
    }

    /// Says that it waits for its turn: it is new.
    pub fn is_queued(&self) {
        self.says(Step::Queued, "");
    }

    /// Says this, after what is noted of it.
    pub fn says(&self, step: Step, reason: &str) {
        let what = What::Transfer {
            step,
            transfer: Moving {
                users: self.users.borrow().clone(),
                ..self.moving.clone()
            },
            reason: reason.to_owned(),
        };
        what.log();
        self.journal.tell(self.account, what);
    }
}

/// What it is called when it ends so, while that was wanted of it; and why.
pub(super) fn end(result: &Result<(), Failure>, wanted: Intent) -> (Step, String) {
    match result {
        Ok(()) => (Step::Done, String::new()),
        Err(failure) if wanted == Intent::Cancel && failure.kind == FailureKind::Interrupted => {
            (Step::Cancelled, String::new())
        }
        Err(failure) => (Step::Failed, failure.to_string()),
    }
}

/// What a state is called outside, after that was told. One that waits, and asks again whether it must, waits.
fn step(state: &State, last: Option<Step>) -> Option<Step> {
    match state {
        State::Queued => Some(Step::Queued),
        State::Waiting => Some(Step::Waiting),
        State::Paused => Some(Step::Paused),
        State::Transferring | State::Verifying | State::Delivering => Some(Step::Started),
        State::Locating | State::Connecting if last != Some(Step::Waiting) => Some(Step::Started),
        State::Locating | State::Connecting | State::Done(_) | State::Failed(_) => None,
    }
}
