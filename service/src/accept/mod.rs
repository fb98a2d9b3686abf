//! Listening: TCP with TLS ([`tls`]) under limits ([`limits`]), and Unix sockets ([`unix`]).

mod limits;
mod tcp;
mod tls;
mod unix;

pub use limits::AcceptLimits;
pub use tcp::bind;
pub use tls::serve_tls;
pub use unix::bind_unix;
