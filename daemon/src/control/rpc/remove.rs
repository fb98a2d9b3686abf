//! `Remove`: drops this peer's copy, and with `unpublish` withdraws the owner's version.

use p2p_proto::{
    Failure, FailureKind,
    rest::publications::{FileInfo, Publication},
    v1::{RemoveRequest, RemoveResponse},
};

use super::ControlRpc;
use crate::{control::convert, identity::session::Session};

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
    if request.unpublish {
        withdraw(&session, &meant, &mut response).await?;
    } else {
        not_the_last_copy(rpc, &session, &info, request.force).await?;
    }
    for publication in meant {
        if rpc.store.hold(publication.id).await?.is_some() {
            response.freed_bytes += rpc.store.drop_hold(publication.id).await?;
            response.dropped.push(convert::publication(publication));
        }
    }
    if response.dropped.is_empty() && response.unpublished.is_empty() {
        let message = format!("{} is not stored on this peer", info.publication.name);
        return Err(Failure::new(FailureKind::NotFound, message).hint("p2pctl list"));
    }
    if let Err(failure) = rpc.announcer.announce(&session).await {
        tracing::warn!("the directory was not told of what was removed; a ping will: {failure}");
    }
    Ok(response)
}

async fn withdraw(
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
        response.unpublished.push(convert::publication(publication));
    }
    Ok(())
}

/// The last known copy goes only by force.
async fn not_the_last_copy(
    rpc: &ControlRpc,
    session: &Session,
    info: &FileInfo,
    force: bool,
) -> Result<(), Failure> {
    let here = rpc.sessions.peer_id();
    let elsewhere = info
        .holders
        .iter()
        .any(|holder| holder.peer_id != here && holder.state == p2p_proto::index::HoldState::Complete);
    let publication = &info.publication;
    let held = rpc.store.hold(publication.id).await?.is_some();
    if force || elsewhere || !held {
        return Ok(());
    }
    let name = if publication.owner == session.record.user {
        publication.name.to_string()
    } else {
        format!("{}/{}", publication.owner, publication.name)
    };
    let message = format!(
        "only known copy of {}/{}@{}: p2pctl replicate {name} --copies 2, or rm --force",
        publication.owner, publication.name, publication.version
    );
    Err(Failure::new(FailureKind::NotPermitted, message))
}
