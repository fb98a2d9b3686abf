//! Following the import of a passed file, and what is said of any import at its end. Owns no state.

use std::time::Instant;

use p2p_proto::{
    Failure, FailureKind,
    v1::{UploadDone, UploadRequest, upload_event::Event},
};

use crate::{
    commands::incomplete,
    connect::Daemon,
    output::{
        Output,
        progress::{self, Progress, Step},
    },
};

/// Follows the import of a passed file.
pub(super) async fn import(
    daemon: &mut Daemon,
    request: UploadRequest,
    out: &Output,
) -> Result<UploadDone, Failure> {
    let begin = Instant::now();
    let line = Progress::new(out);
    let answer = daemon.client.upload(request).await;
    let mut events = answer.map_err(|status| daemon.failure(status))?.into_inner();
    while let Some(event) = events.message().await.map_err(|status| daemon.failure(status))? {
        match event.event {
            Some(Event::Progress(progress)) => line.show(|| {
                let step = Step {
                    done: progress.done_bytes,
                    total: Some(progress.total_bytes),
                    rate: progress::average(progress.done_bytes, begin.elapsed()),
                };
                step.line("Importing")
            }),
            Some(Event::Done(done)) => {
                line.clear();
                return imported(done, begin, out);
            }
            None => {}
        }
    }
    let message = "p2pd ended the import without saying that it is done";
    Err(Failure::new(FailureKind::Unreachable, message))
}

/// Leaves the line that says how much was imported, and how fast.
pub(super) fn imported(done: UploadDone, begin: Instant, out: &Output) -> Result<UploadDone, Failure> {
    let publication = done
        .publication
        .as_ref()
        .ok_or_else(|| incomplete("a publication"))?;
    let (size, seconds) = (publication.size, begin.elapsed().as_secs_f64());
    out.note(progress::finished("Importing", size, size, seconds));
    Ok(done)
}
