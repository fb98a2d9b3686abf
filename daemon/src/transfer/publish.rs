//! Publishing: the bytes are imported and durable first, together with a note of what they shall be called; then the
//! directory gives the name its version, then the hold is recorded and announced. Each step can be repeated under the same
//! id. What the directory refused, or was never asked, is given up. When its answer was lost it may have the name: then the
//! content stays, and the directory is asked again ([`super::pending`]), also after a crash.

use std::sync::Arc;

use p2p_proto::{ContentHash, Failure, FailureKind, FileName, Visibility, rest::publications::Publication};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Transfers, Uploading,
    job::Job,
    journal::AccountId,
    pending::{Noted, Pending, Settled, Wanted},
    progress,
};
use crate::{
    directory::{client::PublishError, index::Announcer},
    events::{Bus, Teller, What},
    identity::session::Sessions,
    store::{Imported, ProgressSink, Purpose, Store, StoreError, StreamImport},
    user_file::UserFile,
};

/// What the person wants.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it shall be called.
    pub name: FileName,
    /// Who may see it.
    pub visibility: Visibility,
}

/// The way in.
#[derive(Clone)]
pub struct Publisher {
    sessions: Arc<Sessions>,
    store: Store,
    announcer: Announcer,
    transfers: Transfers,
    pub(super) pending: Arc<Pending>,
    teller: Arc<Teller>,
}

/// A stream on its way in.
pub struct Streaming {
    import: StreamImport,
    account: AccountId,
    uploading: Uploading,
}

impl Publisher {
    /// Publishes from this store under this session.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>, store: Store, announcer: Announcer, transfers: Transfers) -> Self {
        Self {
            sessions,
            store,
            announcer,
            transfers,
            pending: Arc::default(),
            teller: Arc::default(),
        }
    }

    /// From now on it tells what is published.
    pub fn tells(&self, bus: Bus) {
        self.teller.tells(bus);
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Imports the passed file and publishes it. `progress` is told how many bytes were read.
    ///
    /// # Errors
    /// `NotLoggedIn` before a byte is read; `DiskFull`; those of the directory, and then nothing is kept unless the
    /// directory may have the name.
    pub async fn file(
        &self,
        (source, size): (UserFile, Option<u64>),
        wish: &Wish,
        uid: Option<u32>,
        progress: ProgressSink,
    ) -> Result<Publication, Failure> {
        let (account, uploading) = self.uploading(wish, size, uid)?;
        let uploading = Arc::new(uploading);
        let counting = Arc::clone(&uploading);
        let sink: ProgressSink = Arc::new(move |bytes| {
            counting.reached(bytes);
            progress(bytes);
        });
        let (id, purpose) = noted(wish, account);
        let published = match self.import((source, id), purpose, sink, &uploading).await {
            Ok(Some(imported)) => {
                uploading.imported(imported.hash, imported.size);
                self.publish(Wanted::new(id, wish, imported, account)).await
            }
            Ok(None) => Err(progress::interrupted("cancelled; nothing was published")),
            Err(error) => Err(import_failed(&wish.name, error)),
        };
        uploading.end(published.as_ref().map(drop).map_err(Clone::clone));
        published
    }

    /// None when somebody cancelled it; then nothing of it stays, also when that came too late for the import.
    async fn import(
        &self,
        (source, id): (UserFile, Uuid),
        purpose: Purpose,
        sink: ProgressSink,
        uploading: &Uploading,
    ) -> Result<Option<Imported>, StoreError> {
        let cancel = CancellationToken::new();
        let (store, cancelled) = (self.store.clone(), cancel.clone());
        let mut importing =
            tokio::spawn(async move { store.import_file(source, purpose, sink, &cancelled).await });
        tokio::select! {
            imported = &mut importing => imported.unwrap_or(Err(StoreError::Stopped)).map(Some),
            () = uploading.cancelled() => {
                cancel.cancel();
                let publisher = self.clone();
                // A source that answers nobody may keep it for long.
                tokio::spawn(async move {
                    if let Ok(Ok(imported)) = importing.await
                        && let Err(error) = publisher.give_up(id, imported.hash).await
                    {
                        tracing::warn!("what was cancelled stays until the next start: {error}");
                    }
                });
                Ok(None)
            }
        }
    }

    /// The account whose upload this is and stays, whoever is logged in when it ends.
    fn uploading(
        &self,
        wish: &Wish,
        size: Option<u64>,
        uid: Option<u32>,
    ) -> Result<(AccountId, Uploading), Failure> {
        let session = self.sessions.require()?;
        let account = AccountId::of(&session);
        let job = Job::Upload {
            owner: session.record.user.clone(),
            name: wish.name.clone(),
            size,
        };
        Ok((account, self.transfers.uploading(job, uid)?))
    }

    /// Begins an import from a stream.
    ///
    /// # Errors
    /// `NotLoggedIn`, or the store's.
    pub async fn stream(&self, wish: &Wish, uid: Option<u32>) -> Result<Streaming, Failure> {
        let (account, uploading) = self.uploading(wish, None, uid)?;
        let import = self.store.import_stream().await?;
        Ok(Streaming {
            import,
            account,
            uploading,
        })
    }

    /// Publishes what a stream brought.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn finish(&self, stream: Streaming, wish: &Wish) -> Result<Publication, Failure> {
        let Streaming {
            import,
            account,
            uploading,
        } = stream;
        let (id, purpose) = noted(wish, account);
        let published = match import.finish(purpose).await {
            Ok(imported) => {
                uploading.imported(imported.hash, imported.size);
                self.publish(Wanted::new(id, wish, imported, account)).await
            }
            Err(error) => Err(import_failed(&wish.name, error)),
        };
        uploading.end(published.as_ref().map(drop).map_err(Clone::clone));
        published
    }

    /// What was imported and noted. An earlier upload under this name, of which nobody knows whether the directory has it,
    /// is settled first: versions come in the order of the uploads.
    async fn publish(&self, wanted: Wanted) -> Result<Publication, Failure> {
        let published = match self.settle_earlier(&wanted).await {
            Ok(()) => self.register(&wanted).await,
            Err(failure) => Err(PublishError::NotAsked(failure)),
        };
        match published {
            Ok(publication) => Ok(publication),
            Err(PublishError::Refused(failure) | PublishError::NotAsked(failure)) => {
                self.give_up(wanted.request.id, wanted.request.hash).await?;
                Err(failure)
            }
            Err(PublishError::Unknown(failure)) => {
                let name = wanted.request.name.clone();
                self.pending.add(wanted);
                let message = format!(
                    "{}; whether {name} is published is not known yet: p2pd asks again",
                    failure.message
                );
                Err(Failure { message, ..failure }.hint(format!("p2pctl info {name}")))
            }
        }
    }

    async fn settle_earlier(&self, wanted: &Wanted) -> Result<(), Failure> {
        for earlier in self.pending.under_the_name_of(wanted) {
            if let Settled::NotYet(failure) = self.settle(&earlier).await? {
                let message = format!("{}, asked for an earlier upload of it", failure.message);
                return Err(Failure { message, ..failure });
            }
        }
        Ok(())
    }

    /// Asks again for what was not settled.
    pub(super) async fn settle(&self, wanted: &Wanted) -> Result<Settled, Failure> {
        let (id, name) = (wanted.request.id, &wanted.request.name);
        match self.register(wanted).await {
            Ok(_) => {}
            Err(PublishError::Unknown(failure) | PublishError::NotAsked(failure)) => {
                return Ok(Settled::NotYet(failure));
            }
            Err(PublishError::Refused(failure)) => {
                tracing::warn!(CONTENT_HASH = %wanted.request.hash, "{name} was not published: {failure}");
                self.give_up(id, wanted.request.hash).await?;
            }
        }
        self.pending.remove(id);
        Ok(Settled::Now)
    }

    pub(super) async fn give_up(&self, id: Uuid, hash: ContentHash) -> Result<(), Failure> {
        self.store.published_or_not(id).await?;
        self.store.forget_unheld(hash).await?;
        Ok(())
    }

    async fn register(&self, wanted: &Wanted) -> Result<Publication, PublishError> {
        let session = self.sessions.require().map_err(PublishError::NotAsked)?;
        if AccountId::of(&session) != wanted.account {
            let message = "another account is logged in now; nothing was published";
            let failure = Failure::new(FailureKind::NotPermitted, message);
            return Err(PublishError::NotAsked(failure));
        }
        let publication = match session.client.publish(&wanted.request).await {
            Err(PublishError::Unknown(first)) => match session.client.publish(&wanted.request).await {
                // Nothing is known of the first.
                Err(PublishError::NotAsked(_)) => return Err(PublishError::Unknown(first)),
                other => other?,
            },
            other => other?,
        };
        let kept = self.keep(&publication, wanted.request.id).await;
        kept.map_err(PublishError::Unknown)?;
        tracing::info!(own = tracing::field::Empty, CONTENT_HASH = %publication.hash, ACCOUNT = %publication.owner,
            "published {}/{}@{}", publication.owner, publication.name, publication.version);
        self.teller.tell(What::Published {
            publication: publication.clone(),
        });
        if let Err(failure) = self.announcer.announce(&session).await {
            tracing::info!("the directory was not told of the new hold; a ping will: {failure}");
        }
        Ok(publication)
    }

    /// The same bytes under the same name are the publication that was there before, whatever id was asked for.
    async fn keep(&self, publication: &Publication, asked: Uuid) -> Result<(), Failure> {
        self.store.add_hold(publication).await?;
        self.store.published_or_not(asked).await?;
        Ok(())
    }
}

/// The id of a new publication, and what is written of it together with its content.
fn noted(wish: &Wish, account: AccountId) -> (Uuid, Purpose) {
    let id = Uuid::now_v7();
    let note = Noted::of(wish, account).to_string();
    (id, Purpose::Publish { id, note })
}

impl Streaming {
    /// The next bytes.
    ///
    /// # Errors
    /// As [`Publisher::file`]; and when somebody cancelled it.
    pub async fn push(&mut self, bytes: bytes::Bytes, wish: &Wish) -> Result<(), Failure> {
        tokio::select! {
            pushed = self.import.push(bytes) => pushed.map_err(|error| import_failed(&wish.name, error))?,
            () = self.uploading.cancelled() => {
                return Err(progress::interrupted("cancelled; nothing was published"));
            }
        }
        self.uploading.reached(self.import.size());
        Ok(())
    }
}

/// What a failed import means to the person who wanted this name.
#[must_use]
pub fn import_failed(name: &FileName, error: StoreError) -> Failure {
    match error {
        StoreError::NoSpace { needed, usable, path } => {
            let (needed, usable) = (p2p_proto::ByteCount(needed), p2p_proto::ByteCount(usable));
            let message = format!("{name} needs {needed} in {}; {usable} usable", path.display());
            Failure::new(FailureKind::DiskFull, message).hint("Free space, or set store.path")
        }
        StoreError::SourceChanged => Failure::new(
            FailureKind::Internal,
            format!("{name} changed while it was read; nothing was published"),
        ),
        other => other.into(),
    }
}
