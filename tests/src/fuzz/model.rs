//! What a holder answers, written down a second time without a connection: the frames target compares the two.

use p2p_daemon::peer::frames::codec::{Frame, HEADER_LEN, Reason, UNIT};
use p2p_proto::grant::MAX_TOKEN;

use super::script::MAX_SENT;

/// How a conversation goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The reader closes between two frames.
    Closed,
    /// The reader breaks off, or says what is no frame of a reader's.
    Broken,
    /// The reader asks for nothing that it can have, for too long.
    Fruitless,
    /// There is more to send than the connection takes.
    Full,
}

/// Frames in a row that bring no piece; the reader is cut at the next one.
const FRUITLESS: u32 = 16;

/// What the holder of this content, who takes this token, answers to these bytes.
pub fn answers(mut comes: &[u8], token: &[u8], content: &[u8]) -> (Vec<u8>, End) {
    let mut sent = Vec::new();
    let mut open = false;
    let mut fruitless = 0;
    loop {
        if comes.is_empty() {
            return (sent, End::Closed);
        }
        let Some((header, rest)) = comes.split_first_chunk::<HEADER_LEN>() else {
            return (sent, End::Broken);
        };
        comes = rest;
        let decoded = Frame::decode(header);
        fruitless += 1;
        if decoded.is_ok() && fruitless > FRUITLESS {
            return (sent, End::Fruitless);
        }
        let (answer, payload): (Frame, &[u8]) = match decoded {
            Ok(Frame::Open { length }) => {
                assert!(length as usize <= MAX_TOKEN, "a token of {length} bytes");
                if comes.len() < length as usize {
                    return (sent, End::Broken);
                }
                let (shown, rest) = comes.split_at(length as usize);
                comes = rest;
                open = shown == token;
                (opened(open, content.len() as u64), &[])
            }
            Ok(Frame::Read(range)) => {
                let end = range.offset + u64::from(range.length);
                let whole = end == content.len() as u64 || (end < content.len() as u64 && end % UNIT == 0);
                let refused = |reason| Frame::Refused {
                    request: range.request,
                    reason,
                };
                match (open, whole) {
                    (false, _) => (refused(Reason::Grant), &[]),
                    (true, false) => (refused(Reason::Range), &[]),
                    (true, true) => {
                        fruitless = 0;
                        (Frame::Piece(range), &content[range.offset as usize..end as usize])
                    }
                }
            }
            Ok(Frame::Opened { .. } | Frame::Piece(_) | Frame::Refused { .. }) | Err(_) => {
                return (sent, End::Broken);
            }
        };
        sent.extend_from_slice(&answer.encode());
        sent.extend_from_slice(payload);
        if sent.len() > MAX_SENT {
            sent.truncate(MAX_SENT);
            return (sent, End::Full);
        }
    }
}

const fn opened(open: bool, size: u64) -> Frame {
    if open {
        return Frame::Opened { size };
    }
    Frame::Refused {
        request: 0,
        reason: Reason::Grant,
    }
}
