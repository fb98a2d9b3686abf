//! How a transfer runs: it goes, waits and stands still until it is over or the daemon stops. What came is durable before
//! anything that may last.

use std::{sync::Arc, time::Duration};

use p2p_proto::{Failure, FailureKind};

use super::{
    Halt, Shared,
    copy::{self, Copy},
    download::{self, Fetch},
    job::Keep,
    progress::{self, Intent, State, Transfer},
};
use crate::store::StoreError;

/// The first pause of a transfer that waits, and the longest: each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What a transfer has to do.
pub(super) enum Work {
    Fetch(Fetch),
    Copy(Copy),
}

impl Work {
    /// Waits until another transfer wants the place in the store that this one has.
    async fn is_in_the_way(&self) {
        match self {
            Self::Fetch(Fetch {
                place: Some(place), ..
            }) => place.is_shared().await,
            _ => std::future::pending().await,
        }
    }

    /// Others may fetch the same content.
    fn leave_the_line(&mut self) {
        if let Self::Fetch(fetch) = self {
            fetch.place = None;
        }
    }
}

/// How a run ended.
enum End {
    /// For good.
    Over(Result<(), Failure>),
    /// The daemon stops; it goes on after the next start.
    Later,
}

/// Runs one transfer to its end, whatever that is.
pub(super) async fn run(shared: Arc<Shared>, transfer: Arc<Transfer>, mut work: Work) {
    let end = drive(&shared, &transfer, &mut work).await;
    match end {
        End::Later if !transfer.job.survives() => {
            let over = Err(progress::interrupted("p2pd stops; start it again"));
            finish(&shared, &transfer, work, over).await;
        }
        End::Later => {
            if let Err(error) = step_aside(&transfer, &mut work).await {
                tracing::warn!(TRANSFER = transfer.id, "{}: {error}", transfer.name());
            }
            shared.note(&transfer, true);
            let message = format!("p2pd stops; transfer {} goes on when it runs again", transfer.id);
            transfer.finish(Err(Failure::new(FailureKind::Unreachable, message)));
        }
        End::Over(result) => finish(&shared, &transfer, work, result).await,
    }
    shared.journal.flush().await;
}

/// It is over: what nobody wants goes.
async fn finish(shared: &Shared, transfer: &Transfer, mut work: Work, result: Result<(), Failure>) {
    transfer.settled().await;
    let cancelled = result.is_err() && transfer.intent() == Intent::Cancel;
    match &mut work {
        Work::Fetch(fetch) if cancelled || transfer.job.brings().is_none() => {
            throw_away(shared, transfer, fetch).await;
        }
        _ => drop(transfer.let_go()),
    }
    work.leave_the_line();
    shared.end(transfer, result);
}

/// How long what reads a content that is thrown away may take to let go of it.
const LETTING_GO: Duration = Duration::from_secs(2);

/// This one does not want what came; another transfer of the content may.
async fn throw_away(shared: &Shared, transfer: &Transfer, fetch: &mut Fetch) {
    let incoming = transfer.let_go();
    if matches!(fetch.keep, Keep::OnlyIn(_)) {
        return;
    }
    let hash = fetch.publication.hash;
    // What an earlier one had kept is not this one's.
    let others = matches!(fetch.keep, Keep::Nowhere)
        && incoming
            .as_ref()
            .is_some_and(|incoming| incoming.resumed_bytes() > 0);
    let wanted = || shared.others_bring(transfer.id, hash);
    let done = if others || wanted() {
        match incoming {
            Some(incoming) => incoming.checkpoint().await,
            None => return,
        }
    } else {
        drop(incoming);
        if !fetch.in_line(shared, transfer.id).is_first() {
            // It is in the hands of another one.
            return;
        }
        // Whoever hands it on lets go in a moment.
        let discarded = shared.store.discard_within(hash, LETTING_GO, wanted).await;
        discarded.map(drop)
    };
    match done {
        Ok(()) => {}
        Err(StoreError::Busy { .. }) => {
            tracing::debug!(CONTENT_HASH = %hash, "what came is read still, and stays");
        }
        Err(error) => {
            tracing::warn!(TRANSFER = transfer.id, CONTENT_HASH = %hash, "{}: {error}", fetch.publication.name);
        }
    }
}

/// Makes durable what came, and leaves it to whoever fetches the content next.
async fn step_aside(transfer: &Transfer, work: &mut Work) -> Result<(), StoreError> {
    transfer.settled().await;
    let durable = match transfer.let_go() {
        Some(incoming) => incoming.checkpoint().await,
        None => Ok(()),
    };
    work.leave_the_line();
    durable
}

/// Goes, waits, stands still, as it must, until it is over or the daemon stops.
async fn drive(shared: &Arc<Shared>, transfer: &Arc<Transfer>, work: &mut Work) -> End {
    let soft = shared.lifecycle.soft().clone();
    let mut pause = FIRST_PAUSE;
    loop {
        match transfer.intent() {
            Intent::Run => {}
            Intent::Cancel => return End::Over(Err(progress::interrupted("cancelled"))),
            Intent::Pause => {
                if let Err(error) = step_aside(transfer, work).await {
                    return End::Over(Err(error.into()));
                }
                transfer.enter(State::Paused, progress::how_to_resume(transfer.id));
                tokio::select! {
                    _ = transfer.intends_other_than(Intent::Pause) => {}
                    () = soft.cancelled() => return End::Later,
                }
                transfer.enter(State::Queued, "");
                shared.note(transfer, true);
                continue;
            }
        }
        let before = transfer.progress().done;
        transfer.settled().await;
        let went = tokio::select! {
            biased;
            () = soft.cancelled() => return End::Later,
            () = is_stopped(transfer) => continue,
            () = shared.logged_out(transfer.id) => Err(Halt::Wait(Failure::not_logged_in())),
            went = go(shared, transfer, work) => went,
        };
        let why = match went {
            Ok(()) => return End::Over(Ok(())),
            Err(Halt::Failed(failure)) => return End::Over(Err(failure)),
            Err(Halt::Wait(why)) => why,
        };
        if transfer.progress().done > before {
            pause = FIRST_PAUSE;
        }
        // This may last, and what came shall not depend on it.
        if let Some(incoming) = transfer.incoming()
            && let Err(error) = incoming.checkpoint().await
        {
            tracing::warn!(TRANSFER = transfer.id, "{}: {error}", transfer.name());
        }
        transfer.enter(State::Waiting, why.message);
        match wait(shared, transfer, work, pause).await {
            Next::Later => return End::Later,
            Next::InTime => pause = (pause * 2).min(LONGEST_PAUSE),
            Next::Now => {}
        }
    }
}

/// Somebody wants it to stop, and that is not too late.
async fn is_stopped(transfer: &Transfer) {
    transfer.intends_other_than(Intent::Run).await;
    if transfer.is_being_kept() {
        std::future::pending::<()>().await;
    }
}

/// Why a wait is over.
enum Next {
    /// Its time is.
    InTime,
    /// Something changed.
    Now,
    /// The daemon stops.
    Later,
}

/// Waits for the next go, and is in nobody's way meanwhile.
async fn wait(shared: &Shared, transfer: &Transfer, work: &mut Work, pause: Duration) -> Next {
    let next = async {
        tokio::select! {
            () = tokio::time::sleep(pause) => Next::InTime,
            () = shared.look_again.notified() => Next::Now,
            _ = transfer.intends_other_than(Intent::Run) => Next::Now,
            () = shared.lifecycle.soft().cancelled() => Next::Later,
        }
    };
    tokio::pin!(next);
    tokio::select! {
        next = &mut next => return next,
        () = work.is_in_the_way() => {}
    }
    if let Err(error) = step_aside(transfer, work).await {
        tracing::warn!(TRANSFER = transfer.id, "{}: {error}", transfer.name());
    }
    next.await
}

async fn go(shared: &Arc<Shared>, transfer: &Arc<Transfer>, work: &mut Work) -> Result<(), Halt> {
    shared.is_of_this_account(transfer.id)?;
    match work {
        Work::Fetch(fetch) => download::go(shared, transfer, fetch).await,
        Work::Copy(copy) => copy::go(shared, transfer, copy).await,
    }
}
