//! Brings verified bytes to the person who waits: into the file that their tool passed, or as a stream while they come.

use std::sync::Arc;

use bytes::Bytes;
use p2p_proto::{Failure, FailureKind, MAX_DATA_CHUNK, rest::publications::Publication};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::progress::{State, Transfer};
use crate::{
    store::{Content, Store},
    user_file::UserFile,
};

/// Writes the stored content into the passed file.
///
/// # Errors
/// `DiskFull` when the file's disk is, `HashMismatch` when the stored content has rotted.
pub async fn into_file(store: &Store, publication: &Publication, file: UserFile) -> Result<(), Failure> {
    store.export(publication.hash, file, Arc::new(|_| {})).await?;
    Ok(())
}

/// Sends the bytes in order while the transfer brings them. Ends quietly when nobody listens any more.
///
/// # Errors
/// The transfer's failure.
pub async fn while_it_comes(
    store: &Store,
    transfer: &Transfer,
    publication: &Publication,
    listener: mpsc::Sender<Bytes>,
) -> Result<(), Failure> {
    let mut progress = transfer.subscribe();
    let mut sent = 0;
    let size = publication.size;
    loop {
        let now = progress.borrow_and_update().clone();
        if let State::Failed(failure) = now.state {
            return Err(failure);
        }
        while sent < now.frontier {
            let Some(incoming) = transfer.incoming() else {
                break;
            };
            let length = (now.frontier - sent).min(MAX_DATA_CHUNK as u64) as usize;
            let bytes = blocking(move || {
                let mut bytes = vec![0; length];
                incoming.read_sound(sent, &mut bytes).map(|()| bytes)
            })
            .await?;
            sent += bytes.len() as u64;
            if listener.send(bytes.into()).await.is_err() {
                return Ok(());
            }
        }
        if sent == size {
            return Ok(());
        }
        if matches!(now.state, State::Done(_)) {
            return from_store(store, publication, sent, &listener).await;
        }
        if progress.changed().await.is_err() {
            return Err(super::progress::interrupted("the transfer is gone"));
        }
    }
}

/// Sends what is left of a content that was here already; every group is verified on its way.
async fn from_store(
    store: &Store,
    publication: &Publication,
    mut sent: u64,
    listener: &mpsc::Sender<Bytes>,
) -> Result<(), Failure> {
    let gone = || {
        Failure::new(
            FailureKind::NotFound,
            format!("{} was dropped meanwhile", publication.name),
        )
    };
    let content = store.content(publication.hash).await?.ok_or_else(gone)?;
    while sent < content.size() {
        let length = (content.size() - sent).min(MAX_DATA_CHUNK as u64) as usize;
        let reader = content.clone();
        let (bytes, sound) = blocking(move || read_verified(&reader, sent, length)).await?;
        if !sound {
            let message = format!("{}: the stored copy is damaged", publication.name);
            return Err(Failure::new(FailureKind::HashMismatch, message));
        }
        sent += length as u64;
        if listener.send(bytes.into()).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn read_verified(content: &Content, offset: u64, length: usize) -> std::io::Result<(Vec<u8>, bool)> {
    let mut bytes = vec![0; length];
    content.read_at(offset, &mut bytes)?;
    let sound = content.layer().verify(offset, &bytes);
    Ok((bytes, sound))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let failure = |kind, error: &dyn std::fmt::Display| Failure::new(kind, error.to_string());
    let done = spawn_blocking(work).await;
    done.map_err(|died| failure(FailureKind::Internal, &died))?
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => failure(FailureKind::HashMismatch, &error),
            _ => failure(FailureKind::Internal, &error),
        })
}
