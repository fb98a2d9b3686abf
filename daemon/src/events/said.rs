//! How an event is said to a person: one line, whatever others wrote into it.

use p2p_proto::{ByteCount, rest::publications::Publication};

use super::{Moving, Step, What};

/// The longest line about one event, in characters.
const LINE: usize = 1000;

impl What {
    /// One line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        one_line(&match self {
            Self::SessionBegan { user, directory } => format!("logged in to {directory} as {user}"),
            Self::SessionEnded { user, reason } => because(format!("{user} is logged out"), reason),
            Self::DirectoryAway { reason, .. } => because("the directory is away".to_owned(), reason),
            Self::DirectoryBack { directory } => format!("{directory} answers again"),
            Self::Transfer {
                step,
                transfer,
                reason,
            } => because(format!("{} {}", transfer.title(), step.said()), reason),
            Self::Stored { publication } => format!("{} is stored here", title(publication)),
            Self::Dropped { publication } => format!("{} is stored here no longer", title(publication)),
            Self::Damaged { publication, reason } => {
                because(format!("{} is damaged", title(publication)), reason)
            }
            Self::Healed { publication } => format!("{} is whole again", title(publication)),
            Self::Published { publication } => format!("{} is published", title(publication)),
            Self::Withdrawn { publication } => format!("{} is withdrawn", title(publication)),
            Self::Online { peer, user, .. } => format!("{peer} of {user} is online"),
            Self::Offline { peer, user, .. } => format!("{peer} of {user} is offline"),
            Self::Changed { publication } => {
                format!("{} is {} now", title(publication), publication.visibility)
            }
            Self::Revoked { peer, user, .. } => format!("{peer} of {user} is revoked"),
            Self::Allowed { peer, user, .. } => format!("{peer} of {user} may log in again"),
            Self::Joined { group, user } => format!("{user} is in group {group}"),
            Self::Left { group, user } => format!("{user} is no longer in group {group}"),
            Self::LimitChanged {
                upload,
                download,
                transfer,
            } => {
                let of = transfer
                    .as_ref()
                    .map_or_else(|| "limits".to_owned(), Moving::title);
                format!("{of}: up {}, down {}", rate(*upload), rate(*download))
            }
            Self::ConfigReloaded {
                changed,
                needs_restart,
            } => reloaded(changed, needs_restart),
            Self::Lost { reason } => because("some events are missing here".to_owned(), reason),
        })
    }
}

impl Moving {
    fn title(&self) -> String {
        match &self.publication {
            Some(publication) => format!("{} {} of {}", self.direction, self.id, title(publication)),
            None => format!("{} {} of {}/{}", self.direction, self.id, self.owner, self.name),
        }
    }
}

impl Step {
    const fn said(self) -> &'static str {
        match self {
            Self::Queued => "is queued",
            Self::Started => "runs",
            Self::Waiting => "waits",
            Self::Paused => "is paused",
            Self::Done => "is done",
            Self::Failed => "failed",
            Self::Cancelled => "is cancelled",
        }
    }
}

fn title(publication: &Publication) -> String {
    format!(
        "{}/{}@{}",
        publication.owner, publication.name, publication.version
    )
}

fn because(what: String, reason: &str) -> String {
    if reason.is_empty() {
        what
    } else {
        format!("{what}: {reason}")
    }
}

fn rate(limit: Option<u64>) -> String {
    limit.map_or_else(
        || "unlimited".to_owned(),
        |bytes| format!("{}/s", ByteCount(bytes)),
    )
}

fn reloaded(changed: &[String], needs_restart: &[String]) -> String {
    let changed = match changed {
        [] => "nothing changed".to_owned(),
        keys => format!("changed {}", keys.join(", ")),
    };
    match needs_restart {
        [] => format!("configuration read again: {changed}"),
        keys => format!(
            "configuration read again: {changed}; a restart is needed for {}",
            keys.join(", ")
        ),
    }
}

/// What others wrote may have line ends in it, and no end.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .take(LINE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_and_short() {
        let what = What::SessionEnded {
            user: "ana".parse().unwrap(),
            reason: format!("one\ntwo\u{1b}[31m{}", "x".repeat(5000)),
        };
        assert!(what.line().starts_with("ana is logged out: one two [31mxxx"));
        assert_eq!(what.line().chars().count(), LINE);
        assert_eq!(what.word(), "session.ended");
    }

    #[test]
    fn limits_and_configurations_read_well() {
        let what = What::LimitChanged {
            upload: Some(5 << 20),
            download: None,
            transfer: None,
        };
        assert_eq!(what.line(), "limits: up 5.0 MiB/s, down unlimited");
        let what = What::ConfigReloaded {
            changed: Vec::new(),
            needs_restart: vec!["peer.listen".into()],
        };
        assert_eq!(
            what.line(),
            "configuration read again: nothing changed; a restart is needed for peer.listen"
        );
    }
}
