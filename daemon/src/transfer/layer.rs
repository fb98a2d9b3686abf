//! The layer of a content, from the first holder that gives a true one. A holder that is slow to give it does not hold up
//! the others: they are asked beside it. Owns nothing; a layer counts when it is whole.

use std::{sync::Arc, time::Instant};

use p2p_proto::rest::location::LocateResponse;
use tokio::task::JoinSet;

use super::{
    Halt,
    pace::Flow,
    plan::OVERDUE,
    roll::Roll,
    swarm::{LOOK, MAX_SOURCES, Swarm, locate_again},
};
use crate::{
    identity::session::Session,
    peer::{
        dial::Target,
        words::{self, CallError},
    },
    store::{ChainingValue, Layer},
};

/// A holder's answer.
type Answer = (Target, Result<Layer, CallError>);

/// Asks one holder after another, and the next one too when what the others have given of it after [`OVERDUE`] is less
/// than a fair pace: a large layer that comes well is fetched once. A content of one group has none, and of a content
/// that was begun before it may be here.
///
/// Who gave it is not asked later: the publication says the size, so the tree has one form, and values that merge to the
/// hash in that form are the content's. Were the size false, no holder of the hash could open the content at all.
pub(super) async fn fetch_layer(
    swarm: &Arc<Swarm>,
    session: &Arc<Session>,
    located: &mut LocateResponse,
    roll: &mut Roll,
) -> Result<(), Halt> {
    let nothing_to_ask = Layer::group_count(swarm.publication.size) == 0;
    if nothing_to_ask || swarm.incoming.layer().is_some() {
        return Ok(());
    }
    swarm.connects("");
    let mut asked = JoinSet::new();
    let mut flow = Flow::new((0, swarm.plan.done()), true, Instant::now());
    let mut look = tokio::time::interval(LOOK);
    let mut told = String::new();
    let layer = loop {
        if asked.is_empty() && !ask_next(swarm, session, located, roll, &mut asked) {
            *located = locate_again(swarm, session, roll).await?;
            continue;
        }
        tokio::select! {
            Some(ended) = asked.join_next() => {
                let Ok((target, answer)) = ended else { continue };
                let error = match answer {
                    Ok(layer) => break layer,
                    Err(error) => error,
                };
                if let Some(fatal) = roll.note(swarm, session, &target, Err(error.into())) {
                    return Err(fatal.into());
                }
                swarm.connects(roll.reason());
            }
            _ = look.tick() => {
                let bytes = swarm.paces().bytes();
                flow.look((bytes, swarm.plan.done(), swarm.publication.size), Instant::now());
                if swarm.paces().all_stalled(Instant::now()) {
                    is_slow(swarm, roll, &mut told);
                    ask_next(swarm, session, located, roll, &mut asked);
                }
                swarm.is_quiet(&mut flow, roll);
            }
        }
    };
    drop(asked);
    roll.is_done(swarm);
    let values = Layer::group_count(swarm.publication.size);
    swarm.download.came(values * size_of::<ChainingValue>() as u64);
    swarm.incoming.set_layer(layer)?;
    Ok(())
}

/// Begins to ask the best holder that is not asked now; false when there is none.
fn ask_next(
    swarm: &Arc<Swarm>,
    session: &Arc<Session>,
    located: &LocateResponse,
    roll: &mut Roll,
    asked: &mut JoinSet<Answer>,
) -> bool {
    if asked.len() >= MAX_SOURCES {
        return false;
    }
    let candidates = roll.candidates(&located.holders);
    let begun = candidates.into_iter().find_map(|target| {
        let (heard, _) = roll.begins(swarm, &target)?;
        Some((target, heard))
    });
    let Some((target, heard)) = begun else {
        return false;
    };
    let (session, grant) = (Arc::clone(session), located.grant.clone());
    let what = (swarm.publication.hash, swarm.publication.size);
    asked.spawn(swarm.transfer.tasks().track_future(async move {
        let answer = words::layer(&session, &target, &grant, what, &heard).await;
        (target, answer)
    }));
    true
}

/// Says who is slow, once for the same ones.
fn is_slow(swarm: &Swarm, roll: &Roll, told: &mut String) {
    let names = roll.asked();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let names = names.join(", ");
    if *told != names {
        let (name, late) = (&swarm.publication.name, OVERDUE.as_secs());
        tracing::info!(
            TRANSFER = swarm.transfer.id,
            CONTENT_HASH = %swarm.publication.hash,
            "{name}: {names} has owed the layer for {late} s; others may give it"
        );
        swarm.connects(&format!("{names} {verb} slow to give what verifies it"));
        *told = names;
    }
}
