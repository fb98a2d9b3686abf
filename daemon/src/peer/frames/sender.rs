//! The holder's side: reads requests, checks them, sends pieces. One task per connection does all of it in order, so a
//! slow reader slows only itself. Owns nothing durable.

use std::{io, time::Duration};

use p2p_proto::PeerIdentity;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::codec::{BadFrame, Frame, HEADER_LEN, Range, Reason};
use crate::{
    meter::Meter,
    peer::access::{Access, Admitted, Refusal},
    store::Buffer,
};

/// A connection without a request for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// A frame that was begun must be over in this time, in either direction.
const FRAME: Duration = Duration::from_secs(60);

/// Serves one connection until it ends.
///
/// # Errors
/// A broken connection, a frame that is none, or silence.
pub async fn serve<S>(mut stream: S, peer: &PeerIdentity, access: &Access, sent: &Meter) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Buffer::new();
    let mut open: Option<Admitted> = None;
    loop {
        let Some(frame) = next_frame(&mut stream).await? else {
            return Ok(());
        };
        match frame {
            Frame::Open { length } => {
                let (admitted, answer) = opening(&mut stream, length, peer, access).await?;
                open = admitted;
                send(&mut stream, &answer, &[]).await?;
            }
            Frame::Read(range) => {
                let bytes = match checked(open.as_ref(), &range) {
                    Ok(admitted) => piece(access, admitted, &range, &mut buffer),
                    Err(reason) => Err(reason),
                };
                match bytes {
                    Ok(bytes) => {
                        send(&mut stream, &Frame::Piece(range), bytes).await?;
                        sent.add(range.length.into());
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

async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut header = [0; HEADER_LEN];
    let first = timeout(IDLE, stream.read(&mut header[..1]))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    if first == 0 {
        return Ok(None);
    }
    timeout(FRAME, stream.read_exact(&mut header[1..]))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    Frame::decode(&header)
        .map(Some)
        .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))
}

async fn opening(
    stream: &mut (impl AsyncRead + Unpin),
    length: u32,
    peer: &PeerIdentity,
    access: &Access,
) -> io::Result<(Option<Admitted>, Frame)> {
    let mut token = vec![0; length as usize];
    timeout(FRAME, stream.read_exact(&mut token))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    let refused = |reason| Frame::Refused { request: 0, reason };
    let Ok(token) = String::from_utf8(token) else {
        return Ok((None, refused(Reason::Grant)));
    };
    Ok(match access.admit(&token, peer).await {
        Ok(admitted) => {
            let size = admitted.content.size();
            (Some(admitted), Frame::Opened { size })
        }
        Err(Refusal::Grant(bad)) => {
            tracing::warn!(PEER = %peer.peer, "a read was refused: {bad}");
            (None, refused(Reason::Grant))
        }
        Err(Refusal::NotHeld) => (None, refused(Reason::NotHeld)),
        Err(Refusal::Store(error)) => {
            tracing::error!("a peer could not be served: {error}");
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

async fn send(stream: &mut (impl AsyncWrite + Unpin), frame: &Frame, payload: &[u8]) -> io::Result<()> {
    let writing = async {
        stream.write_all(&frame.encode()).await?;
        stream.write_all(payload).await?;
        stream.flush().await
    };
    timeout(FRAME, writing)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}
