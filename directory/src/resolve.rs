//! What a reference means to a caller: its readings are tried in order, and the first that the caller may see counts.
//! What the caller may not see is told in the very words for what never was.

use data_encoding::HEXLOWER;
use p2p_proto::{
    ContentHash, FileName, FileRef, UserName,
    file_ref::Reading,
    rest::{problem::ProblemKind, publications::Publication},
};
use uuid::Uuid;

use crate::{
    problem::ApiError,
    storage::{Named, Session, Storage},
};

/// The longest reference that is repeated in a sentence, in characters.
const MAX_SHOWN: usize = 300;

/// How many candidates are listed.
const MAX_CANDIDATES: usize = 20;

/// The publication that the reference means.
///
/// # Errors
/// `bad-request` when it can mean nothing, `not-found`, or `ambiguous` with the candidates.
pub async fn resolve(
    storage: &dyn Storage,
    session: &Session,
    reference: &str,
) -> Result<Publication, ApiError> {
    if let Some(id) = reference
        .strip_prefix("id:")
        .and_then(|id| id.parse::<Uuid>().ok())
    {
        let found = storage.publication(session.user, id).await?;
        return found.ok_or_else(|| not_found(session, reference));
    }
    let file_ref: FileRef = reference.parse().map_err(|error: p2p_proto::file_ref::BadRef| {
        ApiError::new(ProblemKind::BadRequest, error.to_string())
    })?;
    for reading in file_ref.readings() {
        if let Some(found) = read(storage, session, reading, reference).await? {
            return Ok(found);
        }
    }
    Err(not_found(session, reference))
}

/// The publication of this content.
///
/// # Errors
/// `not-found`.
pub async fn resolve_hash(
    storage: &dyn Storage,
    session: &Session,
    hash: &ContentHash,
) -> Result<Publication, ApiError> {
    let found = storage.with_hash(session.user, hash).await?;
    found.ok_or_else(|| not_found(session, &hash.to_string()))
}

/// One sentence for what is not there and for what is not the caller's to see.
#[must_use]
pub fn not_found(session: &Session, reference: &str) -> ApiError {
    let shown: String = reference.chars().take(MAX_SHOWN).collect();
    let detail = format!("no file \"{shown}\" is visible to {}", session.user_name);
    ApiError::new(ProblemKind::NotFound, detail)
}

async fn read(
    storage: &dyn Storage,
    session: &Session,
    reading: &Reading,
    reference: &str,
) -> Result<Option<Publication>, ApiError> {
    match reading {
        Reading::Name { owner, name } => {
            let wanted = Named {
                owner: owner.as_ref(),
                name,
                version: None,
            };
            by_name(storage, session, wanted, reference).await
        }
        Reading::Version { owner, name, version } => {
            let wanted = Named {
                owner: owner.as_ref(),
                name,
                version: Some(*version),
            };
            by_name(storage, session, wanted, reference).await
        }
        Reading::Hash(hash) => Ok(storage.with_hash(session.user, hash).await?),
        Reading::HashPrefix(prefix) => by_prefix(storage, session, prefix, reference).await,
    }
}

async fn by_name(
    storage: &dyn Storage,
    session: &Session,
    wanted: Named<'_>,
    reference: &str,
) -> Result<Option<Publication>, ApiError> {
    let mut found = storage.named(session.user, wanted).await?;
    let own = found
        .first()
        .is_some_and(|first| first.owner == session.user_name);
    if own || found.len() <= 1 {
        return Ok((!found.is_empty()).then(|| found.swap_remove(0)));
    }
    let candidates = found
        .iter()
        .map(|of| exact(&of.owner, &of.name, wanted.version.map(|_| of.version)));
    Err(ambiguous(reference, candidates.collect()))
}

fn exact(owner: &UserName, name: &FileName, version: Option<u64>) -> String {
    version.map_or_else(
        || format!("{owner}/{name}"),
        |version| format!("{owner}/{name}@{version}"),
    )
}

async fn by_prefix(
    storage: &dyn Storage,
    session: &Session,
    prefix: &str,
    reference: &str,
) -> Result<Option<Publication>, ApiError> {
    let (Some(low), Some(high)) = (padded(prefix, '0'), padded(prefix, 'f')) else {
        return Ok(None);
    };
    let hashes = storage.hashes_between(session.user, low, high).await?;
    match hashes.as_slice() {
        [] => Ok(None),
        [hash] => Ok(storage.with_hash(session.user, hash).await?),
        several => Err(ambiguous(
            reference,
            several.iter().map(ContentHash::to_string).collect(),
        )),
    }
}

/// The prefix as a whole hash, filled up with this digit.
fn padded(prefix: &str, digit: char) -> Option<[u8; 32]> {
    let mut text = prefix.to_owned();
    text.extend(std::iter::repeat_n(digit, 64_usize.checked_sub(prefix.len())?));
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn ambiguous(reference: &str, mut candidates: Vec<String>) -> ApiError {
    candidates.truncate(MAX_CANDIDATES);
    let shown: String = reference.chars().take(MAX_SHOWN).collect();
    let detail = format!("\"{shown}\" means several files: {}", candidates.join(", "));
    ApiError::new(ProblemKind::Ambiguous, detail).candidates(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_odd_length_is_a_range() {
        assert_eq!(padded("abc", '0').unwrap()[..3], [0xab, 0xc0, 0]);
        assert_eq!(padded("abc", 'f').unwrap()[..3], [0xab, 0xcf, 0xff]);
        assert!(padded(&"a".repeat(65), '0').is_none());
    }
}
