//! Publishing: the bytes are imported and durable first, then the directory gives the name its version, then the hold is
//! recorded and announced. Each step can be repeated: a crash before the request is noted leaves a content that nobody was
//! told of, and the store removes it; after one the next start asks again under the same id.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use p2p_proto::{
    Failure, FailureKind, FileName, Visibility,
    rest::publications::{Publication, PublishRequest},
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Transfers, Uploading, job::Job, journal::AccountId, progress};
use crate::{
    directory::index::Announcer,
    identity::session::Sessions,
    store::{Imported, ProgressSink, Store, StoreError, StreamImport},
};

/// How often the directory is asked again for what an earlier run had begun.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What the person wants.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it shall be called.
    pub name: FileName,
    /// Who may see it.
    pub visibility: Visibility,
}

/// What is written of a publication before the directory is asked.
#[derive(Serialize, Deserialize)]
struct Noted {
    account: AccountId,
    request: PublishRequest,
}

/// The way in.
#[derive(Clone)]
pub struct Publisher {
    sessions: Arc<Sessions>,
    store: Store,
    announcer: Announcer,
    transfers: Transfers,
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
    pub const fn new(
        sessions: Arc<Sessions>,
        store: Store,
        announcer: Announcer,
        transfers: Transfers,
    ) -> Self {
        Self {
            sessions,
            store,
            announcer,
            transfers,
        }
    }

    /// Imports the passed file and publishes it. `progress` is told how many bytes were read.
    ///
    /// # Errors
    /// `NotLoggedIn` before a byte is read; `DiskFull`; those of the directory, and then nothing is kept.
    pub async fn file(
        &self,
        (source, size): (OwnedFd, Option<u64>),
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
        let published = tokio::select! {
            imported = self.store.import_file(source, sink) => match imported {
                Ok(imported) => {
                    uploading.imported(imported.hash, imported.size);
                    self.publish(wish, imported, account).await
                }
                Err(error) => Err(import_failed(&wish.name, error)),
            },
            () = uploading.cancelled() => Err(progress::interrupted("cancelled; nothing was published")),
        };
        uploading.end(published.as_ref().map(drop).map_err(Clone::clone));
        published
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
        let published = match import.finish().await {
            Ok(imported) => {
                uploading.imported(imported.hash, imported.size);
                self.publish(wish, imported, account).await
            }
            Err(error) => Err(import_failed(&wish.name, error)),
        };
        uploading.end(published.as_ref().map(drop).map_err(Clone::clone));
        published
    }

    async fn publish(
        &self,
        wish: &Wish,
        imported: Imported,
        account: AccountId,
    ) -> Result<Publication, Failure> {
        let request = PublishRequest {
            id: Uuid::now_v7(),
            name: wish.name.clone(),
            hash: imported.hash,
            size: imported.size,
            visibility: wish.visibility,
        };
        let noted = Noted {
            account,
            request: request.clone(),
        };
        let noted = serde_json::to_string(&noted)
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        let published = match self.store.will_publish(request.id, request.hash, noted).await {
            Ok(()) => self.register(&request, account).await,
            Err(error) => Err(error.into()),
        };
        if published.is_err() {
            self.give_up(&request).await?;
        }
        published
    }

    async fn give_up(&self, request: &PublishRequest) -> Result<(), Failure> {
        self.store.published_or_not(request.id).await?;
        self.store.forget_unheld(request.hash).await?;
        Ok(())
    }

    async fn register(&self, request: &PublishRequest, account: AccountId) -> Result<Publication, Failure> {
        let session = self.sessions.require()?;
        if AccountId::of(&session) != account {
            let message = "another account is logged in now; nothing was published";
            return Err(Failure::new(FailureKind::NotPermitted, message));
        }
        let publication = match session.client.publish(request).await {
            // The answer may have been lost: the id makes a repeat harmless.
            Err(failure) if failure.kind == FailureKind::Unreachable => {
                session.client.publish(request).await?
            }
            other => other?,
        };
        self.store.add_hold(&publication).await?;
        self.store.published_or_not(request.id).await?;
        tracing::info!(CONTENT_HASH = %publication.hash, ACCOUNT = %publication.owner,
            "published {}/{}@{}", publication.owner, publication.name, publication.version);
        if let Err(failure) = self.announcer.announce(&session).await {
            tracing::warn!("the directory was not told of the new hold; a ping will: {failure}");
        }
        Ok(publication)
    }

    /// Asks again for what an earlier run had begun to publish, until each is published or refused, or `stop`.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn finish_unfinished(self, stop: CancellationToken) -> anyhow::Result<()> {
        let requests = self.store.unfinished_publishing().await?;
        let mut left: Vec<Noted> = requests
            .iter()
            .filter_map(|request| serde_json::from_str(request).ok())
            .collect();
        while !left.is_empty() {
            let mut sessions = self.sessions.subscribe();
            let mut still = Vec::new();
            for noted in left {
                match self.register(&noted.request, noted.account).await {
                    Ok(_) => {}
                    Err(failure)
                        if matches!(failure.kind, FailureKind::Unreachable | FailureKind::NotLoggedIn) =>
                    {
                        still.push(noted);
                    }
                    Err(failure) => {
                        tracing::warn!("{} was not published: {failure}", noted.request.name);
                        self.give_up(&noted.request).await?;
                    }
                }
            }
            left = still;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(ASK_AGAIN), if !left.is_empty() => {}
                changed = sessions.changed(), if !left.is_empty() => changed?,
                else => {}
            }
        }
        Ok(())
    }
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
