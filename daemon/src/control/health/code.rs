//! The codes of health lines, and how bad each is. docs/json.md lists them.

use p2p_proto::v1::HealthLine;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The group of the control socket does not exist.
    NoGroup,
    /// Nobody is in it.
    GroupEmpty,
    /// The directory ended the session.
    SessionEnded,
    /// The session ends soon.
    SessionEnds,
    /// The certificate ends soon, and was not renewed.
    CertificateEnds,
    /// The directory does not answer.
    DirectoryAway,
    /// This clock and the directory's differ.
    ClockSkew,
    /// The directory could not dial an address of this peer.
    PortUnreachable,
    /// This peer could not dial another one.
    PeerUnreachable,
    /// No space is left.
    DiskFull,
    /// Little space is left.
    DiskLow,
    /// The store has almost reached its `max_size`.
    MaxSizeNear,
    /// Stored content is damaged.
    ContentDamaged,
    /// The disk refused something.
    StoreFault,
    /// Nobody feeds a transfer.
    TransferStalled,
    /// Bytes are held back.
    LimitsInForce,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::NoGroup,
        Self::GroupEmpty,
        Self::SessionEnded,
        Self::SessionEnds,
        Self::CertificateEnds,
        Self::DirectoryAway,
        Self::ClockSkew,
        Self::PortUnreachable,
        Self::PeerUnreachable,
        Self::DiskFull,
        Self::DiskLow,
        Self::MaxSizeNear,
        Self::ContentDamaged,
        Self::StoreFault,
        Self::TransferStalled,
        Self::LimitsInForce,
    ];

    /// As the wire says it, and its level.
    #[must_use]
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoGroup => ("no_group", "warning"),
            Self::GroupEmpty => ("group_empty", "info"),
            Self::SessionEnded => ("session_ended", "error"),
            Self::SessionEnds => ("session_ends", "warning"),
            Self::CertificateEnds => ("certificate_ends", "warning"),
            Self::DirectoryAway => ("directory_away", "warning"),
            Self::ClockSkew => ("clock_skew", "warning"),
            Self::PortUnreachable => ("port_unreachable", "warning"),
            Self::PeerUnreachable => ("peer_unreachable", "warning"),
            Self::DiskFull => ("disk_full", "warning"),
            Self::DiskLow => ("disk_low", "warning"),
            Self::MaxSizeNear => ("max_size_near", "warning"),
            Self::ContentDamaged => ("content_damaged", "error"),
            Self::StoreFault => ("store_fault", "warning"),
            Self::TransferStalled => ("transfer_stalled", "warning"),
            Self::LimitsInForce => ("limits_in_force", "info"),
        }
    }

    /// A line; `fix` is the command that mends it.
    pub(super) fn line(self, message: String, fix: impl Into<String>) -> HealthLine {
        let (code, level) = self.words();
        HealthLine {
            level: level.into(),
            code: code.into(),
            message,
            fix: fix.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_with_its_level() {
        let documented = include_str!("../../../../docs/json.md");
        for code in Code::ALL {
            let (word, level) = code.words();
            let row = format!("| `{word}` | {level} |");
            assert!(documented.contains(&row), "{row}");
        }
    }
}
