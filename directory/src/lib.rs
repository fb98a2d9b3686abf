//! The directory: accounts, who is alive, who holds what. It knows, the peers carry; no content comes near it.
//!
//! A request comes in through `p2p_service::accept` (TLS, caps per address), is served by [`serving`] (limits in time),
//! finds its handler in [`routes`], which asks the [`storage`] and answers with a type of `p2p_proto::rest` or with a
//! problem ([`problem`]). A login is checked by [`accounts`], the peer's key certified by [`ca`]. A peer is listed as
//! long as it pings; [`leases`] un-lists it. A reference is read by [`resolve`], the one place that knows what a caller
//! may see means. Where copies go is
//! decided by [`placement`], how often somebody may ask by [`rate`]. Admins come in through a Unix socket ([`admin`]). [`app`] builds it all and starts it.

pub mod accounts;
pub mod admin;
pub mod app;
pub mod ca;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod leases;
pub mod metrics;
pub mod names;
pub mod placement;
pub mod problem;
pub mod rate;
pub mod reload;
pub mod resolve;
pub mod routes;
pub mod serving;
pub mod state;
pub mod storage;
