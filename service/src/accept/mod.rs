//! Listening: TCP with TLS ([`tls`]) and Unix sockets ([`unix`], [`handed`], [`local`]), each under limits: how many at once
//! ([`gate`]), and how long until they say something ([`begun`]).

mod begun;
mod gate;
mod handed;
mod limits;
mod local;
mod tcp;
mod tls;
mod unix;

pub use begun::{Begun, Gone};
pub use gate::{Gate, Place, source};
pub use handed::handed_over;
pub use limits::AcceptLimits;
pub use local::{LocalLimits, serve_unix};
pub use tcp::bind;
pub use tls::serve_tls;
pub use unix::{SocketName, bind_unix};
