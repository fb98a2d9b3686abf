//! How people write a directory's address, and the one form that is kept.

use p2p_proto::{DIRECTORY_PORT, Failure, FailureKind};

/// `https://HOST:PORT`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUrl(String);

impl DirectoryUrl {
    /// `HOST`, `HOST:PORT` or `https://HOST:PORT`.
    ///
    /// # Errors
    /// `Usage` for anything else.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::new(
                FailureKind::Usage,
                format!("\"{text}\" is no directory: write HOST or https://HOST:PORT"),
            )
        };
        let rest = match text.split_once("://") {
            Some(("https", rest)) => rest,
            Some(_) => return Err(bad()),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A URL may have these; who writes them, a password perhaps, must hear that nothing is done with them.
        if rest.contains(|c: char| c.is_control() || "@?#\\".contains(c)) {
            return Err(bad());
        }
        // A bare IPv6 address has several colons and no brackets.
        let bare_v6 = rest.parse::<std::net::Ipv6Addr>().is_ok();
        let rest = if bare_v6 {
            format!("[{rest}]")
        } else {
            rest.to_owned()
        };
        let has_port = rest
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        let text = if has_port {
            format!("https://{rest}")
        } else {
            format!("https://{rest}:{DIRECTORY_PORT}")
        };
        let url = reqwest::Url::parse(&text).map_err(|_| bad())?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty() && url.path() == "/")
            .ok_or_else(bad)?;
        let port = url.port_or_known_default().ok_or_else(bad)?;
        Ok(Self(format!("https://{host}:{port}")))
    }

    /// As `https://HOST:PORT`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host alone, as messages name it.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.trim_start_matches("https://");
        rest.rsplit_once(':').map_or(rest, |(host, _)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_as_people_write_them() {
        for (text, url, host) in [
            ("dir.lab", "https://dir.lab:7400", "dir.lab"),
            ("dir.lab:8000", "https://dir.lab:8000", "dir.lab"),
            ("https://dir.lab", "https://dir.lab:7400", "dir.lab"),
            ("https://10.0.0.4:7400/", "https://10.0.0.4:7400", "10.0.0.4"),
            ("::1", "https://[::1]:7400", "[::1]"),
            ("[::1]:7000", "https://[::1]:7000", "[::1]"),
        ] {
            let parsed = DirectoryUrl::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.host()), (url, host), "{text}");
        }
        for bad in [
            "",
            "http://dir.lab",
            "dir.lab/x",
            "https://a@dir.lab",
            "https://:secret@dir.lab",
            "@dir.lab",
            "dir.lab#x",
            "dir.lab?x",
            "dir.lab\\",
            "dir\t.lab",
            "dir.lab:",
            "a b",
            "https://",
            "ftp://x",
        ] {
            assert!(DirectoryUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
