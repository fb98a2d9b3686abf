//! The names of this host, for a directory that was not told what it is called.

use std::net::IpAddr;

use crate::config::ServerName;

/// The configured names, or this host's: its name, its addresses, `localhost` and the loopback addresses. The first is
/// the one to be shown.
#[must_use]
pub fn server_names(configured: &[ServerName]) -> Vec<String> {
    let mut names: Vec<String> = if configured.is_empty() {
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        host_name().into_iter().chain(own).chain(addresses()).collect()
    } else {
        configured.iter().map(ToString::to_string).collect()
    };
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn host_name() -> Option<String> {
    let text = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    ServerName::try_from(text).ok().map(|name| name.to_string())
}

/// Addresses that other hosts may use, sorted.
fn addresses() -> Vec<String> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let ips = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    let mut names: Vec<String> = ips.filter(is_reachable).map(|ip| ip.to_string()).collect();
    names.sort();
    names
}

fn is_reachable(ip: &IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !link_local && !ip.is_loopback() && !ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_names_are_the_only_ones() {
        let configured =
            ["dir.lab", "10.0.0.4", "dir.lab"].map(|name| ServerName::try_from(name.to_owned()).unwrap());
        assert_eq!(server_names(&configured), ["dir.lab", "10.0.0.4"]);
    }

    #[test]
    fn this_host_has_names() {
        let names = server_names(&[]);
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(names.iter().any(|n| n == name), "{names:?}");
        }
    }
}
