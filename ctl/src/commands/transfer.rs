//! Following one transfer from its events: what `download` and `fetch` share. Owns what is known of the transfer, so
//! that an interruption can say where it stands.

use std::cell::RefCell;

use p2p_proto::{
    Failure, FailureKind,
    v1::{DownloadDone, DownloadEvent, DownloadProgress, Publication, download_event::Event},
};
use tonic::Streaming;

use super::incomplete;
use crate::{
    connect::Daemon,
    exit::Stop,
    output::{
        Output, one_line,
        progress::{self, Progress, Step},
    },
};

/// What is known of a running transfer.
#[derive(Default)]
pub(crate) struct Transfer {
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    id: String,
    publication: Option<Publication>,
    step: Step,
}

/// What to do with bytes that come as events.
pub(crate) trait Sink {
    /// Takes the next bytes.
    async fn take(&mut self, data: &[u8]) -> Result<(), Stop>;
}

/// For transfers whose bytes do not come this way.
pub(crate) struct NoBytes;

impl Sink for NoBytes {
    async fn take(&mut self, _data: &[u8]) -> Result<(), Stop> {
        Err(Failure::new(FailureKind::Internal, "p2pd sent bytes that nobody asked for").into())
    }
}

impl Transfer {
    /// Follows the events to the end. Shows the moving line, and takes it away; what came, and how.
    pub(crate) async fn follow(
        &self,
        daemon: &Daemon,
        mut events: Streaming<DownloadEvent>,
        out: &Output,
        sink: &mut impl Sink,
    ) -> Result<(Option<Publication>, DownloadDone), Stop> {
        let line = Progress::new(out);
        let mut told = String::new();
        loop {
            let event = events.message().await.map_err(|status| daemon.failure(status))?;
            let Some(event) = event else {
                let message = "p2pd ended the transfer without saying that it is done";
                return Err(Failure::new(FailureKind::Unreachable, message).into());
            };
            match event.event {
                Some(Event::Started(started)) => {
                    let mut known = self.known.borrow_mut();
                    out.detail(format_args!("transfer {} began", one_line(&started.transfer_id)));
                    if let Some(publication) = &started.publication {
                        out.detail(format_args!("publication {}", one_line(&publication.id)));
                    }
                    known.id = started.transfer_id;
                    known.publication = started.publication;
                }
                Some(Event::Progress(progress)) => {
                    self.moved(&progress, &line);
                    if let Some(why) = news(&progress, &mut told).filter(|_| !out.shows_progress()) {
                        out.note(format_args!("waiting: {}", one_line(why)));
                    }
                }
                Some(Event::Data(data)) => sink.take(&data).await?,
                Some(Event::Done(done)) => return Ok((self.known.take().publication, done)),
                // A newer daemon may say more than this tool understands.
                None => {}
            }
        }
    }

    fn moved(&self, progress: &DownloadProgress, line: &Progress) {
        let mut known = self.known.borrow_mut();
        known.step = Step {
            done: progress.done_bytes,
            total: Some(progress.total_bytes),
            rate: progress.rate,
        };
        let name = known
            .publication
            .as_ref()
            .map_or("", |publication| &publication.name);
        line.show(|| {
            let line = known.step.line(name);
            match (progress.waiting.as_str(), progress.state.as_str()) {
                ("", "" | "transferring") => line.and(&progress::from(&progress.sources)),
                ("", state) => line.and(&format!("  {}", one_line(state))),
                (why, _) => line.and(&format!("  {}", one_line(why))),
            }
        });
    }

    /// What a stop means when the fetch goes on without us; before the transfer began, just the stop. The hint says how
    /// to get at the file.
    pub(crate) fn goes_on(&self, why: Failure, hint: Option<String>) -> Failure {
        let known = self.known.borrow();
        if known.id.is_empty() {
            return why;
        }
        let failure = stays(why, &known.id, known.step.percent(), "goes on");
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Why it waits, when that is not what was told last. For where no moving line tells it.
fn news<'a>(progress: &'a DownloadProgress, told: &mut String) -> Option<&'a str> {
    let waits = matches!(progress.state.as_str(), "waiting" | "paused");
    let why = progress.waiting.as_str();
    if !waits || why.is_empty() || why == told {
        return None;
    }
    why.clone_into(told);
    Some(why)
}

/// The line that stays: `scan.tar   100 %  4.1 GiB  940 MiB/s  from ws1, gpu1  resumed at 61 %`.
pub(crate) fn summary(publication: &Publication, done: &DownloadDone) -> String {
    let moved = publication.size.saturating_sub(done.resumed_bytes);
    let line = progress::finished(&publication.name, publication.size, moved, done.seconds);
    let from = progress::from(&done.sources);
    let earlier = Step {
        done: done.resumed_bytes,
        total: Some(publication.size),
        rate: 0,
    };
    match earlier.percent() {
        Some(percent) if done.resumed_bytes > 0 => format!("{line}{from}  resumed at {percent} %"),
        _ => format!("{line}{from}"),
    }
}

/// What a stop of the waiting means for a transfer that `does` this: `Stopped waiting; transfer 42 goes on (61 %)`.
pub(super) fn stays(why: Failure, id: &str, percent: Option<u64>, does: &str) -> Failure {
    let percent = percent.map_or_else(String::new, |percent| format!(" ({percent} %)"));
    let begin = match why.kind {
        FailureKind::Interrupted => "Stopped waiting".to_owned(),
        _ => why.message,
    };
    Failure::new(why.kind, format!("{begin}; transfer {id} {does}{percent}"))
}

/// The publication that a started transfer named.
pub(crate) fn named(publication: Option<Publication>) -> Result<Publication, Failure> {
    publication.ok_or_else(|| incomplete("a publication"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::sentence;

    fn interrupted() -> Failure {
        Failure::new(FailureKind::Interrupted, "Interrupted")
    }

    #[test]
    fn a_stop_says_that_the_transfer_goes_on() {
        let transfer = Transfer::default();
        assert_eq!(sentence(&transfer.goes_on(interrupted(), None)), "Interrupted.");
        *transfer.known.borrow_mut() = Known {
            id: "42".into(),
            publication: None,
            step: Step {
                done: 61,
                total: Some(100),
                rate: 1,
            },
        };
        let hint = "To place the file: p2pctl download scan.tar -o /data/".to_owned();
        assert_eq!(
            sentence(&transfer.goes_on(interrupted(), Some(hint))),
            "Stopped waiting; transfer 42 goes on (61 %). To place the file: p2pctl download scan.tar -o /data/"
        );
        assert_eq!(
            sentence(&transfer.goes_on(interrupted(), None)),
            "Stopped waiting; transfer 42 goes on (61 %)."
        );
    }

    #[test]
    fn each_reason_is_told_once() {
        let mut told = String::new();
        let mut hear = |state: &str, waiting: &str| {
            let progress = DownloadProgress {
                state: state.into(),
                waiting: waiting.into(),
                ..DownloadProgress::default()
            };
            news(&progress, &mut told).map(str::to_owned)
        };
        assert_eq!(hear("queued", "others run first"), None);
        assert_eq!(hear("waiting", "nobody has it").as_deref(), Some("nobody has it"));
        assert_eq!(hear("waiting", "nobody has it"), None);
        assert_eq!(hear("transferring", ""), None);
        assert_eq!(hear("waiting", "nobody has it"), None);
        assert_eq!(hear("waiting", "a is silent").as_deref(), Some("a is silent"));
        assert_eq!(hear("waiting", ""), None);
    }

    #[test]
    fn the_last_line_says_what_an_earlier_attempt_left() {
        let publication = Publication {
            name: "scan.tar".into(),
            size: 100 << 20,
            ..Publication::default()
        };
        let mut done = DownloadDone {
            seconds: 3.0,
            resumed_bytes: 61 << 20,
            sources: vec![p2p_proto::v1::SourceBytes {
                peer: "ws1".into(),
                bytes: 39 << 20,
            }],
        };
        assert_eq!(
            summary(&publication, &done),
            "scan.tar   100 %  100 MiB  13.0 MiB/s  from ws1  resumed at 61 %"
        );
        done.resumed_bytes = 0;
        assert_eq!(
            summary(&publication, &done),
            "scan.tar   100 %  100 MiB  33.3 MiB/s  from ws1"
        );
    }
}
