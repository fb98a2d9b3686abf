//! One holder in a swarm: brings pieces as long as the plan has work. Every piece is verified by the store on its way
//! in; one that fails ends the source, so that a bad holder costs one piece.

use std::{collections::VecDeque, sync::Arc};

use p2p_proto::rest::reports::Fault;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    plan::{OVERDUE, Piece, SourceId},
    progress::Heard,
    swarm::Swarm,
};
use crate::{
    identity::session::Session,
    peer::{
        dial::{self, Target},
        frames::{
            codec::{Range, Reason},
            receiver::{ReceiveError, Receiver},
        },
        words::{self, CallError},
    },
    store::{Buffer, StoreError},
};

/// Requests on their way to one holder.
const OUTSTANDING: usize = 2;

/// Why a source gives nothing more.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be reached, broke off, or refused.
    #[error("{0}")]
    Gone(String),
    /// The grant is over: another one is needed.
    #[error("the grant was refused")]
    Grant,
    /// Others are faster, or wait for its place.
    #[error("is too slow")]
    Slow,
    /// It sent what is not the content.
    #[error("sent {}", words::fault_word(*.0))]
    Bad(Fault),
    /// This side's store failed: no source can help.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for SourceError {
    fn from(error: std::io::Error) -> Self {
        Self::Gone(words::gone(&error))
    }
}

impl From<CallError> for SourceError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Grant => Self::Grant,
            CallError::Bad(fault) => Self::Bad(fault),
            CallError::Gone(why) | CallError::Refused(why) => Self::Gone(why),
        }
    }
}

impl From<ReceiveError> for SourceError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Refused(Reason::Grant) => Self::Grant,
            ReceiveError::Nonsense | ReceiveError::Frame(_) => Self::Bad(Fault::Protocol),
            ReceiveError::Io(error) => error.into(),
            other => Self::Gone(other.to_string()),
        }
    }
}

/// What its swarm gives a source.
pub struct Place {
    /// Its number.
    pub id: SourceId,
    /// Told of every byte that comes.
    pub heard: Heard,
    /// It shall end.
    pub given_up: CancellationToken,
}

/// Brings pieces until the plan has no more work, the source fails, or it loses its place. What it had asked for goes
/// back.
pub async fn bring_pieces(
    swarm: Arc<Swarm>,
    session: Arc<Session>,
    target: Target,
    grant: Arc<str>,
    place: Place,
) -> Result<(), SourceError> {
    let mut asked = VecDeque::with_capacity(OUTSTANDING);
    let result = tokio::select! {
        result = pieces(&swarm, &session, &target, &grant, &place, &mut asked) => result,
        () = place.given_up.cancelled() => Err(SourceError::Slow),
    };
    for (_, piece) in &asked {
        swarm.plan.give_back(place.id, piece);
    }
    swarm.asks(&target, None);
    result
}

async fn pieces(
    swarm: &Swarm,
    session: &Session,
    target: &Target,
    grant: &str,
    place: &Place,
    asked: &mut VecDeque<(Range, Piece)>,
) -> Result<(), SourceError> {
    let (id, heard) = (place.id, &place.heard);
    let stream = dial::data(session, target).await?;
    let mut receiver = Receiver::open(stream, grant, swarm.publication.size, heard.clone()).await?;
    let mut buffer = Buffer::new();
    let mut late = false;
    let mut found = None;
    loop {
        while asked.len() < OUTSTANDING
            && let Some(piece) = found.take().or_else(|| swarm.plan.take(id))
        {
            // Noted before it is sent: whatever fails, it goes back.
            let unsent = Range {
                request: 0,
                offset: piece.offset,
                length: piece.length,
            };
            asked.push_back((unsent, piece));
            let range = receiver.request(piece.offset, piece.length).await?;
            if let Some(last) = asked.back_mut() {
                last.0 = range;
            }
        }
        let Some((range, piece)) = asked.front().copied() else {
            // Not asked for anything, it is not silent.
            swarm.asks(target, None);
            found = swarm.plan.work_for(id).await;
            if found.is_none() {
                return Ok(());
            }
            heard.now();
            swarm.asks(target, Some(heard.clone()));
            continue;
        };
        let bytes = {
            let coming = receiver.piece(&range, &mut buffer);
            tokio::pin!(coming);
            match timeout(OVERDUE, &mut coming).await {
                Ok(bytes) => bytes?,
                Err(_) => {
                    if !std::mem::replace(&mut late, true) {
                        swarm.is_late(target);
                    }
                    coming.await?
                }
            }
        };
        // A user's file may hang; that is not this holder's silence.
        let turn = swarm.incoming.turn().await;
        if turn.is_some() {
            swarm.asks(target, None);
        }
        if !tokio::task::block_in_place(|| swarm.incoming.write_piece(piece.offset, bytes))? {
            return Err(SourceError::Bad(Fault::Bytes));
        }
        if turn.is_some() {
            heard.now();
            swarm.asks(target, Some(heard.clone()));
        }
        asked.pop_front();
        swarm.written(&piece, target);
    }
}
