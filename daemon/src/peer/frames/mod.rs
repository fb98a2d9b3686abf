//! `p2p-data/1`: the bytes of files as frames over TLS 1.3.
//!
//! A connection carries one content at a time. The reader opens it with a grant, then asks for pieces; the holder
//! answers in order. Header and payload are written apart, so that the payload's 16 KiB TLS records fall on 16 KiB
//! offsets of the piece. [`codec`] is the form of a frame, [`sender`] the holder's side, [`receiver`] the reader's.

pub mod codec;
pub mod receiver;
pub mod sender;
