//! Who has a content, and what a reference means: the directory's answer, and while the directory is away, what it last
//! said. An answer carries its grant, which holders honour past its hour only while they too cannot reach the directory,
//! and never beyond its offline end.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use p2p_proto::{
    Failure, FailureKind, FileName, FileRef, UserName,
    file_ref::Reading,
    grant::{Action, Expected},
    rest::{location::LocateResponse, publications::Publication},
};

use crate::{
    identity::session::{Session, Sessions},
    store::Store,
};

/// What the directory said of a file stays so, however often it is asked.
pub(super) const fn is_final(said: &Failure) -> bool {
    matches!(
        said.kind,
        FailureKind::NotFound
            | FailureKind::NotPermitted
            | FailureKind::Usage
            | FailureKind::Ambiguous
            | FailureKind::IdentityMismatch
    )
}

/// What the directory says of this publication now, with a grant to read it; nothing is remembered.
pub(super) async fn ask(session: &Session, publication: &Publication) -> Result<LocateResponse, Failure> {
    let located = session.client.locate(&format!("id:{}", publication.id)).await?;
    same_content(&located, publication)?;
    Ok(located)
}

/// One who knows where contents are.
pub trait Location: Send + Sync {
    /// Who holds this publication, best first, with a grant to read it there; `NotFound`, or `Unreachable` when it cannot
    /// say.
    fn locate<'a>(&'a self, session: &'a Session, publication: &'a Publication) -> Answer<'a>;
}

/// Some time later.
pub type Answer<'a> = BoxFuture<'a, Result<LocateResponse, Failure>>;

/// The directory.
struct FromDirectory;

/// What the directory last said.
struct Remembered(Store);

/// The directory first, and what is remembered of it while it is away.
#[derive(Clone)]
pub struct Locator {
    sessions: Arc<Sessions>,
    store: Store,
    memory: Arc<dyn Location>,
    directory: Arc<dyn Location>,
}

impl Locator {
    /// A locator that remembers in this store.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>, store: Store) -> Self {
        Self {
            memory: Arc::new(Remembered(store.clone())),
            directory: Arc::new(FromDirectory),
            sessions,
            store,
        }
    }

    /// Who holds it.
    ///
    /// # Errors
    /// Those of the directory; when it is away and nothing that still counts is remembered, that it is away.
    pub async fn locate(
        &self,
        session: &Session,
        publication: &Publication,
    ) -> Result<LocateResponse, Failure> {
        match self.directory.locate(session, publication).await {
            Ok(located) => {
                self.remember(&located);
                Ok(located)
            }
            Err(away) if away.kind == FailureKind::Unreachable => {
                match self.memory.locate(session, publication).await {
                    Ok(remembered) => {
                        tracing::info!("{away}; {} is looked for where it was", publication.name);
                        Ok(remembered)
                    }
                    Err(_) => Err(away),
                }
            }
            Err(gone) if gone.kind == FailureKind::NotFound => {
                let _ = self.store.forget_locations(Some(publication.id)).await;
                Err(gone)
            }
            Err(other) => Err(other),
        }
    }

    fn remember(&self, located: &LocateResponse) {
        // Without a holder there is nothing to go to when the directory is away.
        if located.holders.is_empty() {
            return;
        }
        let id = located.publication.id;
        match serde_json::to_string(located) {
            Ok(answer) => self.store.remember_location(id, answer),
            Err(error) => tracing::warn!("a location cannot be kept: {error}"),
        }
    }

    /// What a reference means among the files that are held here or that the directory named lately: for when it is away.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous` with candidates, and those of the store.
    pub async fn resolve_offline(&self, reference: &str) -> Result<Publication, Failure> {
        let session = self.sessions.require()?;
        let mut known: Vec<Publication> = self
            .store
            .holds()
            .await?
            .into_iter()
            .map(|held| held.publication)
            .collect();
        for answer in self.store.remembered_locations().await? {
            if let Ok(located) = serde_json::from_str::<LocateResponse>(&answer) {
                known.push(located.publication);
            }
        }
        meaning(reference, &session.record.user, known)
    }
}

impl Location for FromDirectory {
    fn locate<'a>(&'a self, session: &'a Session, publication: &'a Publication) -> Answer<'a> {
        Box::pin(ask(session, publication))
    }
}

impl Location for Remembered {
    fn locate<'a>(&'a self, session: &'a Session, publication: &'a Publication) -> Answer<'a> {
        Box::pin(self.answer(session, publication))
    }
}

impl Remembered {
    async fn answer(&self, session: &Session, publication: &Publication) -> Result<LocateResponse, Failure> {
        let unknown = || Failure::new(FailureKind::NotFound, "nothing is remembered of it");
        let answer = self.0.remembered_location(publication.id).await?;
        let located: LocateResponse = answer
            .and_then(|answer| serde_json::from_str(&answer).ok())
            .ok_or_else(unknown)?;
        same_content(&located, publication)?;
        let expected = Expected {
            cluster: session.record.cluster,
            peer: session.peer_id(),
            action: Action::Read,
            now: Timestamp::now().as_second(),
            directory_away: true,
        };
        let counts = session.verifier.verify(&located.grant, &expected).is_ok();
        counts.then_some(located).ok_or_else(unknown)
    }
}

fn same_content(located: &LocateResponse, publication: &Publication) -> Result<(), Failure> {
    let told = &located.publication;
    if (told.hash, told.size) == (publication.hash, publication.size) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::IdentityMismatch,
        "the directory changed what it said of this file",
    ))
}

/// The rules of `REF` over a list.
fn meaning(reference: &str, me: &UserName, mut known: Vec<Publication>) -> Result<Publication, Failure> {
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
