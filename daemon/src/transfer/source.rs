//! One holder in a swarm: asks for its layer, and for pieces as long as the plan has work. Every piece is verified by
//! the store on its way in; one that fails ends the source.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use p2p_proto::v1::{HaveRequest, HelloRequest, LayerRequest};
use tokio::time::timeout;

use super::{
    plan::{Piece, SourceId},
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
        rpc::VERSIONS,
    },
    store::{BUFFER_LEN, Buffer, Layer, StoreError},
};

/// Requests on their way to one holder.
const OUTSTANDING: usize = 2;

/// A holder that lets one answer in words wait for so long is given up: no piece can come before the layer.
const SILENCE: Duration = Duration::from_secs(10);

/// Bytes of one chaining value.
const VALUE_LEN: usize = 32;

/// Why a source gives nothing more.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be reached, broke off, or refused.
    #[error("{0}")]
    Gone(String),
    /// The grant is over: another one is needed.
    #[error("the grant was refused")]
    Grant,
    /// It sent what is not the content.
    #[error("sent bytes that are not the file's")]
    Bad,
    /// This side's store failed: no source can help.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for SourceError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error.kind() {
            // One thing for a person, whichever way the end of the connection showed.
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => {
                Self::Gone("hung up".to_owned())
            }
            _ => Self::Gone(error.to_string()),
        }
    }
}

impl From<tonic::Status> for SourceError {
    fn from(status: tonic::Status) -> Self {
        match status.code() {
            tonic::Code::PermissionDenied => Self::Grant,
            _ => Self::Gone(status.message().to_owned()),
        }
    }
}

impl From<ReceiveError> for SourceError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Refused(Reason::Grant) => Self::Grant,
            ReceiveError::Nonsense | ReceiveError::Frame(_) => Self::Bad,
            ReceiveError::Io(error) => error.into(),
            other => Self::Gone(other.to_string()),
        }
    }
}

/// The layer of this content from this holder, merged to the content's hash.
pub async fn layer(
    session: &Session,
    target: &Target,
    grant: &str,
    swarm: &Swarm,
) -> Result<Layer, SourceError> {
    let (hash, size) = (swarm.publication().hash, swarm.publication().size);
    let mut peer = dial::words(session, target).await?;
    let hello = HelloRequest {
        versions: VERSIONS.to_vec(),
        features: Vec::new(),
    };
    let hello = answered(peer.hello(hello)).await?.into_inner();
    if (hello.max_piece_bytes as usize) < BUFFER_LEN {
        return Err(SourceError::Gone(
            "serves smaller pieces than this peer asks for".into(),
        ));
    }
    let have = HaveRequest {
        grant: grant.to_owned(),
    };
    let have = answered(peer.have(have)).await?.into_inner();
    if have.size != size {
        return Err(SourceError::Bad);
    }
    if !have.complete {
        return Err(SourceError::Gone("has only a part".into()));
    }
    let expected = Layer::group_count(size) as usize;
    let request = LayerRequest {
        grant: grant.to_owned(),
    };
    let mut stream = answered(peer.layer(request)).await?.into_inner();
    let mut values = Vec::with_capacity(expected.min(1 << 16));
    while let Some(message) = answered(stream.message()).await? {
        let (whole, rest) = message.values.as_chunks::<VALUE_LEN>();
        if !rest.is_empty() || whole.len() > expected - values.len() {
            return Err(SourceError::Bad);
        }
        values.extend_from_slice(whole);
    }
    Layer::from_values(hash, size, values).map_err(|_| SourceError::Bad)
}

/// The answer, in bounded time.
async fn answered<T>(answer: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, SourceError> {
    let answer = timeout(SILENCE, answer).await;
    let silent = |_| SourceError::Gone(format!("said nothing for {} s", SILENCE.as_secs()));
    Ok(answer.map_err(silent)??)
}

/// Brings pieces until the plan has no more work, or the source fails. What it had asked for goes back.
pub async fn bring_pieces(
    swarm: Arc<Swarm>,
    session: Arc<Session>,
    target: Target,
    grant: Arc<str>,
    id: SourceId,
) -> Result<(), SourceError> {
    let mut asked = VecDeque::with_capacity(OUTSTANDING);
    let result = pieces(&swarm, &session, &target, &grant, id, &mut asked).await;
    for (_, piece) in &asked {
        swarm.plan.give_back(id, piece);
    }
    result
}

async fn pieces(
    swarm: &Swarm,
    session: &Session,
    target: &Target,
    grant: &str,
    id: SourceId,
    asked: &mut VecDeque<(Range, Piece)>,
) -> Result<(), SourceError> {
    let stream = dial::data(session, target).await?;
    let mut receiver = Receiver::open(stream, grant, swarm.publication().size).await?;
    let mut buffer = Buffer::new();
    loop {
        while asked.len() < OUTSTANDING
            && let Some(piece) = swarm.plan.take(id)
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
            if swarm.plan.is_complete() {
                return Ok(());
            }
            swarm.work_for(id).await;
            continue;
        };
        let bytes = receiver.piece(&range, &mut buffer).await?;
        if !tokio::task::block_in_place(|| swarm.incoming.write_piece(piece.offset, bytes))? {
            return Err(SourceError::Bad);
        }
        asked.pop_front();
        swarm.written(&piece, target);
    }
}
