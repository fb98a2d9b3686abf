//! Where copies go: of all peers those that can keep one, best first, and of those that were named and cannot, why not.
//! It decides on what the storage knew a moment ago and keeps nothing.

use std::{cmp::Reverse, collections::HashSet};

use jiff::Timestamp;
use p2p_proto::{
    ByteCount, PeerId, UserName,
    rest::{placement::Refused, publications::Publication, session::AcceptCopies},
};

use crate::storage::{Place, reports::ENOUGH};
pub use p2p_proto::pattern::Pattern;

/// How many more targets than needed are told, for those that fail.
pub const RESERVE: usize = 3;

/// The most peers that may fit what was named.
pub const MAX_FITTING: usize = 1000;

/// What to decide.
pub struct Question<'a> {
    /// What shall be copied.
    pub of: &'a Publication,
    /// The account that asks.
    pub user: &'a UserName,
    /// Its peer, which is never a target: it has the file to copy, or can fetch it.
    pub peer: PeerId,
    /// Copies in all; 0 for one on each peer that fits `to`.
    pub copies: u32,
    /// Names, ids and patterns; empty for any peer.
    pub to: &'a [Pattern],
    /// Peers that are not wanted.
    pub exclude: &'a HashSet<PeerId>,
    /// How many online peers hold all of it.
    pub online_copies: usize,
    /// The time.
    pub now: Timestamp,
}

/// What was decided.
#[derive(Debug)]
pub struct Plan {
    /// How many more copies it takes.
    pub needed: usize,
    /// Where, best first.
    pub targets: Vec<Place>,
    /// Who was named and cannot take one.
    pub refused: Vec<Refused>,
}

/// Why nothing was decided.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nobody fits this.
    #[error("no peer \"{0}\" is visible")]
    Nobody(String),
    /// Too many fit.
    #[error("{0} peers fit; at most {MAX_FITTING} at once")]
    TooMany(usize),
}

/// Decides. `places` come in random order, which is that of equals.
///
/// # Errors
/// When something named fits no peer, or too many.
pub fn decide(question: &Question<'_>, places: Vec<Place>) -> Result<Plan, Unfit> {
    let fitting = fitting(question, places)?;
    let (mut targets, mut refused) = (Vec::new(), Vec::new());
    for place in fitting {
        // The caller, whoever was tried already, and whoever has it: no targets, and nothing to complain of.
        let has_it = place.holds_all && place.online && place.reports < ENOUGH;
        if place.peer_id == question.peer || question.exclude.contains(&place.peer_id) || has_it {
            continue;
        }
        match obstacle(question, &place) {
            None => targets.push(place),
            Some(reason) => refused.push(Refused {
                peer_name: place.peer_name,
                reason,
            }),
        }
    }
    targets.sort_by_key(|place| (place.active_transfers, Reverse(place.free_bytes)));
    refused.sort_by(|a, b| a.peer_name.as_str().cmp(b.peer_name.as_str()));
    if question.to.is_empty() {
        refused.clear();
    }
    let needed = if question.copies == 0 {
        targets.len()
    } else {
        (question.copies as usize).saturating_sub(question.online_copies)
    };
    let told = if needed == 0 { 0 } else { needed + RESERVE };
    targets.truncate(told);
    Ok(Plan {
        needed,
        targets,
        refused,
    })
}

/// Those that were named.
fn fitting(question: &Question<'_>, mut places: Vec<Place>) -> Result<Vec<Place>, Unfit> {
    if question.to.is_empty() {
        return Ok(places);
    }
    for pattern in question.to {
        if !places
            .iter()
            .any(|place| pattern.fits(&place.peer_id, &place.peer_name))
        {
            return Err(Unfit::Nobody(pattern.text()));
        }
    }
    places.retain(|place| {
        question
            .to
            .iter()
            .any(|pattern| pattern.fits(&place.peer_id, &place.peer_name))
    });
    if places.len() > MAX_FITTING {
        return Err(Unfit::TooMany(places.len()));
    }
    Ok(places)
}

/// Why the peer cannot take a copy, as it reads after its name. What lasts is told first.
fn obstacle(question: &Question<'_>, place: &Place) -> Option<String> {
    let own = place.user == *question.user;
    if !place.sees {
        let of = question.of;
        return Some(match of.visibility.group() {
            Some(group) => format!("is of {}, who is no member of {group}", place.user),
            None => format!("cannot take private files of {}", of.owner),
        });
    }
    if place.denied {
        return Some("is shut out of this directory".to_owned());
    }
    if !place.online {
        return Some("is offline".to_owned());
    }
    if !own && place.accepts == AcceptCopies::Own {
        return Some("accepts copies of its own account only".to_owned());
    }
    if place.certificate_expires_at.is_none_or(|end| end <= question.now) {
        return Some("has no valid certificate".to_owned());
    }
    if place.holds_all {
        return Some("holds it, and several accounts say that its copy is bad".to_owned());
    }
    match place.free_bytes {
        None => Some("has not told how much is free".to_owned()),
        Some(free) if free < question.of.size => Some(format!("has {} free", ByteCount(free))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
