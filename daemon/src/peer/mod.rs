//! The other daemons. One port carries two protocols, chosen by ALPN over mutual TLS: gRPC for words ([`rpc`]) and
//! `p2p-data/1` for the bytes of files ([`frames`]).
//!
//! [`server`] accepts, [`dial`] calls and [`words`] asks, [`guard`] ends a connection when its peer's right to it ends, and
//! [`access`] is where every grant is checked. [`grpc`] bounds a connection's calls, here and on the control socket.

pub mod access;
pub mod dial;
pub mod dials;
pub mod frames;
pub(crate) mod grpc;
pub mod guard;
pub mod rpc;
pub mod server;
pub mod words;
