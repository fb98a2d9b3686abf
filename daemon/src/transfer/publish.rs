//! Publishing: the bytes are imported and durable first, then the directory gives the name its version, then the hold is
//! recorded and announced. Each step can be repeated: a crash between two leaves a content that nobody was told of, and
//! the store removes it.

use std::os::fd::OwnedFd;

use p2p_proto::{
    Failure, FailureKind, FileName, Visibility,
    rest::publications::{Publication, PublishRequest},
};
use uuid::Uuid;

use crate::{
    directory::index::Announcer,
    identity::session::Sessions,
    store::{Imported, ProgressSink, Store, StoreError, StreamImport},
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
    sessions: std::sync::Arc<Sessions>,
    store: Store,
    announcer: Announcer,
}

impl Publisher {
    /// Publishes from this store under this session.
    #[must_use]
    pub const fn new(sessions: std::sync::Arc<Sessions>, store: Store, announcer: Announcer) -> Self {
        Self {
            sessions,
            store,
            announcer,
        }
    }

    /// Imports the passed file and publishes it.
    ///
    /// # Errors
    /// `NotLoggedIn` before a byte is read; `DiskFull`; those of the directory, and then nothing is kept.
    pub async fn file(
        &self,
        source: OwnedFd,
        wish: &Wish,
        progress: ProgressSink,
    ) -> Result<Publication, Failure> {
        self.sessions.require()?;
        let imported = self
            .store
            .import_file(source, progress)
            .await
            .map_err(|e| import_failed(&wish.name, e))?;
        self.publish(wish, imported).await
    }

    /// Begins an import from a stream.
    ///
    /// # Errors
    /// `NotLoggedIn`, or the store's.
    pub async fn stream(&self) -> Result<StreamImport, Failure> {
        self.sessions.require()?;
        Ok(self.store.import_stream().await?)
    }

    /// Publishes what a stream brought.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn finish(&self, stream: StreamImport, wish: &Wish) -> Result<Publication, Failure> {
        let imported = stream.finish().await.map_err(|e| import_failed(&wish.name, e))?;
        self.publish(wish, imported).await
    }

    async fn publish(&self, wish: &Wish, imported: Imported) -> Result<Publication, Failure> {
        let published = self.register(wish, &imported).await;
        if published.is_err() {
            self.store.forget_unheld(imported.hash).await?;
        }
        published
    }

    async fn register(&self, wish: &Wish, imported: &Imported) -> Result<Publication, Failure> {
        let session = self.sessions.require()?;
        let request = PublishRequest {
            id: Uuid::now_v7(),
            name: wish.name.clone(),
            hash: imported.hash,
            size: imported.size,
            visibility: wish.visibility,
        };
        let publication = match session.client.publish(&request).await {
            // The answer may have been lost: the id makes a repeat harmless.
            Err(failure) if failure.kind == FailureKind::Unreachable => {
                session.client.publish(&request).await?
            }
            other => other?,
        };
        self.store.add_hold(&publication).await?;
        tracing::info!(CONTENT_HASH = %publication.hash, ACCOUNT = %publication.owner,
            "published {}/{}@{}", publication.owner, publication.name, publication.version);
        if let Err(failure) = self.announcer.announce(&session).await {
            tracing::warn!("the directory was not told of the new hold; a ping will: {failure}");
        }
        Ok(publication)
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
