//! `Download` and `Fetch`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use p2p_proto::{
    Failure, FailureKind,
    rest::publications::Publication,
    v1::{
        DownloadEvent, DownloadRequest, DownloadStarted, FetchRequest, download_event::Event,
        download_request::Delivery,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::Status;
use uuid::Uuid;

use super::{ControlRpc, EVENTS, Events, info};
use crate::{
    control::{convert, slots::Purpose},
    transfer::{
        Order, deliver,
        job::Keep,
        progress::{Outcome, Transfer},
    },
    user_file::UserFile,
};

/// At most so often is progress told.
const PROGRESS: Duration = Duration::from_millis(200);

type ToClient = mpsc::Sender<Result<DownloadEvent, Status>>;

/// How the client gets the bytes.
enum Out {
    /// Not at all: into the store only.
    Nothing,
    /// From the store into this file.
    File(UserFile),
    /// They are written into the client's file as they come.
    Directly,
    /// As events.
    Stream,
}

/// Fetches and delivers.
pub async fn download(
    rpc: &ControlRpc,
    uid: u32,
    request: DownloadRequest,
) -> Result<Events<DownloadEvent>, Failure> {
    let id: Uuid = convert::checked(&request.publication_id)?;
    let (keep, out) = match request.delivery {
        Some(Delivery::Slot(slot)) => {
            let file = rpc.slots.claim(&slot, uid, Purpose::Write)?;
            if request.no_keep {
                (Keep::OnlyIn(file), Out::Directly)
            } else {
                (Keep::InStore, Out::File(file))
            }
        }
        Some(Delivery::Stream(true)) if request.no_keep => (Keep::Nowhere, Out::Stream),
        Some(Delivery::Stream(true)) => (Keep::InStore, Out::Stream),
        _ => {
            return Err(Failure::new(
                FailureKind::Usage,
                "a download needs a file or a stream to go to",
            ));
        }
    };
    let publication = publication(rpc, id).await?;
    start(rpc, uid, publication, (keep, out), request.wait).await
}

/// Fetches into the store only.
pub async fn fetch(
    rpc: &ControlRpc,
    uid: u32,
    request: &FetchRequest,
) -> Result<Events<DownloadEvent>, Failure> {
    let publication = info::find(rpc, &request.r#ref).await?;
    let nowhere = (Keep::InStore, Out::Nothing);
    start(rpc, uid, publication, nowhere, request.wait).await
}

/// The publication; what is held here needs no directory.
async fn publication(rpc: &ControlRpc, id: Uuid) -> Result<Publication, Failure> {
    match rpc.store.hold(id).await? {
        Some(held) => Ok(held.publication),
        None => info::find(rpc, &format!("id:{id}")).await,
    }
}

async fn start(
    rpc: &ControlRpc,
    uid: u32,
    publication: Publication,
    (keep, out): (Keep, Out),
    wait: bool,
) -> Result<Events<DownloadEvent>, Failure> {
    rpc.sessions.require()?;
    let (keep, out) = match (keep, out) {
        // What is here already is copied; there is nothing to keep or not to keep.
        (Keep::OnlyIn(file), _) if matches!(rpc.store.content(publication.hash).await, Ok(Some(_))) => {
            (Keep::InStore, Out::File(file))
        }
        other => other,
    };
    let order = Order {
        publication: publication.clone(),
        keep,
        wait,
        // Bytes that only this client can have are not fetched without it.
        goes_on_alone: matches!(out, Out::Nothing | Out::File(_)),
        uid: Some(uid),
        placed_by: None,
    };
    let mut attached = rpc.transfers.start(order).await?;
    let (events, stream) = mpsc::channel(EVENTS);
    let rpc = rpc.clone();
    tokio::spawn(async move {
        let reader = attached.reader().filter(|_| matches!(out, Out::Stream));
        let transfer = &attached.transfer;
        let result = tokio::select! {
            told = tell(&rpc, transfer, (&publication, out), reader, &events) => told,
            () = transfer.given_up_by(uid) => Err(Failure::new(FailureKind::Interrupted, "cancelled")),
        };
        drop(attached);
        if let Err(failure) = result {
            // A client that is gone hears nothing; the log says how the transfer ended.
            let _ = events.send(Err(failure.into())).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

/// Tells the client everything up to the end. Returns early when it is gone.
async fn tell(
    rpc: &ControlRpc,
    transfer: &Arc<Transfer>,
    (publication, out): (&Publication, Out),
    reader: Option<TaskTrackerToken>,
    events: &ToClient,
) -> Result<(), Failure> {
    let started = DownloadStarted {
        transfer_id: transfer.id.to_string(),
        publication: Some(convert::publication(publication)),
    };
    let _ = events.send(Ok(convert::event(Event::Started(started)))).await;
    let outcome = match out {
        Out::Stream => {
            let (to_events, bytes) = mpsc::channel(EVENTS);
            let streaming = deliver::while_it_comes(&rpc.store, transfer, publication, to_events);
            let (streamed, ()) = tokio::join!(streaming, relay(bytes, transfer, events));
            drop(reader);
            streamed?;
            transfer.ended().await?
        }
        Out::Nothing | Out::Directly => progress_until(transfer, transfer.ended(), events).await?,
        Out::File(file) => {
            let written = delivered(rpc, transfer, publication, file);
            progress_until(transfer, written, events).await?
        }
    };
    let _ = events
        .send(Ok(convert::event(Event::Progress(convert::progress(transfer)))))
        .await;
    let _ = events
        .send(Ok(convert::event(Event::Done(convert::done(outcome)))))
        .await;
    Ok(())
}

/// Sends bytes on as events, and progress between them. Ends with the bytes or with the client.
async fn relay(mut bytes: mpsc::Receiver<Bytes>, transfer: &Transfer, events: &ToClient) {
    let mut tick = tokio::time::interval(PROGRESS);
    loop {
        let event = tokio::select! {
            next = bytes.recv() => match next {
                Some(bytes) => Event::Data(bytes),
                None => return,
            },
            _ = tick.tick() => Event::Progress(convert::progress(transfer)),
        };
        if events.send(Ok(convert::event(event))).await.is_err() {
            return;
        }
    }
}

/// The file is written as the last step of the transfer, or here when that is over or did not come to it.
async fn delivered(
    rpc: &ControlRpc,
    transfer: &Transfer,
    publication: &Publication,
    file: UserFile,
) -> Result<Outcome, Failure> {
    if let Some(written) = transfer.deliver(file.clone())
        && let Ok(written) = written.await
    {
        // The files of others may take longer.
        return written.map(|()| transfer.outcome());
    }
    let outcome = transfer.fetched().await?;
    deliver::into_file(&rpc.store, publication, file).await?;
    Ok(outcome)
}

async fn progress_until(
    transfer: &Transfer,
    ended: impl Future<Output = Result<Outcome, Failure>>,
    events: &ToClient,
) -> Result<Outcome, Failure> {
    let mut tick = tokio::time::interval(PROGRESS);
    tokio::pin!(ended);
    loop {
        tokio::select! {
            outcome = &mut ended => return outcome,
            _ = tick.tick() => {
                // A full queue drops this one: a later one says more.
                let _ = events.try_send(Ok(convert::event(Event::Progress(convert::progress(transfer)))));
            }
            () = events.closed() => {
                return Err(Failure::new(FailureKind::Interrupted, "the client is gone"));
            }
        }
    }
}
