//! `watch`: what happens, one line an event. When p2pd goes away it waits for it and goes on after the last event that it
//! knows; only a refusal, the deadline or the user ends it. Owns that event's id.

use std::time::Duration;

use p2p_proto::{
    BEGINS_AFTER, Failure, FailureKind,
    v1::{Event, WatchRequest},
};

use crate::{
    connect::Daemon,
    context::Context,
    exit::Stop,
    output::{Output, Paint, json, one_line, time},
};

/// Between two looks for a p2pd that went away: at first, and at most.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// As wide as the longest type and a gap.
const TYPE: usize = 20;

/// Shows what happens until it is stopped.
pub(crate) async fn run(ctx: &Context) -> Result<(), Stop> {
    tokio::select! {
        biased;
        why = ctx.stopped() => match why.kind {
            // That is how a watch ends; there is nothing to tell.
            FailureKind::Interrupted => Err(Stop::Told(why.kind)),
            _ => Err(why.into()),
        },
        result = watch(ctx) => result,
    }
}

async fn watch(ctx: &Context) -> Result<(), Stop> {
    let mut watch = Watch {
        out: &ctx.out,
        after: String::new(),
        wait: FIRST,
        told: false,
    };
    // Nobody there at the beginning is a failure: it may never come.
    let mut daemon = ctx.connect().await?;
    loop {
        let gone = watch.follow(&mut daemon).await?;
        watch.tell(&gone);
        daemon = loop {
            tokio::time::sleep(watch.wait).await;
            watch.wait = (watch.wait * 2).min(LONGEST);
            match ctx.connect().await {
                Ok(daemon) => break daemon,
                Err(failure) if failure.kind == FailureKind::DaemonUnreachable => {}
                Err(failure) => return Err(failure.into()),
            }
        };
    }
}

/// How far it is.
struct Watch<'a> {
    out: &'a Output,
    /// The last event that is known; empty: none yet.
    after: String,
    /// Before the next look.
    wait: Duration,
    /// That p2pd is away was said.
    told: bool,
}

impl Watch<'_> {
    /// Shows events until p2pd goes away; how it did. A refusal is an error.
    async fn follow(&mut self, daemon: &mut Daemon) -> Result<Failure, Stop> {
        let request = WatchRequest {
            after: self.after.clone(),
        };
        let mut events = match daemon.client.watch(request).await {
            Ok(answer) => {
                // Until an event comes that is where it goes on.
                let begins = answer
                    .metadata()
                    .get(BEGINS_AFTER)
                    .and_then(|id| id.to_str().ok());
                if let (true, Some(begins)) = (self.after.is_empty(), begins) {
                    begins.clone_into(&mut self.after);
                }
                answer.into_inner()
            }
            Err(status) => return broke_off(daemon.failure(status)),
        };
        self.out
            .detail(format_args!("watching after event {}", one_line(&self.after)));
        self.told = false;
        loop {
            match events.message().await {
                Ok(Some(event)) => self.show(event)?,
                Ok(None) => {
                    let message = "p2pd ended the watch";
                    return Ok(Failure::new(FailureKind::DaemonUnreachable, message));
                }
                Err(status) => return broke_off(daemon.failure(status)),
            }
        }
    }

    fn show(&mut self, event: Event) -> Result<(), Stop> {
        self.wait = FIRST;
        event.id.clone_into(&mut self.after);
        if self.out.is_json() {
            return self.out.json("watch", &json::Event::from(event));
        }
        self.out.detail(format_args!("event {}", one_line(&event.id)));
        let (at, kind, message) = parts(&event);
        let kind = match paint(&event.r#type) {
            Some(paint) => self.out.paint(paint, &kind),
            None => kind,
        };
        self.out.line(format_args!("{at}  {kind}{message}"))
    }

    /// Says once that p2pd is away.
    fn tell(&mut self, gone: &Failure) {
        if !std::mem::replace(&mut self.told, true) {
            self.out.notice(format_args!(
                "{}; the watch goes on when it is back.",
                one_line(&gone.message)
            ));
        }
    }
}

/// What ends a connection is waited for; what p2pd refuses ends the watch.
fn broke_off(failure: Failure) -> Result<Failure, Stop> {
    match failure.kind {
        FailureKind::DaemonUnreachable | FailureKind::Unreachable | FailureKind::Interrupted => Ok(failure),
        _ => Err(failure.into()),
    }
}

/// `18:04:12`, `transfer.done       `, and the message.
fn parts(event: &Event) -> (String, String, String) {
    let kind = one_line(&event.r#type);
    let message = match (event.message.as_str(), event.reason.as_str()) {
        (message, "") => message.to_owned(),
        (message, reason) if message.contains(reason) => message.to_owned(),
        (message, reason) => format!("{message}: {reason}"),
    };
    let blank = TYPE.saturating_sub(kind.chars().count()).max(2);
    (
        time::clock(&event.at),
        format!("{kind}{}", " ".repeat(blank)),
        one_line(&message),
    )
}

/// What somebody should look at.
fn paint(kind: &str) -> Option<Paint> {
    match kind {
        "transfer.failed" | "file.damaged" | "events.lost" => Some(Paint::Red),
        "transfer.waiting" | "directory.away" => Some(Paint::Yellow),
        "transfer.done" | "file.healed" => Some(Paint::Green),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, message: &str, reason: &str) -> Event {
        Event {
            id: "7".into(),
            at: "2026-11-21T12:00:00Z".into(),
            r#type: kind.into(),
            message: message.into(),
            reason: reason.into(),
            ..Event::default()
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let line = |event: &Event| {
            let (at, kind, message) = parts(event);
            assert_eq!((at.len(), &at[2..3]), (8, ":"));
            format!("{kind}{message}")
        };
        assert_eq!(
            line(&event("transfer.done", "scan.tar is here", "")),
            "transfer.done       scan.tar is here"
        );
        assert_eq!(
            line(&event("transfer.failed", "scan.tar failed", "the disk is full")),
            "transfer.failed     scan.tar failed: the disk is full"
        );
        assert_eq!(
            line(&event(
                "transfer.failed",
                "scan.tar: the disk is full",
                "the disk is full"
            )),
            "transfer.failed     scan.tar: the disk is full"
        );
        assert_eq!(
            line(&event("x", "two\nlines\u{1b}[2J", "")),
            "x                   two lines\u{fffd}[2J"
        );
        assert_eq!(
            line(&event("a.type.longer.than.the.column", "x", "")),
            "a.type.longer.than.the.column  x"
        );
    }

    #[test]
    fn a_refusal_ends_it_and_a_broken_line_does_not() {
        let after = |kind| broke_off(Failure::new(kind, "x"));
        for kind in [FailureKind::DaemonUnreachable, FailureKind::Unreachable] {
            assert!(after(kind).is_ok());
        }
        for kind in [
            FailureKind::NotPermitted,
            FailureKind::NotLoggedIn,
            FailureKind::Usage,
        ] {
            assert!(after(kind).is_err());
        }
    }
}
