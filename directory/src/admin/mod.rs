//! The admin API: HTTP over a Unix socket. Whoever may open the socket is admin, so there is no password for it.

pub mod client;
mod groups;
mod peers;
pub mod server;
mod status;
pub mod types;
mod users;
