//! The values of flags, from their texts. Owns no state.

use std::time::Duration;

use p2p_proto::{ByteCount, FileName};

use super::Rate;

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("\"{text}\" is no duration; write for example 500ms, 30s, 5min or 2h");
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|signed| Duration::try_from(signed).ok())
            .ok_or_else(bad)?,
    };
    // A year bounds the arithmetic with deadlines.
    let year = Duration::from_secs(366 * 86_400);
    if duration.is_zero() || duration > year {
        return Err(bad());
    }
    Ok(duration)
}

pub(super) fn fingerprint(text: &str) -> Result<String, String> {
    let digits = text
        .strip_prefix("sha256:")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(format!("sha256:{digits}"))
    } else {
        Err("a fingerprint is \"sha256:\" and 64 hex digits".to_owned())
    }
}

pub(super) fn file_name(text: &str) -> Result<FileName, p2p_proto::name::BadName> {
    text.parse()
}

/// The id of a transfer, as `p2pctl transfers` shows it.
pub(super) fn transfer_id(text: &str) -> Result<String, String> {
    match text.parse::<u64>() {
        Ok(id) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(id.to_string()),
        _ => Err("a transfer's id is a number; p2pctl transfers shows them".to_owned()),
    }
}

/// Bytes in a second: a size, with a unit of one letter as curl and wget have it (k is 1024), and `/s` where people
/// write that.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let bad = || format!("\"{text}\" is no rate; write for example 20MiB, 500k or unlimited");
    let bare = text.trim();
    if bare.eq_ignore_ascii_case("unlimited") {
        return Ok(Rate::Unlimited);
    }
    let bare = bare.strip_suffix("/s").unwrap_or(bare);
    let long = match bare.char_indices().next_back() {
        Some((at, 'k' | 'K')) => format!("{}KiB", &bare[..at]),
        Some((at, 'm' | 'M')) => format!("{}MiB", &bare[..at]),
        Some((at, 'g' | 'G')) => format!("{}GiB", &bare[..at]),
        _ => bare.to_owned(),
    };
    match long.parse() {
        Ok(ByteCount(0)) => Err("nothing would move; write unlimited, or: p2pctl pause ID".to_owned()),
        Ok(ByteCount(bytes)) => Ok(Rate::Bytes(bytes)),
        Err(_) => Err(bad()),
    }
}

/// A peer's name or id, or a pattern.
pub(super) fn peer_pattern(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("write a peer's name or id, or a pattern with * and ?".to_owned());
    }
    Ok(text.to_owned())
}
