//! The form of a frame: a header of 24 bytes, little-endian, and for some kinds a payload.
//!
//! ```text
//! 0      1        4         8         16       20      24
//! kind | zeros  | request | offset  | length | code  |
//! ```

use p2p_proto::grant::MAX_TOKEN;

use crate::store::BUFFER_LEN;

/// Bytes of a header.
pub const HEADER_LEN: usize = 24;

/// The largest piece in one frame, in bytes.
pub const MAX_PIECE: u32 = BUFFER_LEN as u32;

/// What is read begins and ends at multiples of this, in bytes, or at the content's end. It is less than what can be
/// verified, so that a slow reader's bytes come evenly.
pub const UNIT: u64 = 4 << 10;

/// One frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// To the holder: the content of this grant, whose token of `length` bytes follows.
    Open {
        /// Bytes of the token, at most [`MAX_TOKEN`].
        length: u32,
    },
    /// From the holder: open, `size` bytes long.
    Opened {
        /// Bytes of the content.
        size: u64,
    },
    /// To the holder: send these bytes.
    Read(Range),
    /// From the holder: these bytes follow.
    Piece(Range),
    /// From the holder: no.
    Refused {
        /// The request, 0 for an opening.
        request: u32,
        /// Why.
        reason: Reason,
    },
}

/// A piece that is asked for or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Chosen by the reader, not 0; comes back with the piece.
    pub request: u32,
    /// Where it begins; a multiple of [`UNIT`].
    pub offset: u64,
    /// Bytes, 1 to [`MAX_PIECE`].
    pub length: u32,
}

/// Why a holder refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum Reason {
    /// The grant does not count, or no longer.
    #[error("the grant was refused")]
    Grant = 1,
    /// Not held here.
    #[error("the content is not held there any more")]
    NotHeld = 2,
    /// Outside the content, or not aligned.
    #[error("the piece is outside the content")]
    Range = 3,
    /// The holder failed.
    #[error("the holder failed")]
    Failed = 4,
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a p2p-data/1 frame")]
pub struct BadFrame;

const OPEN: u8 = 1;
const OPENED: u8 = 2;
const READ: u8 = 3;
const PIECE: u8 = 4;
const REFUSED: u8 = 5;

impl Frame {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let (kind, request, offset, length, code) = match *self {
            Self::Open { length } => (OPEN, 0, 0, length, 0),
            Self::Opened { size } => (OPENED, 0, size, 0, 0),
            Self::Read(r) => (READ, r.request, r.offset, r.length, 0),
            Self::Piece(r) => (PIECE, r.request, r.offset, r.length, 0),
            Self::Refused { request, reason } => (REFUSED, request, 0, 0, reason as u32),
        };
        let mut out = [0; HEADER_LEN];
        out[0] = kind;
        out[4..8].copy_from_slice(&request.to_le_bytes());
        out[8..16].copy_from_slice(&offset.to_le_bytes());
        out[16..20].copy_from_slice(&length.to_le_bytes());
        out[20..].copy_from_slice(&code.to_le_bytes());
        out
    }

    /// The header in these bytes. Only the one encoding of each frame is taken.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, BadFrame> {
        let u32_at = |at: usize| {
            bytes[at..at + 4]
                .iter()
                .rev()
                .fold(0_u32, |n, &b| n << 8 | u32::from(b))
        };
        let offset = bytes[8..16]
            .iter()
            .rev()
            .fold(0_u64, |n, &b| n << 8 | u64::from(b));
        let (request, length, code) = (u32_at(4), u32_at(16), u32_at(20));
        let range = Range {
            request,
            offset,
            length,
        };
        let frame = match bytes[0] {
            OPEN if length as usize <= MAX_TOKEN => Self::Open { length },
            OPENED => Self::Opened { size: offset },
            READ if range.is_sound() => Self::Read(range),
            PIECE if range.is_sound() => Self::Piece(range),
            REFUSED => Self::Refused {
                request,
                reason: Reason::from_code(code).ok_or(BadFrame)?,
            },
            _ => return Err(BadFrame),
        };
        if frame.encode() == *bytes {
            Ok(frame)
        } else {
            Err(BadFrame)
        }
    }
}

impl Range {
    const fn is_sound(&self) -> bool {
        self.request != 0
            && self.length != 0
            && self.length <= MAX_PIECE
            && self.offset.is_multiple_of(UNIT)
            && self.offset.checked_add(self.length as u64).is_some()
    }

    /// Where it ends.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + self.length as u64
    }

    /// Whole units of a content of this size, or the rest of it.
    #[must_use]
    pub const fn is_within(&self, size: u64) -> bool {
        self.end() == size || (self.end() < size && self.end().is_multiple_of(UNIT))
    }
}

impl Reason {
    fn from_code(code: u32) -> Option<Self> {
        [Self::Grant, Self::NotHeld, Self::Range, Self::Failed]
            .into_iter()
            .find(|reason| *reason as u32 == code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_back() {
        let range = Range {
            request: 7,
            offset: 5 * UNIT,
            length: 9,
        };
        for frame in [
            Frame::Open { length: 300 },
            Frame::Opened { size: u64::MAX },
            Frame::Read(range),
            Frame::Piece(Range {
                length: MAX_PIECE,
                ..range
            }),
            Frame::Refused {
                request: 0,
                reason: Reason::NotHeld,
            },
        ] {
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn unsound_frames_are_refused() {
        let range = Range {
            request: 7,
            offset: UNIT,
            length: 9,
        };
        for frame in [
            Frame::Open { length: 5000 },
            Frame::Read(Range { request: 0, ..range }),
            Frame::Read(Range { offset: 1, ..range }),
            Frame::Read(Range { length: 0, ..range }),
            Frame::Read(Range {
                length: MAX_PIECE + 1,
                ..range
            }),
            Frame::Piece(Range {
                offset: u64::MAX - UNIT + 1,
                length: MAX_PIECE,
                ..range
            }),
        ] {
            assert_eq!(Frame::decode(&frame.encode()), Err(BadFrame), "{frame:?}");
        }
    }

    #[test]
    fn ranges_end_on_units_or_at_the_end() {
        let range = Range {
            request: 1,
            offset: UNIT,
            length: 10,
        };
        assert!(range.is_within(UNIT + 10));
        assert!(!range.is_within(UNIT + 11));
        assert!(!range.is_within(UNIT + 9));
        assert!(
            Range {
                length: UNIT as u32,
                ..range
            }
            .is_within(UNIT * 3)
        );
    }

    proptest! {
        #[test]
        fn decoding_never_panics_and_is_canonical(bytes in any::<[u8; HEADER_LEN]>(), kind in 0u8..7) {
            let mut bytes = bytes;
            bytes[0] = kind;
            if let Ok(frame) = Frame::decode(&bytes) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }
    }
}
