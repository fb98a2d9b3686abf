//! A Unix socket that the service manager listens at and hands over (`sd_listen_fds(3)`). It stays the manager's: it has made
//! the name, with owner and mode, and removes it.

use std::{io, os::unix::net::UnixListener};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// The listener, when one was handed over. To be asked for once, and before there is another thread: what the environment
/// says of it is taken away, so that no child believes that it is meant.
///
/// # Errors
/// When what was handed over is anything else than one Unix stream socket that listens.
pub fn handed_over() -> io::Result<Option<UnixListener>> {
    let bad = |what: &dyn std::fmt::Display| {
        let message =
            format!("the service manager handed over {what}; it may hand over the control socket alone");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    // These are for this process, and open.
    let count = sd_notify::listen_fds().map_err(|error| bad(&error))?.len();
    match count {
        0 => return Ok(None),
        1 => {}
        more => return Err(bad(&format_args!("{more} descriptors"))),
    }
    let listener = ListenFd::from_env().take_unix_listener(0);
    let listener = listener.map_err(|error| bad(&error))?;
    if let Some(listener) = &listener
        && !socket_acceptconn(listener)?
    {
        return Err(bad(&"a Unix socket that does not listen"));
    }
    Ok(listener)
}
