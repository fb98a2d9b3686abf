//! `ControlService`: one file per verb; each converts, calls, and converts back.

mod download;
mod info;
mod list;
mod login;
mod logout;
mod open_slot;
mod peers;
mod remove;
mod replicate;
mod search;
mod status;
mod transfers;
mod upload;
mod verify;

use std::{path::PathBuf, pin::Pin, sync::Arc};

use futures::Stream;
use jiff::Timestamp;
use p2p_proto::{
    Failure, FailureKind,
    v1::{control_service_server::ControlService, *},
};
use p2p_service::lifecycle::Lifecycle;
use tonic::{Request, Response, Status, Streaming, transport::server::UdsConnectInfo};

use super::slots::Slots;
use crate::{
    config::Config,
    directory::{index::Announcer, link::Link},
    identity::session::Sessions,
    meter::Meter,
    store::Store,
    transfer::{Transfers, publish::Publisher},
};

/// Events on their way to one client.
const EVENTS: usize = 4;

/// A stream of messages to a client.
type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Everything the verbs call. Cheap to clone.
#[derive(Clone)]
pub struct ControlRpc {
    /// Configuration.
    pub config: Arc<Config>,
    /// The session.
    pub sessions: Arc<Sessions>,
    /// The directory.
    pub link: Link,
    /// What is stored.
    pub store: Store,
    /// Tells the directory of it.
    pub announcer: Announcer,
    /// Downloads.
    pub transfers: Transfers,
    /// Uploads.
    pub publisher: Publisher,
    /// Passed descriptors.
    pub slots: Arc<Slots>,
    /// Where descriptors are passed.
    pub descriptor_socket: PathBuf,
    /// The peer port's addresses.
    pub listening: Vec<std::net::SocketAddr>,
    /// Bytes sent to peers.
    pub sent: Meter,
    /// The daemon's life.
    pub lifecycle: Lifecycle,
    /// When the daemon started.
    pub started_at: Timestamp,
}

/// The user at the other end of the socket.
fn uid<T>(request: &Request<T>) -> Result<u32, Failure> {
    request
        .extensions()
        .get::<UdsConnectInfo>()
        .and_then(|info| info.peer_cred)
        .map(|cred| cred.uid())
        .ok_or_else(|| Failure::new(FailureKind::NotPermitted, "the caller's user is unknown"))
}

#[tonic::async_trait]
impl ControlService for ControlRpc {
    type UploadStream = Events<UploadEvent>;
    type DownloadStream = Events<DownloadEvent>;
    type FetchStream = Events<DownloadEvent>;
    type ReplicateStream = Events<ReplicateEvent>;
    type WatchTransfersStream = Events<TransfersResponse>;
    type WaitStream = Events<Transfer>;
    type VerifyStream = Events<VerifyEvent>;

    async fn probe_directory(
        &self,
        request: Request<ProbeDirectoryRequest>,
    ) -> Result<Response<ProbeDirectoryResponse>, Status> {
        Ok(Response::new(login::probe(self, &request.into_inner()).await?))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        Ok(Response::new(login::login(self, request.into_inner()).await?))
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        Ok(Response::new(logout::logout(self).await?))
    }

    async fn whoami(&self, _: Request<WhoamiRequest>) -> Result<Response<WhoamiResponse>, Status> {
        Ok(Response::new(status::whoami(self)?))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(status::status(self).await?))
    }

    async fn open_slot(
        &self,
        request: Request<OpenSlotRequest>,
    ) -> Result<Response<OpenSlotResponse>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(open_slot::open_slot(
            self,
            uid,
            &request.into_inner(),
        )?))
    }

    async fn upload(&self, request: Request<UploadRequest>) -> Result<Response<Self::UploadStream>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(upload::file(self, uid, &request.into_inner())?))
    }

    async fn upload_stream(
        &self,
        request: Request<Streaming<UploadStreamRequest>>,
    ) -> Result<Response<UploadStreamResponse>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            upload::stream(self, uid, request.into_inner()).await?,
        ))
    }

    async fn resolve(&self, request: Request<ResolveRequest>) -> Result<Response<Publication>, Status> {
        Ok(Response::new(info::resolve(self, &request.into_inner()).await?))
    }

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            download::download(self, uid, request.into_inner()).await?,
        ))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            download::fetch(self, uid, &request.into_inner()).await?,
        ))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        Ok(Response::new(list::list(self).await?))
    }

    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        Ok(Response::new(search::search(self, request.into_inner()).await?))
    }

    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        Ok(Response::new(info::info(self, &request.into_inner()).await?))
    }

    async fn peers(&self, _: Request<PeersRequest>) -> Result<Response<PeersResponse>, Status> {
        Ok(Response::new(peers::peers(self).await?))
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<RemoveResponse>, Status> {
        Ok(Response::new(remove::remove(self, &request.into_inner()).await?))
    }

    async fn replicate(
        &self,
        request: Request<ReplicateRequest>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            replicate::replicate(self, uid, request.into_inner()).await?,
        ))
    }

    async fn transfers(&self, _: Request<TransfersRequest>) -> Result<Response<TransfersResponse>, Status> {
        Ok(Response::new(transfers::list(&self.transfers)))
    }

    async fn watch_transfers(
        &self,
        _: Request<TransfersRequest>,
    ) -> Result<Response<Self::WatchTransfersStream>, Status> {
        Ok(Response::new(transfers::watch(self)))
    }

    async fn wait(&self, request: Request<TransferId>) -> Result<Response<Self::WaitStream>, Status> {
        Ok(Response::new(transfers::wait(self, &request.into_inner())?))
    }

    async fn pause(&self, request: Request<TransferId>) -> Result<Response<Transfer>, Status> {
        Ok(Response::new(
            transfers::pause(self, &request.into_inner()).await?,
        ))
    }

    async fn resume(&self, request: Request<TransferId>) -> Result<Response<Transfer>, Status> {
        Ok(Response::new(transfers::resume(self, &request.into_inner())?))
    }

    async fn cancel(&self, request: Request<TransferId>) -> Result<Response<Transfer>, Status> {
        Ok(Response::new(
            transfers::cancel(self, &request.into_inner()).await?,
        ))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<Self::VerifyStream>, Status> {
        Ok(Response::new(verify::verify(self, &request.into_inner()).await?))
    }
}
