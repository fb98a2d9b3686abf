//! Copies on other peers: what `upload` and `replicate` share. The daemon places them, and goes on when this is
//! stopped; here they are followed, shown, and counted at the end. Owns what is known of the run, so that an
//! interruption can say what goes on.

use std::cell::RefCell;

use p2p_proto::{
    Failure, FailureKind,
    v1::{Placement, ReplicateDone, ReplicateEvent, ReplicateRequest, replicate_event::Event},
};
use tonic::Streaming;

use crate::{
    connect::Daemon,
    output::{
        Output, one_line,
        progress::{self, Moving, Progress, Step},
    },
};

/// What is known of copies that are being placed.
#[derive(Default)]
pub(crate) struct Placing {
    /// The name of the file, while the daemon goes on without us.
    of: RefCell<Option<String>>,
}

/// What the daemon made of a wish at first.
pub(crate) enum Begun {
    /// These are being placed.
    Placing(Vec<Placement>),
    /// There is nothing to wait for.
    Done(ReplicateDone),
}

impl Placing {
    /// From here on the daemon places copies of this, whatever becomes of us.
    pub(crate) fn begun(&self, name: &str) {
        *self.of.borrow_mut() = Some(name.to_owned());
    }

    /// Nothing goes on any more, or all that does was told.
    pub(crate) fn ended(&self) {
        *self.of.borrow_mut() = None;
    }

    /// What a stop means when the placing goes on without us; otherwise just the stop.
    pub(crate) fn goes_on(&self, why: Failure) -> Failure {
        let of = self.of.borrow();
        let Some(name) = of.as_deref() else {
            return why;
        };
        let begin = match why.kind {
            FailureKind::Interrupted => "Stopped waiting".to_owned(),
            _ => why.message,
        };
        let message = format!("{begin}; copies of {name} go on being placed");
        Failure::new(why.kind, message).hint("p2pctl transfers")
    }

    /// Follows the placing to its end. Shows the moving line, and leaves one line for each copy that came to be.
    pub(crate) async fn follow(
        &self,
        daemon: &mut Daemon,
        request: ReplicateRequest,
        name: &str,
        out: &Output,
    ) -> Result<ReplicateDone, Failure> {
        let line = Progress::new(out);
        let mut events = asked(daemon, request).await?;
        let mut last = Vec::new();
        loop {
            match next(daemon, &mut events).await? {
                Begun::Placing(placements) => {
                    self.begun(name);
                    line.show(|| moving(&placements));
                    last = placements;
                }
                Begun::Done(done) => {
                    self.ended();
                    line.clear();
                    for peer in placed(&last, &done) {
                        out.note(progress::finished_at("Placing", peer));
                    }
                    return Ok(done);
                }
            }
        }
    }
}

/// Asks, and leaves as soon as it is known which transfers follow.
pub(crate) async fn begin(daemon: &mut Daemon, request: ReplicateRequest) -> Result<Begun, Failure> {
    let mut events = asked(daemon, request).await?;
    loop {
        match next(daemon, &mut events).await? {
            // No target is chosen yet.
            Begun::Placing(placements) if placements.is_empty() => {}
            begun => return Ok(begun),
        }
    }
}

async fn asked(daemon: &mut Daemon, request: ReplicateRequest) -> Result<Streaming<ReplicateEvent>, Failure> {
    let answer = daemon.client.replicate(request).await;
    Ok(answer.map_err(|status| daemon.failure(status))?.into_inner())
}

async fn next(daemon: &Daemon, events: &mut Streaming<ReplicateEvent>) -> Result<Begun, Failure> {
    while let Some(event) = events.message().await.map_err(|status| daemon.failure(status))? {
        match event.event {
            Some(Event::Placing(placing)) => return Ok(Begun::Placing(placing.placements)),
            Some(Event::Done(done)) => return Ok(Begun::Done(done)),
            // A newer daemon may say more than this tool understands.
            None => {}
        }
    }
    let message = "p2pd ended the placing without saying what became of the copies";
    Err(Failure::new(FailureKind::Unreachable, message))
}

/// `Placing    gpu1 100 %, gpu2 61 %`.
fn moving(placements: &[Placement]) -> Moving {
    let targets: Vec<String> = placements.iter().map(target).collect();
    Moving::new("Placing", targets.join(", "))
}

fn target(placement: &Placement) -> String {
    let peer = one_line(&placement.peer);
    let step = Step {
        done: placement.done_bytes,
        total: Some(placement.total_bytes),
        rate: 0,
    };
    match (placement.state.as_str(), placement.reason.as_str()) {
        ("done", _) => format!("{peer} 100 %"),
        ("waiting" | "paused" | "failed", reason) if !reason.is_empty() => {
            format!("{peer} ({})", one_line(reason))
        }
        (state @ ("queued" | "locating" | "connecting" | "waiting" | "paused" | "failed"), _) => {
            format!("{peer} {state}")
        }
        _ => format!("{peer} {} %", step.percent().unwrap_or_default()),
    }
}

/// The targets whose copy came to be durable.
fn placed<'a>(last: &'a [Placement], done: &'a ReplicateDone) -> impl Iterator<Item = &'a str> {
    let durable = |peer: &str| {
        let mut copies = done.copies.iter();
        copies.any(|copy| copy.peer == peer && copy.state == "durable")
    };
    let peers = last.iter().map(|placement| placement.peer.as_str());
    peers.filter(move |peer| durable(peer))
}

/// `Placing    gpu1 (transfer 43), gpu2 (transfer 44)`.
pub(crate) fn left_alone(placements: &[Placement]) -> String {
    let targets: Vec<String> = placements
        .iter()
        .map(|placement| {
            let (peer, id) = (one_line(&placement.peer), one_line(&placement.transfer_id));
            match id.is_empty() {
                true => peer,
                false => format!("{peer} (transfer {id})"),
            }
        })
        .collect();
    format!("{}{}", progress::begin("Placing"), targets.join(", "))
}

/// `2 of 2 copies durable (ws1, gpu1).`, or the failure that names each peer and why there are fewer.
pub(crate) fn verdict(done: &ReplicateDone) -> Result<String, Failure> {
    let (durable, failed): (Vec<_>, Vec<_>) = done.copies.iter().partition(|copy| copy.state == "durable");
    let peers: Vec<String> = durable.iter().map(|copy| one_line(&copy.peer)).collect();
    let peers = match peers.as_slice() {
        [] => String::new(),
        peers => format!(" ({})", peers.join(", ")),
    };
    let (count, wanted) = (durable.len(), done.wanted);
    match u32::try_from(count).unwrap_or(u32::MAX) {
        enough if enough == wanted => Ok(format!("{count} of {wanted} copies durable{peers}.")),
        more if more > wanted => Ok(format!("{count} copies durable{peers}, {wanted} asked for.")),
        _ => {
            let mut message = format!("{count} of {wanted} copies durable{peers}");
            for copy in &failed {
                let why = match copy.reason.as_str() {
                    "" => copy.state.as_str(),
                    reason => reason,
                };
                message.push_str(&format!("; {}: {why}", copy.peer));
            }
            if failed.is_empty() {
                message.push_str("; no other peer can take one now");
            }
            Err(Failure::new(FailureKind::Partial, message))
        }
    }
}

#[cfg(test)]
mod tests;
