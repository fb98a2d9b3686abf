//! Asking another peer in words: its layer of a content, and to keep a copy. Every answer has its time and its bounds,
//! and what breaks them has a name.

use std::{future::Future, io, time::Duration};

use p2p_proto::{
    ContentHash,
    rest::reports::Fault,
    v1::{
        HaveRequest, HelloRequest, LayerRequest, PlaceProgress, PlaceRequest,
        peer_service_client::PeerServiceClient,
    },
};
use p2p_service::config::Rate;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status, Streaming, transport::Channel};

use super::{
    dial::{self, Target},
    rpc::VERSIONS,
};
use crate::{
    identity::session::Session,
    store::{BUFFER_LEN, Layer},
    transfer::progress::Heard,
};

/// A peer that lets one answer wait for so long is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// A layer that comes slower than this, in bytes a second, is given up: what of it comes buys only so much time. It is a
/// quarter of the lowest limit that a holder can have, of which layers get half while data is asked for too.
const MIN_RATE: u64 = Rate::LEAST.0 / 4;

/// A peer that makes a copy tells of it at least so often.
const PLACE_SILENCE: Duration = Duration::from_secs(30);

/// Bytes of one chaining value.
const VALUE_LEN: usize = 32;

/// The longest sentence of another peer that is repeated, in characters.
const MAX_SENTENCE: usize = 300;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It cannot be reached, broke off, or cannot do it.
    #[error("{0}")]
    Gone(String),
    /// It says no, and will not say otherwise when asked again.
    #[error("{0}")]
    Refused(String),
    /// The grant does not count there.
    #[error("the grant was refused")]
    Grant,
    /// It sent what is not the content.
    #[error("sent {}", fault_word(*.0))]
    Bad(Fault),
}

/// What a bad holder sent, as it reads after "sent".
#[must_use]
pub const fn fault_word(fault: Fault) -> &'static str {
    match fault {
        Fault::Bytes => "bytes that are not the file's",
        Fault::Layer => "a layer that is not the file's",
        Fault::Size => "a size that is not the file's",
        Fault::Protocol => "what was not asked for",
    }
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Gone(gone(&error))
    }
}

/// One thing for a person, whichever way the end of a connection showed.
#[must_use]
pub fn gone(error: &io::Error) -> String {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof,
    };
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => "hung up".to_owned(),
        ConnectionRefused => "does not run or cannot be reached".to_owned(),
        TimedOut if error.get_ref().is_none() => "does not answer".to_owned(),
        _ => error.to_string(),
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let said: String = status.message().chars().take(MAX_SENTENCE).collect();
        match status.code() {
            Code::PermissionDenied => Self::Grant,
            Code::OutOfRange | Code::ResourceExhausted if said.contains("message") => {
                Self::Bad(Fault::Protocol)
            }
            Code::NotFound | Code::FailedPrecondition | Code::ResourceExhausted => Self::Refused(said),
            // The stack's own words for a connection that ended say little to a person.
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal => {
                Self::Gone("hung up".to_owned())
            }
            _ => Self::Gone(said),
        }
    }
}

/// The layer of this content from this holder, merged to the content's hash. `heard` is told of what comes. It takes at
/// most [`SILENCE`] for each of dialling, two answers and the first values, and then what [`MIN_RATE`] takes.
///
/// # Errors
/// [`CallError::Bad`] for another content's, or none.
pub async fn layer(
    session: &Session,
    target: &Target,
    grant: &str,
    (hash, size): (ContentHash, u64),
    heard: &Heard,
) -> Result<Layer, CallError> {
    let mut peer = open(session, target).await?;
    let grant = || grant.to_owned();
    let have = answered(peer.have(HaveRequest { grant: grant() }))
        .await?
        .into_inner();
    if have.size != size {
        return Err(CallError::Bad(Fault::Size));
    }
    if !have.complete {
        return Err(CallError::Gone("has only a part".into()));
    }
    let expected = Layer::group_count(size) as usize;
    let mut stream = answered(peer.layer(LayerRequest { grant: grant() }))
        .await?
        .into_inner();
    let mut values = Vec::with_capacity(expected.min(1 << 16));
    let mut patience = Patience::new(Instant::now());
    loop {
        let message = timeout_at(patience.end, stream.message()).await;
        let Some(message) = message.map_err(|_| next_to_nothing())?? else {
            break;
        };
        heard.bytes(message.values.len() as u64);
        patience.bought(message.values.len() as u64, Instant::now());
        let (whole, rest) = message.values.as_chunks::<VALUE_LEN>();
        if !rest.is_empty() || whole.len() > expected - values.len() {
            return Err(CallError::Bad(Fault::Layer));
        }
        values.extend_from_slice(whole);
    }
    Layer::from_values(hash, size, values).map_err(|_| CallError::Bad(Fault::Layer))
}

/// Until when more of a layer is waited for: never longer than [`SILENCE`], and at [`MIN_RATE`] for ever.
struct Patience {
    end: Instant,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self { end: now + SILENCE }
    }

    /// So many bytes came.
    fn bought(&mut self, bytes: u64, now: Instant) {
        let time = Duration::from_millis(bytes.saturating_mul(1000) / MIN_RATE);
        self.end = (self.end + time).min(now + SILENCE);
    }
}

/// A layer that comes in drops, or not at all.
fn next_to_nothing() -> CallError {
    CallError::Gone(format!(
        "gave next to nothing of the layer for {} s",
        SILENCE.as_secs()
    ))
}

/// How a copy at another peer comes along.
pub struct Placing(Streaming<PlaceProgress>);

/// Asks a peer to keep a copy, with a grant in its name.
///
/// # Errors
/// [`CallError::Refused`] when it will not.
pub async fn replicate(session: &Session, target: &Target, grant: &str) -> Result<Placing, CallError> {
    let mut peer = open(session, target).await?;
    let mut request = tonic::Request::new(PlaceRequest {
        grant: grant.to_owned(),
    });
    // A copy takes as long as it takes; each word of it has its time.
    request.set_timeout(Duration::from_secs(7 * 24 * 3600));
    Ok(Placing(answered(peer.replicate(request)).await?.into_inner()))
}

impl Placing {
    /// The next word; none when the peer has no more to say.
    ///
    /// # Errors
    /// [`CallError::Gone`] when it broke off or was silent.
    pub async fn next(&mut self) -> Result<Option<PlaceProgress>, CallError> {
        let mut next = in_time(PLACE_SILENCE, self.0.message()).await?;
        if let Some(word) = &mut next {
            word.reason = word.reason.chars().take(MAX_SENTENCE).collect();
        }
        Ok(next)
    }
}

async fn open(session: &Session, target: &Target) -> Result<PeerServiceClient<Channel>, CallError> {
    let mut peer = dial::words(session, target).await?;
    let hello = HelloRequest {
        versions: VERSIONS.to_vec(),
        features: Vec::new(),
    };
    let hello = answered(peer.hello(hello)).await?.into_inner();
    if (hello.max_piece_bytes as usize) < BUFFER_LEN {
        let message = "serves smaller pieces than this peer asks for";
        return Err(CallError::Gone(message.into()));
    }
    Ok(peer)
}

async fn answered<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, CallError> {
    in_time(SILENCE, answer).await
}

async fn in_time<T>(time: Duration, answer: impl Future<Output = Result<T, Status>>) -> Result<T, CallError> {
    match timeout(time, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Gone(format!("said nothing for {} s", time.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many seconds so many bytes, every so many seconds, are waited for; at most an hour.
    fn lasts(bytes: u64, every: u64) -> u64 {
        let start = Instant::now();
        let mut patience = Patience::new(start);
        (1..=3600 / every)
            .map(|turn| turn * every)
            .find(|&second| {
                let now = start + Duration::from_secs(second);
                let is_over = now > patience.end;
                patience.bought(bytes, now);
                is_over
            })
            .unwrap_or(3600)
    }

    #[test]
    fn a_layer_in_drops_is_waited_for_a_moment_and_a_slow_one_to_its_end() {
        assert_eq!(lasts(0, 1), 11);
        assert_eq!(lasts(1024, 9), 18, "just fast enough not to be silent");
        assert!(lasts(MIN_RATE / 2, 1) < 30);
        assert_eq!(lasts(MIN_RATE, 1), 3600);
        assert_eq!(
            lasts(4 * MIN_RATE, 4),
            3600,
            "a message of the product's, now and then"
        );
    }

    #[test]
    fn what_came_fast_buys_no_silence_later() {
        let start = Instant::now();
        let mut patience = Patience::new(start);
        patience.bought(1 << 30, start);
        assert_eq!(patience.end, start + SILENCE);
    }
}
