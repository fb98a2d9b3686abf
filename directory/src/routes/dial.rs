//! Dialling a peer back: which of the addresses that it advertises answer.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use tokio::{net::TcpStream, time::timeout};

/// How long one address has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those that accept a connection, in the order given.
pub(super) async fn dial_back(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let dials = addresses.iter().map(|address| async move {
        let answers = may_be_dialled(address)
            && matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)));
        answers.then_some(*address)
    });
    join_all(dials).await.into_iter().flatten().collect()
}

/// Only what can be one other host.
fn may_be_dialled(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finds_who_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(dial_back(&[closed, open]).await, [open]);
    }

    #[test]
    fn some_addresses_are_never_dialled() {
        for bad in [
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.1:80",
            "[ff02::1]:80",
            "255.255.255.255:80",
            "10.0.0.1:0",
            "[::ffff:0.0.0.0]:80",
        ] {
            assert!(!may_be_dialled(&bad.parse().unwrap()), "{bad}");
        }
        assert!(may_be_dialled(&"10.0.0.1:7401".parse().unwrap()));
    }
}
