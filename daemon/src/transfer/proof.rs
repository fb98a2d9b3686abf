//! Whether a peer has the copy that it says it has. Its word, also to the directory, is only a word: one piece of the
//! content, of this peer's choosing, is read back there under a grant like any reader's, and verified. Whoever gives
//! another one, or opens nothing while the directory lists it, has lied, and the directory is told. Owns nothing; a crash leaves nothing.

use std::{sync::Arc, time::Duration};

use p2p_proto::rest::{
    location::Holder,
    publications::Publication,
    reports::{Fault, ReportRequest},
};
use tokio::time::timeout;

use super::{Shared, locate, progress::Heard, source::SourceError};
use crate::{
    identity::session::Session,
    peer::{
        dial::{self, Target},
        frames::{
            codec::Reason,
            receiver::{ReceiveError, Receiver},
        },
        words::{self, CallError},
    },
    store::{Buffer, GROUP, Layer},
};

/// The connections, a layer when there is none here, and one piece; in seconds a slow line brings that.
const TIME: Duration = Duration::from_secs(60);

/// Who refuses is asked again after this.
const MOMENT: Duration = Duration::from_secs(2);

/// Why a copy does not count.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproven {
    /// It gave something else than the content, or says now that it has none.
    #[error("said it has the copy and does not")]
    Lie,
    /// It could not be asked.
    #[error("said it has the copy, which could not be read back: {0}")]
    Unread(String),
}

/// Reads one piece of the content back from this peer.
pub(super) async fn read_back(
    shared: &Shared,
    session: &Arc<Session>,
    target: &Target,
    publication: &Publication,
    grant: &str,
    heard: Heard,
) -> Result<(), Unproven> {
    let first = self::read(shared, session, target, publication, grant, heard.clone());
    let mut read = in_time(Box::pin(first)).await;
    if matches!(read, Err(SourceError::Bad(Fault::Protocol))) {
        // It may have dropped the copy, or found it damaged, and the directory is about to hear of that.
        tokio::time::sleep(MOMENT).await;
        let located = locate::ask(session, publication).await;
        let located = located.map_err(|away| Unproven::Unread(away.message))?;
        let is_listed = |holder: &Holder| holder.peer_id == target.peer_id;
        if !located.holders.iter().any(is_listed) {
            return Err(Unproven::Unread("it is no holder any more".to_owned()));
        }
        let again = self::read(shared, session, target, publication, &located.grant, heard);
        read = in_time(Box::pin(again)).await;
    }
    match read {
        Ok(()) => Ok(()),
        Err(SourceError::Bad(fault)) => {
            tracing::warn!(PEER = %target.name, PEER_ID = %target.peer_id, CONTENT_HASH = %publication.hash,
                "{}: {} said it has the copy and does not",
                publication.name, target.name);
            report(shared, session, target, publication, fault);
            Err(Unproven::Lie)
        }
        Err(error) => Err(Unproven::Unread(error.to_string())),
    }
}

async fn in_time(reading: impl Future<Output = Result<(), SourceError>>) -> Result<(), SourceError> {
    let slow = |_| SourceError::Gone(format!("gave no piece in {} s", TIME.as_secs()));
    timeout(TIME, reading).await.map_err(slow).flatten()
}

async fn read(
    shared: &Shared,
    session: &Session,
    target: &Target,
    publication: &Publication,
    grant: &str,
    heard: Heard,
) -> Result<(), SourceError> {
    let (hash, size) = (publication.hash, publication.size);
    // The uploader has the content, and with it the layer; whoever else places copies takes it as a download does.
    let stored = shared.store.content(hash).await.ok().flatten();
    let fetched;
    let layer = match &stored {
        Some(content) => content.layer(),
        None => {
            fetched = layer(session, target, grant, publication).await?;
            &fetched
        }
    };
    let stream = dial::data(session, target).await?;
    let opened = Receiver::open(stream, grant, size, heard).await;
    let mut receiver = opened.map_err(denied)?;
    if size == 0 {
        return Ok(());
    }
    let (offset, length) = any_piece(size)?;
    let asked = receiver.request(offset, length).await?;
    let mut buffer = Buffer::new();
    let bytes = receiver.piece(&asked, &mut buffer).await.map_err(denied)?;
    shared.limits.came(bytes.len() as u64);
    match layer.verify(offset, bytes) {
        true => Ok(()),
        false => Err(SourceError::Bad(Fault::Bytes)),
    }
}

async fn layer(
    session: &Session,
    target: &Target,
    grant: &str,
    publication: &Publication,
) -> Result<Layer, SourceError> {
    let what = (publication.hash, publication.size);
    if Layer::group_count(what.1) == 0 {
        return Layer::from_values(what.0, what.1, Vec::new()).map_err(|_| SourceError::Bad(Fault::Layer));
    }
    let layer = words::layer(session, target, grant, what, &Heard::default()).await;
    layer.map_err(|error| match error {
        // It may be about its version.
        CallError::Refused(why) => SourceError::Gone(why),
        other => other.into(),
    })
}

/// Of one who says that it holds the content, a refusal to give it is a lie. Not so when it is about the grant, or when it
/// failed.
fn denied(error: ReceiveError) -> SourceError {
    match error {
        ReceiveError::Refused(Reason::NotHeld | Reason::Range) => SourceError::Bad(Fault::Protocol),
        other => other.into(),
    }
}

/// One group of a content of so many bytes, which nobody can foresee.
fn any_piece(size: u64) -> Result<(u64, u32), SourceError> {
    let mut random = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .map_err(|_| SourceError::Gone("there is no randomness here to choose a piece with".to_owned()))?;
    let offset = u64::from_le_bytes(random) % size.div_ceil(GROUP) * GROUP;
    let length = (size - offset).min(GROUP);
    // At most a group.
    Ok((offset, length as u32))
}

/// Tells the directory of a lie; that it is away harms nothing here.
fn report(shared: &Shared, session: &Arc<Session>, target: &Target, publication: &Publication, fault: Fault) {
    let report = ReportRequest {
        publication: publication.id,
        holder: target.peer_id,
        fault,
    };
    let (session, name) = (Arc::clone(session), target.name.clone());
    shared.lifecycle.spawn_request(async move {
        if let Err(failure) = session.client.report(&report).await {
            tracing::info!(PEER = %name, "the directory was not told that {name} has no copy: {failure}");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_lies_within_the_content_and_each_can_be_asked_for() {
        for size in [1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 5] {
            let mut asked = std::collections::BTreeSet::new();
            for _ in 0..500 {
                let (offset, length) = any_piece(size).unwrap();
                assert!(offset.is_multiple_of(GROUP) && length > 0);
                let end = offset + u64::from(length);
                assert!(
                    end == size || (end < size && u64::from(length) == GROUP),
                    "{size}: {offset}"
                );
                asked.insert(offset);
            }
            assert_eq!(asked.len() as u64, size.div_ceil(GROUP), "{size}");
        }
    }
}
