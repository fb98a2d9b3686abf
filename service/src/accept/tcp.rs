//! Binds TCP listeners.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Binds each address. `[::]` falls back to `0.0.0.0` where there is no IPv6.
///
/// # Errors
/// The first one that cannot be bound, by name.
pub fn bind(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let bound = addresses.iter().map(|&address| {
        on_any(address, bind_one)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
    });
    bound.collect()
}

/// What `bind` gives for the address, or for `0.0.0.0` when it is `[::]` and there is no IPv6.
fn on_any<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    bind(address).or_else(|error| {
        if address.is_ipv6() && address.ip().is_unspecified() && no_ipv6(&error) {
            tracing::info!("there is no IPv6 here: listening on 0.0.0.0 for {address}");
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        } else {
            Err(error)
        }
    })
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let first = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let taken = first[0].local_addr().unwrap();
        let error = bind(&[taken]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    }

    #[tokio::test]
    async fn all_addresses_can_be_bound() {
        assert_eq!(bind(&["[::]:0".parse().unwrap()]).unwrap().len(), 1);
    }

    #[test]
    fn without_ipv6_all_addresses_are_those_of_ipv4() {
        use rustix::io::Errno;
        let (any, port): (SocketAddr, u16) = ("[::]:7401".parse().unwrap(), 7401);
        let without = |error: Errno| {
            move |address: SocketAddr| match address {
                SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(error.raw_os_error())),
                SocketAddr::V4(_) => Ok(address),
            }
        };
        // Of a kernel without it, of one that has it switched off, and of a sandbox.
        for error in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            let bound = on_any(any, without(error)).unwrap();
            assert_eq!(bound, (Ipv4Addr::UNSPECIFIED, port).into());
        }
        // A port that is taken stays taken, and an address that was named stays that address.
        assert!(on_any(any, without(Errno::ADDRINUSE)).is_err());
        assert!(on_any("[::1]:7401".parse().unwrap(), without(Errno::AFNOSUPPORT)).is_err());
    }
}
