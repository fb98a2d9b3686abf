//! `ControlService`: one file per verb; each converts, calls, and converts back.

mod download;
mod info;
mod limit;
mod list;
mod login;
mod logout;
mod open_slot;
mod passwd;
mod peers;
mod pin;
mod remove;
mod replicate;
mod search;
mod set_priority;
mod status;
mod transfers;
mod upload;
mod verify;
mod watch;

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
    config::Live,
    directory::{index::Announcer, link::Link},
    events::Bus,
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
    pub config: Live,
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
    /// What happens.
    pub bus: Bus,
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

impl ControlRpc {
    /// The caller, who may use the session.
    async fn acting<T: Sync>(&self, request: &Request<T>) -> Result<u32, Failure> {
        let uid = uid(request)?;
        self.must_act(uid).await?;
        Ok(uid)
    }
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
    type WatchStream = Events<Event>;

    async fn probe_directory(
        &self,
        request: Request<ProbeDirectoryRequest>,
    ) -> Result<Response<ProbeDirectoryResponse>, Status> {
        let uid = uid(&request)?;
        self.must_own(uid).await?;
        Ok(Response::new(
            login::probe(self, uid, &request.into_inner()).await?,
        ))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let uid = uid(&request)?;
        self.must_own(uid).await?;
        Ok(Response::new(
            login::login(self, uid, request.into_inner()).await?,
        ))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        self.must_own(uid(&request)?).await?;
        Ok(Response::new(logout::logout(self).await?))
    }

    async fn whoami(&self, request: Request<WhoamiRequest>) -> Result<Response<WhoamiResponse>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(status::whoami(self)?))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(status::status(self, uid).await?))
    }

    async fn open_slot(
        &self,
        request: Request<OpenSlotRequest>,
    ) -> Result<Response<OpenSlotResponse>, Status> {
        let uid = self.acting(&request).await?;
        Ok(Response::new(open_slot::open_slot(
            self,
            uid,
            &request.into_inner(),
        )?))
    }

    async fn upload(&self, request: Request<UploadRequest>) -> Result<Response<Self::UploadStream>, Status> {
        let uid = self.acting(&request).await?;
        Ok(Response::new(upload::file(self, uid, &request.into_inner())?))
    }

    async fn upload_stream(
        &self,
        request: Request<Streaming<UploadStreamRequest>>,
    ) -> Result<Response<UploadStreamResponse>, Status> {
        let uid = self.acting(&request).await?;
        Ok(Response::new(
            upload::stream(self, uid, request.into_inner()).await?,
        ))
    }

    async fn resolve(&self, request: Request<ResolveRequest>) -> Result<Response<Publication>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(info::resolve(self, &request.into_inner()).await?))
    }

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let uid = self.acting(&request).await?;
        Ok(Response::new(
            download::download(self, uid, request.into_inner()).await?,
        ))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let uid = self.acting(&request).await?;
        Ok(Response::new(
            download::fetch(self, uid, &request.into_inner()).await?,
        ))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(list::list(self).await?))
    }

    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(search::search(self, request.into_inner()).await?))
    }

    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(info::info(self, &request.into_inner()).await?))
    }

    async fn peers(&self, request: Request<PeersRequest>) -> Result<Response<PeersResponse>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(peers::peers(self).await?))
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<RemoveResponse>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(remove::remove(self, &request.into_inner()).await?))
    }

    async fn replicate(
        &self,
        request: Request<ReplicateRequest>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let uid = self.acting(&request).await?;
        Ok(Response::new(
            replicate::replicate(self, uid, request.into_inner()).await?,
        ))
    }

    async fn transfers(
        &self,
        request: Request<TransfersRequest>,
    ) -> Result<Response<TransfersResponse>, Status> {
        Ok(Response::new(transfers::list(self, uid(&request)?)))
    }

    async fn watch_transfers(
        &self,
        request: Request<TransfersRequest>,
    ) -> Result<Response<Self::WatchTransfersStream>, Status> {
        Ok(Response::new(transfers::watch(self, uid(&request)?)))
    }

    async fn wait(&self, request: Request<TransferId>) -> Result<Response<Self::WaitStream>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(transfers::wait(self, uid, &request.into_inner())?))
    }

    async fn pause(&self, request: Request<TransferId>) -> Result<Response<Transfer>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            transfers::pause(self, uid, &request.into_inner()).await?,
        ))
    }

    async fn resume(&self, request: Request<TransferId>) -> Result<Response<Transfer>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            transfers::resume(self, uid, &request.into_inner()).await?,
        ))
    }

    async fn cancel(&self, request: Request<TransferId>) -> Result<Response<Transfer>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            transfers::cancel(self, uid, &request.into_inner()).await?,
        ))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<Self::VerifyStream>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(verify::verify(self, &request.into_inner()).await?))
    }

    async fn passwd(&self, request: Request<PasswdRequest>) -> Result<Response<PasswdResponse>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(passwd::passwd(self, request.into_inner()).await?))
    }

    async fn limit(&self, request: Request<LimitRequest>) -> Result<Response<LimitResponse>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            limit::limit(self, uid, request.into_inner()).await?,
        ))
    }

    async fn set_priority(&self, request: Request<SetPriorityRequest>) -> Result<Response<Transfer>, Status> {
        let uid = uid(&request)?;
        Ok(Response::new(
            set_priority::set_priority(self, uid, request.into_inner()).await?,
        ))
    }

    async fn pin(&self, request: Request<PinRequest>) -> Result<Response<HeldFile>, Status> {
        self.acting(&request).await?;
        Ok(Response::new(pin::pin(self, &request.into_inner()).await?))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let uid = uid(&request)?;
        Ok(watch::watch(self, uid, &request.into_inner()))
    }
}
