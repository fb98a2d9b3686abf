//! One holder in a swarm: brings pieces as long as the plan has work. Every piece is verified by the store on its way
//! in; one that fails ends the source, so that a bad holder costs one piece.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use p2p_proto::rest::reports::Fault;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
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
    store::{BUFFER_LEN, Buffer, GROUP, StoreError},
};

/// Requests on their way to one holder, at least and at most: as many as two of the largest ask for. Small ones, under a
/// limit, must not wait for each answer of a holder that is far away.
const OUTSTANDING: (u32, u32) = (2, 8);

/// What comes at so many bytes a second is verified and written whole, what is slower group by group, so that it counts as
/// it comes.
const FAST: u64 = 16 << 20;

/// How often a holder hears of a source that may not ask for anything: it closes connections that are idle for 2 min.
const STILL_HERE: Duration = Duration::from_secs(45);

/// For so long a source that may not ask owes nothing, at most.
const LATER: Duration = Duration::from_secs(24 * 3600);

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

/// What a source has asked for.
struct Asking {
    /// Requests on their way, with the pieces that they are parts of.
    asked: VecDeque<(Range, Piece)>,
    /// A piece, and where what was not asked for begins.
    rest: Option<(Piece, u64)>,
    /// How much of the first request has come.
    so_far: u32,
    /// How much came of a group whose rest has not, and so is not verified.
    held: u32,
    /// The holder brings [`FAST`].
    fast: bool,
}

impl Asking {
    const fn new() -> Self {
        Self {
            asked: VecDeque::new(),
            rest: None,
            so_far: 0,
            held: 0,
            fast: false,
        }
    }

    /// This request is on its way.
    fn sent(&mut self, range: Range, piece: Piece) {
        self.asked.push_back((range, piece));
        self.rest = (range.end() < piece.end()).then_some((piece, range.end()));
    }

    /// How much of the first request to take at once: as many whole groups as it has when they come fast, else no more than
    /// up to the end of one.
    fn part(&self, range: &Range, piece: &Piece) -> u32 {
        let (from, end) = (range.offset + u64::from(self.so_far), range.end());
        let of_group = (from / GROUP + 1) * GROUP;
        let of_whole_groups = match end == piece.end() {
            true => end,
            false => end / GROUP * GROUP,
        };
        let until = match self.fast && self.held == 0 && of_whole_groups > from {
            true => of_whole_groups,
            false => end.min(of_group),
        };
        (until - from) as u32
    }

    /// So much of the first request has come, and took so long.
    fn came(&mut self, part: u32, took: Duration) {
        self.fast = Duration::from_secs_f64(f64::from(part) / FAST as f64) >= took;
        self.so_far += part;
        if self
            .asked
            .front()
            .is_some_and(|(range, _)| range.length == self.so_far)
        {
            self.asked.pop_front();
            self.so_far = 0;
        }
    }
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
    let mut asking = Asking::new();
    let source = Source {
        swarm: &swarm,
        target: &target,
        grant: &grant,
        place: &place,
    };
    let result = tokio::select! {
        result = source.pieces(&session, &mut asking) => result,
        () = place.given_up.cancelled() => Err(SourceError::Slow),
    };
    let rest = asking.rest.iter().map(|(piece, _)| piece);
    for piece in asking.asked.iter().map(|(_, piece)| piece).chain(rest) {
        swarm.plan.give_back(place.id, piece);
    }
    // What of the first one came is not known.
    let will_not_come = asking.asked.iter().skip(1);
    let will_not_come: u64 = will_not_come.map(|(range, _)| u64::from(range.length)).sum();
    swarm.download.not_asked(will_not_come);
    swarm.asks(&target, None);
    result
}

/// One holder, as it is asked.
struct Source<'a> {
    swarm: &'a Swarm,
    target: &'a Target,
    grant: &'a str,
    place: &'a Place,
}

impl Source<'_> {
    async fn pieces(&self, session: &Session, asking: &mut Asking) -> Result<(), SourceError> {
        let (swarm, target) = (self.swarm, self.target);
        let (id, heard) = (self.place.id, &self.place.heard);
        let stream = dial::data(session, target).await?;
        let mut receiver = Receiver::open(stream, self.grant, swarm.publication.size, heard.clone()).await?;
        let mut buffer = Buffer::new();
        let mut late = false;
        loop {
            self.ask(&mut receiver, asking).await?;
            let Some((range, piece)) = asking.asked.front().copied() else {
                // Not asked for anything, it is not silent.
                swarm.asks(target, None);
                let Some(found) = swarm.plan.work_for(id).await else {
                    return Ok(());
                };
                asking.rest = Some((found, swarm.plan.missing_from(&found)));
                heard.now();
                swarm.asks(target, Some(heard.clone()));
                continue;
            };
            let (so_far, part) = (asking.so_far, asking.part(&range, &piece));
            let held = asking.held as usize;
            let bytes = &mut buffer.bytes_mut()[..held + part as usize];
            let coming = receiver.part(&range, so_far, &mut bytes[held..]);
            self.in_time(coming, &mut late).await?;
            let end = range.offset + u64::from(so_far + part);
            if end < piece.end() && !end.is_multiple_of(GROUP) {
                asking.held += part;
                asking.came(part, receiver.took());
                continue;
            }
            let from = end - bytes.len() as u64;
            // A user's file may hang; that is not this holder's silence.
            let turn = swarm.incoming.turn().await;
            if turn.is_some() {
                swarm.asks(target, None);
            }
            if !tokio::task::block_in_place(|| swarm.incoming.write_piece(from, bytes))? {
                return Err(SourceError::Bad(Fault::Bytes));
            }
            if turn.is_some() {
                heard.now();
                swarm.asks(target, Some(heard.clone()));
            }
            asking.held = 0;
            asking.came(part, receiver.took());
            if end == piece.end() {
                swarm.written(&piece, target);
            } else {
                swarm.came(id, &piece, end, target);
            }
        }
    }

    /// What comes, and says once when it takes too long.
    async fn in_time<T>(
        &self,
        coming: impl Future<Output = Result<T, ReceiveError>>,
        late: &mut bool,
    ) -> Result<T, SourceError> {
        tokio::pin!(coming);
        match timeout(OVERDUE, &mut coming).await {
            Ok(came) => Ok(came?),
            Err(_) => {
                if !std::mem::replace(late, true) {
                    self.swarm.is_late(self.target);
                }
                Ok(coming.await?)
            }
        }
    }

    /// Asks for as much as there is to ask for, and as may be asked for.
    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        receiver: &mut Receiver<S>,
        asking: &mut Asking,
    ) -> Result<(), SourceError> {
        let download = &self.swarm.download;
        self.swarm.plan.spare(download.rate().is_some());
        let (least, most) = OUTSTANDING;
        let outstanding = (least * BUFFER_LEN as u32 / download.step()).clamp(least, most);
        while asking.asked.len() < outstanding as usize {
            if asking.rest.is_none() {
                let piece = self.swarm.plan.take(self.place.id);
                asking.rest = piece.map(|piece| (piece, self.swarm.plan.missing_from(&piece)));
            }
            // It stays there until it is asked for: whatever fails, it goes back.
            let Some((piece, from)) = asking.rest else {
                return Ok(());
            };
            let left = piece.end() - from;
            let length = u64::from(download.step()).min(left) as u32;
            if !download.may_ask(length) {
                if !asking.asked.is_empty() {
                    return Ok(());
                }
                self.wait_to_ask(receiver, length).await?;
            }
            let range = receiver.request(from, length).await?;
            asking.sent(range, piece);
        }
        Ok(())
    }

    /// Waits until this daemon's own limits let it ask. None of that time is the holder's fault.
    async fn wait_to_ask<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        receiver: &mut Receiver<S>,
        length: u32,
    ) -> Result<(), SourceError> {
        let (swarm, id, heard) = (self.swarm, self.place.id, &self.place.heard);
        let _held = swarm.holds();
        swarm.asks(self.target, None);
        swarm.plan.owes_as_of(id, Instant::now() + LATER);
        let waiting = swarm.download.ask(length);
        tokio::pin!(waiting);
        while timeout(STILL_HERE, &mut waiting).await.is_err() {
            receiver.reopen(self.grant, swarm.publication.size).await?;
        }
        swarm.plan.owes_as_of(id, Instant::now());
        heard.now();
        swarm.asks(self.target, Some(heard.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
