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
    addresses
        .iter()
        .map(|&address| {
            bind_one(address)
                .or_else(|error| {
                    if address.is_ipv6() && address.ip().is_unspecified() && no_ipv6(&error) {
                        bind_one((Ipv4Addr::UNSPECIFIED, address.port()).into())
                    } else {
                        Err(error)
                    }
                })
                .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
        })
        .collect()
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
}
