//! Publishing what comes out of a pipe: a header, bounded data messages, and an end that says how many bytes there
//! were. Without that end the daemon publishes nothing.

use std::time::Instant;

use p2p_proto::{
    Failure, MAX_DATA_CHUNK,
    v1::{UploadDone, UploadHeader, UploadStreamRequest, upload_stream_request::Part},
};
use tokio::{io::AsyncReadExt, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::import::imported;
use crate::{
    connect::Daemon,
    exit::io_failure,
    output::{
        Output,
        progress::{self, Progress, Step},
    },
};

/// Data messages that wait between stdin and the socket.
const QUEUE: usize = 4;

/// Streams what comes out of a pipe.
pub(super) async fn stream(
    daemon: &mut Daemon,
    header: UploadHeader,
    input: impl tokio::io::AsyncRead + Unpin,
    out: &Output,
) -> Result<UploadDone, Failure> {
    let begin = Instant::now();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let feeding = feed(sender, header, input, Progress::new(out));
    let calling = daemon.client.upload_stream(ReceiverStream::new(receiver));
    // The daemon may refuse while stdin still has more, or has nothing for a long time.
    let answer = {
        tokio::pin!(feeding, calling);
        tokio::select! {
            answer = &mut calling => answer,
            fed = &mut feeding => {
                fed?;
                calling.await
            }
        }
    };
    let answer = answer.map_err(|status| daemon.failure(status))?.into_inner();
    imported(answer.done.unwrap_or_default(), begin, out)
}

/// Header, data, and the end; a read error ends the stream without one, so that nothing is published. When the call
/// is over before the input is, that is no failure of the input.
pub(super) async fn feed(
    sender: mpsc::Sender<UploadStreamRequest>,
    header: UploadHeader,
    mut input: impl tokio::io::AsyncRead + Unpin,
    line: Progress,
) -> Result<(), Failure> {
    let send = async |part| sender.send(UploadStreamRequest { part: Some(part) }).await;
    if send(Part::Header(header)).await.is_err() {
        return Ok(());
    }
    let begin = Instant::now();
    let mut sent = 0;
    loop {
        let mut chunk = Vec::with_capacity(MAX_DATA_CHUNK);
        let read = (&mut input)
            .take(MAX_DATA_CHUNK as u64)
            .read_to_end(&mut chunk)
            .await;
        read.map_err(|error| io_failure("stdin", &error))?;
        if chunk.is_empty() {
            break;
        }
        sent += chunk.len() as u64;
        if send(Part::Data(chunk.into())).await.is_err() {
            return Ok(());
        }
        line.show(|| {
            let step = Step {
                done: sent,
                total: None,
                rate: progress::average(sent, begin.elapsed()),
            };
            step.line("Importing")
        });
    }
    // A call that ended has its own answer.
    let _ = send(Part::End(sent)).await;
    Ok(())
}
