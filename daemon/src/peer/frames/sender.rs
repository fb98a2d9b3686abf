//! The holder's side: reads requests, checks them, sends pieces. One task per connection does all of it in order, so a
//! slow reader slows only itself. Owns nothing durable.

use std::{
    io,
    time::{Duration, Instant},
};

use p2p_proto::PeerIdentity;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::codec::{BadFrame, Frame, HEADER_LEN, Range, Reason};
use crate::{
    meter::Meter,
    peer::{
        access::{Access, Admitted, Refusal},
        server::{Said, Trouble},
    },
    store::Buffer,
    transfer::limits::Upload,
};

/// A connection without a request for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// A frame that was begun must be over in this time, in either direction. What a limit makes it wait is not counted.
const FRAME: Duration = Duration::from_secs(60);

/// What the first frame may take to begin: whoever dials has something to ask.
const FIRST: Duration = Duration::from_secs(10);

/// Frames in a row that bring no piece. An opening is one, and so is each request that was on its way when a grant ended;
/// a peer that only opens, or only asks for what it cannot have, is cut.
const FRUITLESS: u32 = 16;

/// Serves one connection until it ends. A peer that takes its pieces slowly holds this task and one buffer, and is cut when
/// it does not take one in a minute.
///
/// # Errors
/// A broken connection, a frame that is none, silence (`TimedOut`), or frames that lead to nothing (`InvalidData`).
pub async fn serve<S>(
    mut stream: S,
    peer: &PeerIdentity,
    access: &Access,
    sent: &Meter,
    said: &Said,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Buffer::new();
    let mut open: Option<Admitted> = None;
    let mut wait = FIRST;
    let mut fruitless = 0;
    loop {
        let Some(frame) = next_frame(&mut stream, wait).await? else {
            return Ok(());
        };
        wait = IDLE;
        fruitless += 1;
        if fruitless > FRUITLESS {
            let why = "it asks for nothing that it can have";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        match frame {
            Frame::Open { length } => {
                let (admitted, answer) = opening(&mut stream, length, peer, (access, said)).await?;
                open = admitted;
                send(&mut stream, &answer, &[]).await?;
            }
            Frame::Read(range) => {
                let bytes = checked(open.as_ref(), &range).and_then(|admitted| {
                    let upload = access.limits().upload(peer.peer, admitted.content.hash());
                    Ok((piece(access, admitted, &range, &mut buffer)?, upload))
                });
                match bytes {
                    Ok((bytes, upload)) => {
                        send_piece(&mut stream, range, bytes, (&upload, sent)).await?;
                        fruitless = 0;
                    }
                    Err(reason) => {
                        send(
                            &mut stream,
                            &Frame::Refused {
                                request: range.request,
                                reason,
                            },
                            &[],
                        )
                        .await?;
                    }
                }
            }
            Frame::Opened { .. } | Frame::Piece(_) | Frame::Refused { .. } => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, BadFrame));
            }
        }
    }
}

async fn next_frame(stream: &mut (impl AsyncRead + Unpin), wait: Duration) -> io::Result<Option<Frame>> {
    let mut header = [0; HEADER_LEN];
    let first = timeout(wait, stream.read(&mut header[..1]))
        .await
        .map_err(|_| late("it asked for nothing for too long"))??;
    if first == 0 {
        return Ok(None);
    }
    timeout(FRAME, stream.read_exact(&mut header[1..]))
        .await
        .map_err(|_| late("it did not end its frame"))??;
    Frame::decode(&header)
        .map(Some)
        .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))
}

async fn opening(
    stream: &mut (impl AsyncRead + Unpin),
    length: u32,
    peer: &PeerIdentity,
    (access, said): (&Access, &Said),
) -> io::Result<(Option<Admitted>, Frame)> {
    let mut token = vec![0; length as usize];
    timeout(FRAME, stream.read_exact(&mut token))
        .await
        .map_err(|_| late("it did not end its frame"))??;
    let refused = |reason| Frame::Refused { request: 0, reason };
    let Ok(token) = String::from_utf8(token) else {
        return Ok((None, refused(Reason::Grant)));
    };
    Ok(match access.admit(&token, peer).await {
        Ok(admitted) => {
            let size = admitted.content.size();
            tracing::debug!(PEER = %peer.peer, PEER_ID = %peer.peer, CONTENT_HASH = %admitted.content.hash(),
                "served to peer {}", peer.peer.short());
            (Some(admitted), Frame::Opened { size })
        }
        Err(Refusal::Grant(bad)) => {
            if said.may_say(peer.peer, Trouble::Grant) {
                tracing::info!(PEER = %peer.peer, PEER_ID = %peer.peer, "a read was refused: {bad}");
            }
            (None, refused(Reason::Grant))
        }
        Err(Refusal::NotHeld) => (None, refused(Reason::NotHeld)),
        Err(Refusal::Store(error)) => {
            tracing::error!(PEER = %peer.peer, PEER_ID = %peer.peer, "a peer could not be served: {error}");
            (None, refused(Reason::Failed))
        }
    })
}

fn checked<'a>(open: Option<&'a Admitted>, range: &Range) -> Result<&'a Admitted, Reason> {
    let admitted = open
        .filter(|admitted| admitted.still_valid())
        .ok_or(Reason::Grant)?;
    if range.is_within(admitted.content.size()) {
        Ok(admitted)
    } else {
        Err(Reason::Range)
    }
}

fn piece<'a>(
    access: &Access,
    admitted: &Admitted,
    range: &Range,
    buffer: &'a mut Buffer,
) -> Result<&'a [u8], Reason> {
    let bytes = &mut buffer.bytes_mut()[..range.length as usize];
    match tokio::task::block_in_place(|| admitted.content.read_at(range.offset, bytes)) {
        Ok(()) => Ok(bytes),
        Err(error) => {
            tracing::error!(CONTENT_HASH = %admitted.content.hash(), "a stored content cannot be read: {error}");
            access.doubt(admitted.content.hash());
            Err(Reason::Failed)
        }
    }
}

/// Sends a piece as fast as the limits let it, and counts what has gone.
async fn send_piece(
    stream: &mut (impl AsyncWrite + Unpin),
    range: Range,
    mut bytes: &[u8],
    (upload, sent): (&Upload, &Meter),
) -> io::Result<()> {
    let header = Frame::Piece(range).encode();
    let mut left = FRAME;
    let mut first = true;
    while first || !bytes.is_empty() {
        let most = upload.slice().unwrap_or(bytes.len());
        let (slice, rest) = bytes.split_at(most.min(bytes.len()));
        upload.pass(slice.len()).await;
        let begun = Instant::now();
        let writing = async {
            if std::mem::take(&mut first) {
                stream.write_all(&header).await?;
            }
            stream.write_all(slice).await?;
            stream.flush().await
        };
        timeout(left, writing)
            .await
            .map_err(|_| late("it did not take its bytes"))??;
        left = left.saturating_sub(begun.elapsed());
        sent.add(slice.len() as u64);
        bytes = rest;
    }
    Ok(())
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), frame: &Frame, payload: &[u8]) -> io::Result<()> {
    let writing = async {
        stream.write_all(&frame.encode()).await?;
        stream.write_all(payload).await?;
        stream.flush().await
    };
    timeout(FRAME, writing)
        .await
        .map_err(|_| late("it did not take its bytes"))?
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
