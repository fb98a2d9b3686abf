//! `PeerService`: what daemons say to each other in words. One file per method; each only converts and calls.

mod have;
mod hello;
mod layer;
mod replicate;

use p2p_proto::{
    PeerIdentity,
    v1::{
        HaveRequest, HaveResponse, HelloRequest, HelloResponse, LayerRequest, LayerResponse, PlaceProgress,
        PlaceRequest, peer_service_server::PeerService,
    },
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

pub use self::replicate::Copies;
use super::access::{Access, Refusal};
use crate::identity::certificate::CertifiedPeer;

/// The versions of the protocol that this build speaks.
pub const VERSIONS: [u32; 1] = [1];

/// The service.
pub struct PeerRpc {
    access: Access,
    copies: Copies,
}

impl PeerRpc {
    /// Answers with what this access admits, and takes copies.
    #[must_use]
    pub const fn new(access: Access, copies: Copies) -> Self {
        Self { access, copies }
    }
}

#[tonic::async_trait]
impl PeerService for PeerRpc {
    type LayerStream = ReceiverStream<Result<LayerResponse, Status>>;
    type ReplicateStream = ReceiverStream<Result<PlaceProgress, Status>>;

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        hello::answer(&request.into_inner()).map(Response::new)
    }

    async fn have(&self, request: Request<HaveRequest>) -> Result<Response<HaveResponse>, Status> {
        let peer = caller(&request)?;
        have::answer(&self.access, &peer, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn layer(&self, request: Request<LayerRequest>) -> Result<Response<Self::LayerStream>, Status> {
        let peer = caller(&request)?;
        layer::answer(&self.access, &peer, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn replicate(
        &self,
        request: Request<PlaceRequest>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let peer = caller(&request)?;
        replicate::answer(&self.copies, &peer, &request.into_inner())
            .await
            .map(Response::new)
    }
}

/// The verified peer at the other end.
fn caller<T>(request: &Request<T>) -> Result<PeerIdentity, Status> {
    request
        .extensions()
        .get::<CertifiedPeer>()
        .map(|peer| peer.identity)
        .ok_or_else(|| Status::unauthenticated("the connection has no verified peer"))
}

fn refuse(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Grant(bad) => Status::permission_denied(bad.to_string()),
        Refusal::NotHeld => Status::not_found(refusal.to_string()),
        Refusal::Store(error) => {
            tracing::error!("a peer could not be served: {error}");
            Status::internal("the store failed")
        }
    }
}
