//! Publications of which nobody knows whether the directory has them: the answer was lost, or p2pd was stopped in between.
//! Their contents and notes are durable in the store; here is who asks again, until each is published or refused.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_proto::{Failure, FileName, Visibility, rest::publications::PublishRequest};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    journal::AccountId,
    publish::{Publisher, Wish},
};
use crate::store::{Imported, Unpublished};

/// How long until the directory is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What is written of a publication beside its content.
#[derive(Serialize, Deserialize)]
pub(super) struct Noted {
    account: AccountId,
    name: FileName,
    visibility: Visibility,
}

impl Noted {
    pub(super) fn of(wish: &Wish, account: AccountId) -> Self {
        Self {
            account,
            name: wish.name.clone(),
            visibility: wish.visibility,
        }
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// One publication, to be asked for by its account.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) account: AccountId,
    pub(super) request: PublishRequest,
}

impl Wanted {
    pub(super) fn new(id: Uuid, wish: &Wish, content: Imported, account: AccountId) -> Self {
        let request = PublishRequest {
            id,
            name: wish.name.clone(),
            hash: content.hash,
            size: content.size,
            visibility: wish.visibility,
        };
        Self { account, request }
    }

    fn of(unpublished: &Unpublished) -> serde_json::Result<Self> {
        let noted: Noted = serde_json::from_str(&unpublished.note)?;
        let wish = Wish {
            name: noted.name,
            visibility: noted.visibility,
        };
        Ok(Self::new(
            unpublished.id,
            &wish,
            unpublished.content,
            noted.account,
        ))
    }
}

/// Whether it is known what became of a publication.
pub(super) enum Settled {
    /// It is published, or refused.
    Now,
    /// For this reason not.
    NotYet(Failure),
}

/// All of them, by id, so the oldest first.
#[derive(Default)]
pub(super) struct Pending {
    all: Mutex<BTreeMap<Uuid, Wanted>>,
    more: Notify,
}

impl Pending {
    fn map(&self) -> MutexGuard<'_, BTreeMap<Uuid, Wanted>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, wanted: Wanted) {
        self.map().insert(wanted.request.id, wanted);
        self.more.notify_one();
    }

    pub(super) fn remove(&self, id: Uuid) {
        self.map().remove(&id);
    }

    fn all(&self) -> Vec<Wanted> {
        self.map().values().cloned().collect()
    }

    pub(super) fn under_the_name_of(&self, wanted: &Wanted) -> Vec<Wanted> {
        let mut all = self.all();
        all.retain(|other| {
            other.account == wanted.account
                && other.request.name == wanted.request.name
                && other.request.id < wanted.request.id
        });
        all
    }
}

impl Publisher {
    /// Asks again for each until it is published or refused, and begins with what an earlier run left; until `stop`.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn settle_pending(self, stop: CancellationToken) -> anyhow::Result<()> {
        self.load().await?;
        let mut sessions = self.sessions().subscribe();
        loop {
            sessions.borrow_and_update();
            tokio::select! {
                // What it is at is durable, and asked for again by the next run.
                () = stop.cancelled() => return Ok(()),
                () = self.settle_all() => {}
            }
            let waiting = !self.pending.all().is_empty();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.pending.more.notified() => {}
                () = tokio::time::sleep(ASK_AGAIN), if waiting => {}
                changed = sessions.changed(), if waiting => changed?,
            }
        }
    }

    async fn settle_all(&self) {
        for wanted in self.pending.all() {
            let name = &wanted.request.name;
            match self.settle(&wanted).await {
                Ok(Settled::Now) => {}
                Ok(Settled::NotYet(failure)) => tracing::debug!("{name}: {failure}"),
                Err(failure) => {
                    tracing::warn!(CONTENT_HASH = %wanted.request.hash, "{name} is not settled: {failure}");
                }
            }
        }
    }

    async fn load(&self) -> anyhow::Result<()> {
        for unpublished in self.store().unpublished().await? {
            match Wanted::of(&unpublished) {
                Ok(wanted) => self.pending.add(wanted),
                Err(error) => {
                    tracing::error!(
                        "what was to be published as {} cannot be read: {error}",
                        unpublished.id
                    );
                    self.give_up(unpublished.id, unpublished.content.hash).await?;
                }
            }
        }
        Ok(())
    }
}
