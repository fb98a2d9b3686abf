//! `List`: what this peer holds, and how many copies of it there are, as far as the directory says so soon.

use std::{collections::HashMap, time::Duration};

use p2p_proto::{
    Failure,
    rest::publications::MAX_COUNTED,
    v1::{HeldFile, ListResponse},
};
use tokio::time::timeout;
use uuid::Uuid;

use super::ControlRpc;
use crate::control::convert;

/// The longest wait for the directory: what is here is known without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// By name.
pub async fn list(rpc: &ControlRpc) -> Result<ListResponse, Failure> {
    let mut held = rpc.store.holds().await?;
    held.sort_by(|a, b| {
        let key = |file: &crate::store::HeldFile| {
            (
                file.publication.name.clone(),
                file.publication.owner.clone(),
                file.publication.version,
            )
        };
        key(a).cmp(&key(b))
    });
    let ids: Vec<Uuid> = held.iter().map(|file| file.publication.id).collect();
    let copies = copies(rpc, &ids).await;
    let file = |file: &crate::store::HeldFile| HeldFile {
        copies_known: copies.get(&file.publication.id).copied(),
        ..convert::held(file)
    };
    Ok(ListResponse {
        files: held.iter().map(file).collect(),
    })
}

/// How many peers have each of these, of which it is known.
async fn copies(rpc: &ControlRpc, publications: &[Uuid]) -> HashMap<Uuid, u32> {
    let mut known = HashMap::new();
    let Some(session) = rpc.sessions.current().filter(|_| !rpc.link.state().failing) else {
        return known;
    };
    let asking = async {
        for some in publications.chunks(MAX_COUNTED) {
            let told = session.client.copies(some).await?;
            known.extend(told.into_iter().map(|of| (of.publication, of.holders_total)));
        }
        Ok::<_, Failure>(())
    };
    match timeout(PATIENCE, asking).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => tracing::debug!("how many copies there are is not known: {failure}"),
        Err(_) => tracing::debug!("how many copies there are is not known in time"),
    }
    known
}
