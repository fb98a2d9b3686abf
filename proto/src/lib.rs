//! The words that both sides of every wire share: the gRPC contracts, the bodies of the REST API, and the
//! checked types that both are made of. Two programs that compile against this crate cannot drift apart.
//!
//! Nothing here does I/O or owns state.

pub mod byte_count;
pub mod failure;
pub mod file_ref;
pub mod grant;
pub mod hash;
pub mod index;
pub mod name;
pub mod openapi;
pub mod pattern;
pub mod peer_id;
pub mod rest;
pub mod secret;

/// The generated gRPC messages, clients and servers of package `p2p.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, rust_2018_idioms)]
pub mod v1 {
    tonic::include_proto!("p2p.v1");
}

pub use byte_count::ByteCount;
pub use failure::{Failure, FailureKind};
pub use file_ref::FileRef;
pub use hash::ContentHash;
pub use name::{FileName, GroupName, PeerName, UserName, Visibility};
pub use peer_id::{PeerId, PeerIdentity};
pub use secret::Secret;

/// The contracts of package `p2p.v1` themselves: a `google.protobuf.FileDescriptorSet`, encoded.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/p2p.v1.bin"));

/// The level of the REST API that this build speaks; both sides send theirs and use the lower one.
pub const API_LEVEL: u32 = 1;

/// Default port of the directory.
pub const DIRECTORY_PORT: u16 = 7400;

/// Default port of a peer.
pub const PEER_PORT: u16 = 7401;

/// ALPN name of the framed protocol that carries the bytes of files between peers.
pub const DATA_ALPN: &[u8] = b"p2p-data/1";

/// ALPN name of gRPC.
pub const GRPC_ALPN: &[u8] = b"h2";

/// No gRPC message is larger than this, in bytes.
pub const MAX_GRPC_MESSAGE: usize = 4 << 20;

/// Metadata of the answer to `Watch`: the id of an event after which all follows that the stream has. Who has seen no event
/// yet goes on there when the stream breaks.
pub const BEGINS_AFTER: &str = "p2p-begins-after";

/// The largest run of file bytes in one gRPC message, in bytes.
pub const MAX_DATA_CHUNK: usize = 1 << 20;
