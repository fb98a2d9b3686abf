//! `Upload` and `UploadStream`.

use std::sync::Arc;

use p2p_proto::{
    Failure, FailureKind, MAX_DATA_CHUNK, Visibility,
    v1::{
        ImportProgress, UploadDone, UploadEvent, UploadHeader, UploadRequest, UploadStreamRequest,
        UploadStreamResponse, upload_event::Event, upload_stream_request::Part,
    },
};
use tokio::sync::{mpsc, watch};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::Streaming;

use super::{ControlRpc, EVENTS, Events, replicate};
use crate::{
    control::{convert, slots::Purpose},
    transfer::{place, publish::Wish},
    user_file::UserFile,
};

/// At most so often is progress told.
const PROGRESS: std::time::Duration = std::time::Duration::from_millis(100);

/// Imports the file in the slot and publishes it.
pub fn file(rpc: &ControlRpc, uid: u32, request: &UploadRequest) -> Result<Events<UploadEvent>, Failure> {
    let wish = wish(&request.name, &request.visibility)?;
    let copies = replicate::wish(request.copies.clone())?;
    let file = rpc.slots.claim(&request.slot, uid, Purpose::Read)?;
    let (events, stream) = mpsc::channel(EVENTS);
    let rpc = rpc.clone();
    // Runs to its end even when the client goes away: what was begun is published whole or not at all.
    tokio::spawn(async move {
        let (count, counted) = watch::channel(0);
        let sink = Arc::new(move |done_bytes| {
            count.send_replace(done_bytes);
        });
        let source = sized(file).await;
        let telling = tell_progress(counted, source.1.unwrap_or(0), &events);
        let importing = rpc.publisher.file(source, &wish, Some(uid), sink);
        tokio::pin!(importing);
        let published = tokio::select! {
            published = &mut importing => published,
            () = telling => importing.await,
        };
        let last = published.and_then(|publication| finished(&rpc, uid, &publication, copies));
        let event = last
            .map(|done| UploadEvent {
                event: Some(Event::Done(done)),
            })
            .map_err(Into::into);
        // A client that is gone hears nothing; the log says what was published.
        let _ = events.send(event).await;
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

/// The file with its bytes.
async fn sized(file: UserFile) -> (UserFile, Option<u64>) {
    let asked = file.clone();
    let size = file.call(move || rustix::fs::fstat(asked.file()).ok()).await;
    let size = size.ok().flatten().map(|stat| stat.st_size.unsigned_abs());
    (file, size)
}

/// Ends when the import drops its counter.
async fn tell_progress(
    mut counted: watch::Receiver<u64>,
    total_bytes: u64,
    events: &mpsc::Sender<Result<UploadEvent, tonic::Status>>,
) {
    while counted.changed().await.is_ok() {
        let done_bytes = *counted.borrow_and_update();
        let event = UploadEvent {
            event: Some(Event::Progress(ImportProgress {
                done_bytes,
                total_bytes,
            })),
        };
        // A full queue drops this one: a later one says more.
        let _ = events.try_send(Ok(event));
        tokio::select! {
            () = tokio::time::sleep(PROGRESS) => {}
            () = events.closed() => return,
        }
    }
}

/// Imports a client's stream and publishes it. Without its `end` nothing is kept.
pub async fn stream(
    rpc: &ControlRpc,
    uid: u32,
    mut messages: Streaming<UploadStreamRequest>,
) -> Result<UploadStreamResponse, Failure> {
    let usage = |what: &str| Failure::new(FailureKind::Usage, what);
    let Some(Part::Header(header)) = next(&mut messages).await? else {
        return Err(usage("an upload begins with its name"));
    };
    let UploadHeader {
        name,
        visibility,
        copies,
    } = header;
    let (wish, copies) = (wish(&name, &visibility)?, replicate::wish(copies)?);
    let mut import = rpc.publisher.stream(&wish, Some(uid)).await?;
    let mut received = 0;
    loop {
        match next(&mut messages).await? {
            Some(Part::Data(bytes)) if bytes.len() <= MAX_DATA_CHUNK => {
                received += bytes.len() as u64;
                import.push(bytes, &wish).await?;
            }
            Some(Part::End(sent)) if sent == received => break,
            Some(_) => return Err(usage("the upload is not what the protocol says")),
            None => {
                return Err(Failure::new(
                    FailureKind::Interrupted,
                    "the upload was cut; nothing was published",
                ));
            }
        }
    }
    // As above: a client that goes now does not cut the publication in the middle.
    let publisher = rpc.publisher.clone();
    let finishing = tokio::spawn(async move { publisher.finish(import, &wish).await });
    let publication = finishing
        .await
        .map_err(|died| Failure::new(FailureKind::Internal, died.to_string()))??;
    Ok(UploadStreamResponse {
        done: Some(finished(rpc, uid, &publication, copies)?),
    })
}

async fn next(messages: &mut Streaming<UploadStreamRequest>) -> Result<Option<Part>, Failure> {
    Ok(messages
        .next()
        .await
        .transpose()?
        .and_then(|message| message.part))
}

fn wish(name: &str, visibility: &str) -> Result<Wish, Failure> {
    let visibility = if visibility.is_empty() {
        Visibility::default()
    } else {
        convert::checked::<Visibility>(visibility)?
    };
    Ok(Wish {
        name: convert::checked(name)?,
        visibility,
    })
}

/// It is published: the copies that were asked for are placed from now on, whoever waits for them.
fn finished(
    rpc: &ControlRpc,
    uid: u32,
    publication: &p2p_proto::rest::publications::Publication,
    copies: place::Wish,
) -> Result<UploadDone, Failure> {
    let session = rpc.sessions.require()?;
    if !copies.is_none() {
        rpc.transfers.replicate(publication.clone(), copies, Some(uid))?;
    }
    Ok(convert::upload_done(publication, &session.record.peer_name))
}
