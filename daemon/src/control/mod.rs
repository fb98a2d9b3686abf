//! The Unix sockets that `p2pctl` talks to: gRPC on one ([`server`], [`rpc`]), passed descriptors on the other
//! ([`descriptors`], [`slots`]). Both check who is at the other end, and [`rights`] what he may do; [`convert`] turns our
//! types into messages.

pub mod convert;
pub mod descriptors;
pub mod health;
mod rights;
pub mod rpc;
pub mod server;
pub mod slots;
