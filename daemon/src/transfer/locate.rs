//! Who has a content, and what a reference means: the directory's answer, and while the directory is away, what it last
//! said. An answer carries its grant, which holders honour past its hour only while they too cannot reach the directory,
//! and never beyond its offline end.

mod meaning;
mod memory;

use std::sync::Arc;

use futures::future::BoxFuture;
use p2p_proto::{
    Failure, FailureKind,
    rest::{location::LocateResponse, publications::Publication},
};

use self::{
    meaning::meaning,
    memory::{Remembered, too_old},
};
use crate::{
    identity::session::{Session, Sessions},
    store::{AccountId, Store},
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
                self.remember(session, &located);
                Ok(located)
            }
            Err(away) if away.kind == FailureKind::Unreachable => {
                match self.memory.locate(session, publication).await {
                    Ok(remembered) => {
                        tracing::info!(CONTENT_HASH = %publication.hash,
                            "{away}; {} is looked for where it was", publication.name);
                        Ok(remembered)
                    }
                    Err(too_old) if too_old.kind == FailureKind::Unreachable => Err(both(away, &too_old)),
                    Err(_) => Err(away),
                }
            }
            Err(gone) if gone.kind == FailureKind::NotFound => {
                let _ = self
                    .store
                    .forget_locations(Some((AccountId::of(session), publication.id)))
                    .await;
                Err(gone)
            }
            Err(other) => Err(other),
        }
    }

    fn remember(&self, session: &Session, located: &LocateResponse) {
        // Without a holder there is nothing to go to when the directory is away.
        if located.holders.is_empty() {
            return;
        }
        let id = located.publication.id;
        match serde_json::to_string(located) {
            Ok(answer) => self.store.remember_location(AccountId::of(session), id, answer),
            Err(error) => tracing::warn!("a location cannot be kept: {error}"),
        }
    }

    /// What a reference means among the files that are held here or that the directory named lately: for when it is
    /// `away`.
    ///
    /// # Errors
    /// That it is away, when nothing here is meant, or nothing whose grant has not ended; `Ambiguous` with candidates,
    /// and those of the store.
    pub async fn resolve_offline(&self, reference: &str, away: Failure) -> Result<Publication, Failure> {
        let session = self.sessions.require()?;
        let me = &session.record.user;
        let told = Remembered(self.store.clone()).told(&session).await?;
        let held = self.store.holds().await?.into_iter();
        let known = held.map(|held| held.publication).chain(told.counts).collect();
        match meaning(reference, me, known) {
            Err(nothing) if nothing.kind == FailureKind::NotFound => {
                match meaning(reference, me, told.ended) {
                    Err(never) if never.kind == FailureKind::NotFound => Err(away),
                    _ => Err(both(away, &too_old(reference))),
                }
            }
            known => known,
        }
    }
}

/// The directory is away, and what is remembered does not help.
fn both(mut away: Failure, why: &Failure) -> Failure {
    away.message = format!("{}, {}", away.message.trim_end_matches('.'), why.message);
    away
}

impl Location for FromDirectory {
    fn locate<'a>(&'a self, session: &'a Session, publication: &'a Publication) -> Answer<'a> {
        Box::pin(ask(session, publication))
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
