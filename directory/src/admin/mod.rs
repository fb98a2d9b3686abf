//! The admin API: HTTP over a Unix socket. Whoever may open the socket is admin, so there is no password for it.

pub mod client;
pub mod server;
pub mod types;
