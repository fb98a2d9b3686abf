//! `Remove`: drops this peer's copy, unless it is pinned, and with `unpublish` withdraws the owner's version. Whether the copy may go is the
//! directory's to say, before it goes: of two peers that drop theirs at once each sees the other's. A crash in between
//! leaves the copy here, and the directory, until it hears of it anew, counts on others for it.

use p2p_proto::{
    Failure, FailureKind,
    rest::publications::Publication,
    v1::{RemoveRequest, RemoveResponse},
};

use super::{ControlRpc, pin};
use crate::{control::convert, events::What, identity::session::Session};

/// Drops and withdraws what the reference means.
pub async fn remove(rpc: &ControlRpc, request: &RemoveRequest) -> Result<RemoveResponse, Failure> {
    let session = rpc.sessions.require()?;
    let reference = &request.r#ref;
    convert::checked::<p2p_proto::FileRef>(reference)?;
    let info = session
        .client
        .info(reference)
        .await
        .map_err(|failure| match failure.kind {
            FailureKind::NotFound => failure.hint(format!("p2pctl search {reference}")),
            _ => failure,
        })?;
    let mut response = RemoveResponse::default();
    let meant: Vec<&Publication> = if request.all_versions {
        info.versions.iter().collect()
    } else {
        vec![&info.publication]
    };
    if !request.force {
        for publication in &meant {
            if let Some(held) = rpc.store.hold(publication.id).await?.filter(|held| held.pinned) {
                return Err(pin::refusal(&held));
            }
        }
    }
    if request.unpublish {
        withdraw(rpc, &session, &meant, &mut response).await?;
    }
    for publication in meant {
        if rpc.store.hold(publication.id).await?.is_none() {
            continue;
        }
        response.freed_bytes += match (request.unpublish, request.force) {
            // Withdrawn, it has no holders.
            (true, force) => drop_copy(rpc, publication, force).await?,
            (false, force) => let_go(rpc, &session, publication, force).await?,
        };
        response.dropped.push(convert::publication(publication));
    }
    if response.dropped.is_empty() && response.unpublished.is_empty() {
        let message = format!("{} is not stored on this peer", info.publication.name);
        return Err(Failure::new(FailureKind::NotFound, message).hint("p2pctl list"));
    }
    if let Err(failure) = rpc.announcer.announce(&session).await {
        tracing::info!("the directory was not told of what was removed; a ping will: {failure}");
    }
    Ok(response)
}

async fn withdraw(
    rpc: &ControlRpc,
    session: &Session,
    meant: &[&Publication],
    response: &mut RemoveResponse,
) -> Result<(), Failure> {
    if let Some(other) = meant
        .iter()
        .find(|publication| publication.owner != session.record.user)
    {
        let message = format!(
            "{} belongs to {}, who alone can withdraw it",
            other.name, other.owner
        );
        return Err(Failure::new(FailureKind::NotPermitted, message));
    }
    for publication in meant {
        session.client.withdraw(publication.id).await?;
        rpc.bus.tell(What::Withdrawn {
            publication: (*publication).clone(),
        });
        response.unpublished.push(convert::publication(publication));
    }
    Ok(())
}

/// Drops the copy; the last known one only by force. How many bytes that freed.
async fn let_go(
    rpc: &ControlRpc,
    session: &Session,
    publication: &Publication,
    force: bool,
) -> Result<u64, Failure> {
    let going = async {
        match session.client.release(publication.id, force).await {
            Ok(true) => {}
            Ok(false) => return Err(last_copy(session, publication)),
            Err(failure) if !force => return Err(failure),
            Err(failure) => {
                tracing::info!(CONTENT_HASH = %publication.hash, "{} goes unasked: {failure}", publication.name);
            }
        }
        drop_copy(rpc, publication, force).await
    };
    if !force {
        return rpc.announcer.after_all(session, going).await?;
    }
    going.await
}

/// What is being mended is not brought back, also not by a transfer that begins in this moment. It stays when it was pinned
/// meanwhile: that was answered.
async fn drop_copy(rpc: &ControlRpc, publication: &Publication, force: bool) -> Result<u64, Failure> {
    let mut freed = 0;
    for _ in 0..2 {
        rpc.transfers.stop_bringing(publication.id).await?;
        let dropped = match force {
            true => Some(rpc.store.drop_hold(publication.id).await?),
            false => rpc.store.drop_unpinned(publication.id).await?,
        };
        freed += match dropped {
            Some(freed) => freed,
            None => return Err(pinned_meanwhile(rpc, publication).await?),
        };
    }
    Ok(freed)
}

async fn pinned_meanwhile(rpc: &ControlRpc, publication: &Publication) -> Result<Failure, Failure> {
    let held = rpc.store.hold(publication.id).await?;
    let gone = || {
        let message = format!("{} is not stored on this peer", publication.name);
        Failure::new(FailureKind::NotFound, message)
    };
    Ok(held.as_ref().map_or_else(gone, pin::refusal))
}

fn last_copy(session: &Session, publication: &Publication) -> Failure {
    let name = if publication.owner == session.record.user {
        publication.name.to_string()
    } else {
        format!("{}/{}", publication.owner, publication.name)
    };
    let message = format!(
        "only known copy of {}/{}@{}: p2pctl replicate {name} --copies 2, or rm --force",
        publication.owner, publication.name, publication.version
    );
    Failure::new(FailureKind::NotPermitted, message)
}
