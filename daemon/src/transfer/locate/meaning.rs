//! What a `REF` means among known publications, by the rules of the directory. Owns no state.

use p2p_proto::{
    Failure, FailureKind, FileName, FileRef, UserName, file_ref::Reading, rest::publications::Publication,
};

/// What it means.
///
/// # Errors
/// `Usage`, `NotFound`, `Ambiguous` with candidates.
pub(super) fn meaning(
    reference: &str,
    me: &UserName,
    mut known: Vec<Publication>,
) -> Result<Publication, Failure> {
    // The caller's own first, then the newest version of each.
    known.sort_by_key(|file| {
        (
            file.owner != *me,
            file.owner.clone(),
            std::cmp::Reverse(file.version),
        )
    });
    known.dedup_by_key(|file| file.id);
    if let Some(id) = reference.strip_prefix("id:") {
        let found = known.into_iter().find(|file| file.id.to_string() == id);
        return found.ok_or_else(|| unknown(reference));
    }
    let file_ref: FileRef = reference
        .parse()
        .map_err(|bad: p2p_proto::file_ref::BadRef| Failure::new(FailureKind::Usage, bad.to_string()))?;
    for reading in file_ref.readings() {
        let mut fits: Vec<&Publication> = known.iter().filter(|file| reads_as(reading, file)).collect();
        let by_name = matches!(reading, Reading::Name { .. } | Reading::Version { .. });
        if by_name && fits.first().is_some_and(|first| first.owner == *me) {
            fits.truncate(1);
        }
        let label = |file: &Publication| match by_name {
            true => format!("{}/{}", file.owner, file.name),
            false => file.hash.to_string(),
        };
        let mut labels: Vec<String> = fits.iter().map(|file| label(file)).collect();
        labels.dedup();
        match (fits.first(), labels.len()) {
            (None, _) => {}
            (Some(file), 1) => return Ok((*file).clone()),
            _ => {
                let message = format!("\"{reference}\" means several files: {}", labels.join(", "));
                return Err(Failure::new(FailureKind::Ambiguous, message).candidates(labels));
            }
        }
    }
    Err(unknown(reference))
}

fn unknown(reference: &str) -> Failure {
    let message = format!("nothing is known here of \"{reference}\", and the directory is away");
    Failure::new(FailureKind::NotFound, message)
}

fn reads_as(reading: &Reading, file: &Publication) -> bool {
    let called = |owner: &Option<UserName>, name: &FileName| {
        file.name == *name && owner.as_ref().is_none_or(|owner| file.owner == *owner)
    };
    match reading {
        Reading::Name { owner, name } => called(owner, name),
        Reading::Version { owner, name, version } => called(owner, name) && file.version == *version,
        Reading::Hash(hash) => file.hash == *hash,
        Reading::HashPrefix(prefix) => file.hash.to_string().starts_with(prefix.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use p2p_proto::{ContentHash, Visibility};
    use uuid::Uuid;

    use super::*;

    fn file(id: u128, owner: &str, name: &str, version: u64) -> Publication {
        Publication {
            id: Uuid::from_u128(id),
            owner: owner.parse().unwrap(),
            name: name.parse().unwrap(),
            version,
            hash: ContentHash::of(&id.to_le_bytes()),
            size: 1,
            visibility: Visibility::Public,
            published_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn known() -> Vec<Publication> {
        vec![
            file(1, "bob", "a", 1),
            file(2, "ana", "a", 1),
            file(3, "ana", "a", 2),
            file(3, "ana", "a", 2),
            file(4, "bob", "b", 1),
            file(5, "eve", "b", 1),
        ]
    }

    fn means(reference: &str) -> Result<u128, FailureKind> {
        meaning(reference, &"ana".parse().unwrap(), known())
            .map(|file| file.id.as_u128())
            .map_err(|failure| failure.kind)
    }

    #[test]
    fn a_reference_means_the_same_as_at_the_directory() {
        assert_eq!(means("a"), Ok(3), "own before others', the newest");
        assert_eq!(means("a@1"), Ok(2));
        assert_eq!(means("bob/a"), Ok(1));
        assert_eq!(means("b"), Err(FailureKind::Ambiguous));
        assert_eq!(means("eve/b@1"), Ok(5));
        let hash = ContentHash::of(&4_u128.to_le_bytes()).to_string();
        assert_eq!((means(&hash), means(&hash[..9])), (Ok(4), Ok(4)));
        assert_eq!(means("c"), Err(FailureKind::NotFound));
        assert_eq!(means(&format!("id:{}", Uuid::from_u128(4))), Ok(4));
    }
}
