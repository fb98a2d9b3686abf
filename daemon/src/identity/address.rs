//! Where others dial this peer.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
};

use nix::ifaddrs::getifaddrs;
use p2p_proto::{PEER_PORT, PeerName, rest::session::MAX_ADDRESSES};
use p2p_service::once::OncePerMinute;

/// What was said of names that cannot be resolved.
static SAID: LazyLock<OncePerMinute<String>> = LazyLock::new(OncePerMinute::default);

/// The addresses to advertise: the configured ones, resolved; else those this peer listens on, where a listener on all
/// addresses stands for each address of this host. Loopback counts only when there is nothing else. At most
/// [`MAX_ADDRESSES`].
pub async fn advertised(configured: &[String], listening: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut found = BTreeSet::new();
    for text in configured {
        match resolve(text).await {
            Ok(addresses) => found.extend(addresses),
            // Each ping asks.
            Err(error) if SAID.may_say(text.clone()) => {
                tracing::warn!("{text} in peer.advertise cannot be resolved: {error}");
            }
            Err(_) => {}
        }
    }
    if configured.is_empty() {
        found = listening
            .iter()
            .flat_map(|&address| expand(address, &host_addresses()))
            .collect();
    }
    found.into_iter().take(MAX_ADDRESSES).collect()
}

async fn resolve(text: &str) -> std::io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, PEER_PORT)]);
    }
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port {
        text.to_owned()
    } else {
        format!("{text}:{PEER_PORT}")
    };
    Ok(tokio::net::lookup_host(host).await?.collect())
}

fn expand(listening: SocketAddr, host: &[IpAddr]) -> Vec<SocketAddr> {
    if !listening.ip().is_unspecified() {
        return vec![listening];
    }
    let v4_only = listening.is_ipv4();
    let usable: Vec<IpAddr> = host
        .iter()
        .copied()
        .filter(|ip| ip.is_ipv4() || !v4_only)
        .collect();
    let outside: Vec<IpAddr> = usable.iter().copied().filter(|ip| !ip.is_loopback()).collect();
    let chosen = if outside.is_empty() { usable } else { outside };
    chosen
        .into_iter()
        .map(|ip| SocketAddr::new(ip, listening.port()))
        .collect()
}

/// Addresses of this host's interfaces; link-local ones are left out, since they mean nothing without their link.
fn host_addresses() -> Vec<IpAddr> {
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!("the addresses of this host cannot be listed: {error}");
            return Vec::new();
        }
    };
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        })
        .collect()
}

/// The name of this host as a peer name: its first label, in lower case, other characters as `-`.
#[must_use]
pub fn host_name() -> PeerName {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let label: String = host
        .split('.')
        .next()
        .unwrap_or_default()
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    let fallback = || "peer".parse().expect("a constant name is valid");
    label
        .trim_start_matches('-')
        .parse()
        .unwrap_or_else(|_| fallback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_stands_for_each() {
        let host: Vec<IpAddr> = ["127.0.0.1", "::1", "10.0.0.4", "2001:db8::4"]
            .map(|ip| ip.parse().unwrap())
            .into();
        let text = |listening: &str, host: &[IpAddr]| -> Vec<String> {
            expand(listening.parse().unwrap(), host)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(text("[::]:7401", &host), ["10.0.0.4:7401", "[2001:db8::4]:7401"]);
        assert_eq!(text("0.0.0.0:7401", &host), ["10.0.0.4:7401"]);
        assert_eq!(text("0.0.0.0:7401", &host[..2]), ["127.0.0.1:7401"]);
        assert_eq!(text("127.0.0.1:1", &host), ["127.0.0.1:1"]);
    }

    #[tokio::test]
    async fn configured_addresses_win() {
        let listening = ["127.0.0.1:9".parse().unwrap()];
        let configured = ["127.0.0.2:5".to_owned(), "127.0.0.3".to_owned()];
        let found = advertised(&configured, &listening).await;
        assert_eq!(
            found,
            ["127.0.0.2:5".parse().unwrap(), "127.0.0.3:7401".parse().unwrap()]
        );
    }
}
