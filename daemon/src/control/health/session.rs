//! Health of the session: how long it lasts, whether the directory answers, and whether others reach this peer.

use std::net::SocketAddr;

use jiff::Timestamp;
use p2p_proto::{PeerId, v1::HealthLine};

use super::Code;
use crate::{
    directory::link::LinkState,
    identity::{
        directory_url::DirectoryUrl,
        session::{Ended, Session, SessionRecord, Sessions},
    },
};

/// A session this near its end is worth a line, in seconds.
const NEAR_END: i64 = 7 * 24 * 3600;

/// A certificate is renewed at half its life. With less than this part of it left, that has failed for long.
const CERTIFICATE_LEFT: i64 = 4;

/// Clocks that differ by more than this are worth a line, in seconds.
const SKEW: i64 = 30;

/// What is not well with it.
pub(super) fn lines(session: &Session, link: &LinkState, now: Timestamp, lines: &mut Vec<HealthLine>) {
    let (record, host) = (&session.record, session.directory_host());
    lines.extend(away(host, link, hours(record.certificate_expires_at, now)));
    lines.extend(certificate(record, host, link, now));
    for address in &record.unreachable {
        lines.push(port(host, address));
    }
    if link.reachable && link.skew_s.abs() > SKEW {
        let message = format!("this clock and {host}'s differ by {} s", link.skew_s.abs());
        lines.push(Code::ClockSkew.line(message, "sudo timedatectl set-ntp true"));
    }
    if record.session_expires_at.as_second() - now.as_second() < NEAR_END {
        let left = hours(record.session_expires_at, now);
        lines.push(Code::SessionEnds.line(format!("the session ends in {left} h"), "p2pctl login"));
    }
}

/// Nobody is logged in, who did not want it so.
pub(super) fn ended(sessions: &Sessions, Ended { reason, fix }: Ended) -> HealthLine {
    let last = sessions.last_directory();
    let directory = last.and_then(|url| DirectoryUrl::parse(&url).ok());
    let user = sessions.account().map(|account| account.user);
    let admin = directory.zip(user).and_then(|(directory, user)| {
        let admin = undoes(&reason, sessions.peer_id(), user.as_str())?;
        Some(format!(
            "on {}: sudo p2p-directory admin {admin}",
            directory.host()
        ))
    });
    let fix = admin.or(fix).unwrap_or_else(|| "p2pctl login".to_owned());
    Code::SessionEnded.line(format!("not logged in: {reason}"), fix)
}

/// What an administrator did an administrator undoes: until then no login helps.
fn undoes(why: &str, peer: PeerId, user: &str) -> Option<String> {
    match why {
        "an administrator revoked this peer" => Some(format!("peer allow {peer}")),
        "an administrator disabled the account" => Some(format!("user enable {user}")),
        _ => None,
    }
}

fn hours(end: Timestamp, now: Timestamp) -> i64 {
    ((end.as_second() - now.as_second()) / 3600).max(0)
}

/// The directory was asked, and did not answer.
fn away(host: &str, link: &LinkState, hours_left: i64) -> Option<HealthLine> {
    link.failing.then(|| {
        let message = format!("{host} does not answer; this peer's certificate lasts {hours_left} h more");
        let fix = format!("on {host}: sudo systemctl start p2p-directory");
        Code::DirectoryAway.line(message, fix)
    })
}

/// It should have been renewed long ago.
fn certificate(record: &SessionRecord, host: &str, link: &LinkState, now: Timestamp) -> Option<HealthLine> {
    let life = record.certificate_expires_at.as_second() - record.certified_at.as_second();
    let left = record.certificate_expires_at.as_second() - now.as_second();
    if left >= life / CERTIFICATE_LEFT {
        return None;
    }
    let ends = match left {
        ..=0 => "has ended".to_owned(),
        _ => format!("ends in {} h", left / 3600),
    };
    let why = link.why.as_deref().unwrap_or("not tried yet");
    let message = format!("this peer's certificate {ends} and was not renewed: {why}");
    let fix = match link.reachable {
        true => "p2pctl login".to_owned(),
        false => format!("on {host}: sudo systemctl start p2p-directory"),
    };
    Some(Code::CertificateEnds.line(message, fix))
}

/// An address of this peer that the directory could not dial.
fn port(host: &str, address: &SocketAddr) -> HealthLine {
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    let message = format!(
        "{host} could not reach {address} over {family}; where others cannot route to that, set [peer] advertise"
    );
    let fix = format!("sudo ufw allow {}/tcp, then p2pctl login", address.port());
    Code::PortUnreachable.line(message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_away_once_it_was_asked() {
        let mut link = LinkState::default();
        assert_eq!(away("dir.lab", &link, 3), None);
        link.failing = true;
        let line = away("dir.lab", &link, 3).unwrap();
        assert_eq!(
            line.message,
            "dir.lab does not answer; this peer's certificate lasts 3 h more"
        );
    }

    #[test]
    fn what_an_administrator_did_one_undoes() {
        let peer: PeerId = "5c".repeat(32).parse().unwrap();
        let undoes = |why: &str| undoes(why, peer, "ana");
        assert_eq!(
            undoes("an administrator revoked this peer"),
            Some(format!("peer allow {peer}"))
        );
        assert_eq!(
            undoes("an administrator disabled the account").as_deref(),
            Some("user enable ana")
        );
        assert_eq!(undoes("the directory ended the session"), None);
    }
}
