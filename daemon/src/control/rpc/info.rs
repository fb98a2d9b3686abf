//! `Info` and `Resolve`: what a reference means.

use p2p_proto::{
    Failure, FailureKind,
    rest::publications::{FileInfo, Publication},
    v1::{self, InfoRequest, InfoResponse, ResolveRequest},
};

use super::ControlRpc;
use crate::control::convert;

/// Everything about one file.
pub async fn info(rpc: &ControlRpc, request: &InfoRequest) -> Result<InfoResponse, Failure> {
    let info = look_up(rpc, &request.r#ref).await?;
    Ok(InfoResponse {
        publication: Some(convert::publication(&info.publication)),
        versions: info.versions.iter().map(convert::publication).collect(),
        holders: info.holders.iter().map(convert::holder).collect(),
    })
}

/// The publication that a reference means.
pub async fn resolve(rpc: &ControlRpc, request: &ResolveRequest) -> Result<v1::Publication, Failure> {
    find(rpc, &request.r#ref)
        .await
        .map(|publication| convert::publication(&publication))
}

/// The same, as our type. The directory's word is checked: its types were read with their bounds.
/// While the directory is away, what is held or remembered here answers.
pub async fn find(rpc: &ControlRpc, reference: &str) -> Result<Publication, Failure> {
    match look_up(rpc, reference).await {
        Ok(info) => Ok(info.publication),
        Err(away) if away.kind == FailureKind::Unreachable => {
            rpc.transfers.locator().resolve_offline(reference, away).await
        }
        Err(other) => Err(other),
    }
}

async fn look_up(rpc: &ControlRpc, reference: &str) -> Result<FileInfo, Failure> {
    if !reference.starts_with("id:") {
        convert::checked::<p2p_proto::FileRef>(reference)?;
    }
    let session = rpc.sessions.require()?;
    session
        .client
        .info(reference)
        .await
        .map_err(|failure| match failure.kind {
            FailureKind::NotFound => failure.hint(format!("p2pctl search {reference}")),
            _ => failure,
        })
}
