//! `p2pd`, the peer daemon. The way of the data, and the only way:
//!
//! 1. A person types `p2pctl upload scan.tar`. The tool opens the file with the person's rights and passes the
//!    descriptor; [`control`] accepts it and calls [`transfer::publish`].
//! 2. [`store`] imports the bytes in one pass: copied, hashed and made durable. The [`directory`] client publishes the
//!    name, the store records the hold, and the index tells the directory who holds it.
//! 3. On another machine `p2pctl download scan.tar` reaches that daemon's [`control`], which asks the directory where
//!    the content is and gets a signed grant, and calls [`transfer::download`].
//! 4. The transfer dials the holders ([`peer`]): words go through gRPC, bytes through framed TLS streams. Every piece is
//!    verified before the store takes it. When all are there the content is committed, held and announced.
//! 5. [`store`] exports it into the descriptor that the tool passed; the tool gives it its name.
//!
//! [`identity`] is who this daemon is: its key, its session, its certificate. What happens is told on the one bus of
//! [`events`]. `store` and `transfer` know nothing of
//! tonic; the gRPC handlers in `control/rpc` and `peer/rpc` only convert and call. Every task belongs to the
//! [`p2p_service::lifecycle::Lifecycle`] and ends with it.

mod alive;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
mod detach;
pub mod directory;
pub mod events;
mod failure;
pub mod first_steps;
pub mod identity;
pub mod meter;
pub mod metrics;
pub mod peer;
pub mod reload;
pub mod store;
pub mod transfer;
pub mod user_file;

pub use app::App;
pub use config::Config;
