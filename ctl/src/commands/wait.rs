//! `wait`: follows one transfer up to its end, and ends as it did. Owns the last that is known of it, so that an
//! interruption can say where it stands.

use std::cell::RefCell;

use p2p_proto::{
    ByteCount, Failure, FailureKind,
    v1::{Transfer, TransferId},
};

use super::{
    steer::{percent, step},
    transfer,
};
use crate::{
    cli::TransferArgs,
    context::Context,
    exit::Stop,
    output::{
        json, one_line,
        progress::{Moving, Progress},
    },
};

/// Waits; the transfer goes on when this is stopped.
pub(crate) async fn run(ctx: &Context, args: TransferArgs) -> Result<(), Stop> {
    let last = RefCell::new(None);
    let ended = tokio::select! {
        biased;
        why = ctx.stopped() => return Err(stopped(why, last.take().as_ref()).into()),
        result = follow(ctx, args, &last) => result?,
    };
    let failure = failure(&ended);
    if ctx.out.is_json() {
        ctx.out.json("wait", &json::Transfer::from(ended))?;
        return match failure {
            Some(failure) => Err(Stop::Told(failure.kind)),
            None => Ok(()),
        };
    }
    match failure {
        Some(failure) => Err(failure.into()),
        None => ctx.out.line(finished(&ended)),
    }
}

async fn follow(
    ctx: &Context,
    args: TransferArgs,
    last: &RefCell<Option<Transfer>>,
) -> Result<Transfer, Failure> {
    let mut daemon = ctx.connect().await?;
    let line = Progress::new(&ctx.out);
    let answer = daemon.client.wait(TransferId { id: args.id }).await;
    let mut changes = answer.map_err(|status| daemon.failure(status))?.into_inner();
    while let Some(now) = changes.message().await.map_err(|status| daemon.failure(status))? {
        if is_over(&now) {
            return Ok(now);
        }
        line.show(|| moving(&now));
        *last.borrow_mut() = Some(now);
    }
    let message = "p2pd ended the waiting without saying that the transfer is done";
    Err(Failure::new(FailureKind::Unreachable, message))
}

/// Nothing more will come of it.
pub(super) fn is_over(transfer: &Transfer) -> bool {
    matches!(transfer.state.as_str(), "done" | "failed")
}

/// Why it failed; `None` when it did not.
fn failure(transfer: &Transfer) -> Option<Failure> {
    if transfer.state != "failed" {
        return None;
    }
    let told = transfer.failure.clone().unwrap_or_default();
    let message = [&told.message, &transfer.reason]
        .into_iter()
        .find(|text| !text.is_empty())
        .map_or_else(|| format!("transfer {} failed", transfer.id), Clone::clone);
    Some(Failure {
        kind: FailureKind::from_word(&told.kind),
        message,
        hint: Some(told.hint).filter(|hint| !hint.is_empty()),
        candidates: told.candidates,
    })
}

/// `scan.tar    61 %  2.5 GiB of 4.1 GiB  940 MiB/s  12 s left  from ws1, gpu1`, or why nothing moves.
fn moving(transfer: &Transfer) -> Moving {
    let line = step(transfer).line(&transfer.name);
    let peers: Vec<_> = transfer.peers.iter().map(|peer| one_line(&peer.peer)).collect();
    match (transfer.state.as_str(), transfer.reason.as_str()) {
        ("transferring", "") if peers.is_empty() => line,
        ("transferring", "") => {
            let way = match transfer.direction.as_str() {
                "replicate" => "to",
                _ => "from",
            };
            line.and(&format!("  {way} {}", peers.join(", ")))
        }
        (state, "") => line.and(&format!("  {}", one_line(state))),
        (_, reason) => line.and(&format!("  {}", one_line(reason))),
    }
}

/// `Done 42, scan.tar, 4.1 GiB.`
fn finished(transfer: &Transfer) -> String {
    let size = ByteCount(transfer.size.unwrap_or(transfer.done_bytes));
    one_line(&format!("Done {}, {}, {size}.", transfer.id, transfer.name))
}

/// What a stop means for the one who waited.
fn stopped(why: Failure, last: Option<&Transfer>) -> Failure {
    match last {
        Some(last) if last.state == "paused" => transfer::stays(why, &last.id, percent(last), "stays paused"),
        Some(last) => transfer::stays(why, &last.id, percent(last), "goes on"),
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use p2p_proto::v1::{self, TransferPeer};

    use super::*;
    use crate::exit::sentence;

    fn sample(state: &str, reason: &str) -> Transfer {
        Transfer {
            id: "42".into(),
            direction: "download".into(),
            name: "scan.tar".into(),
            size: Some(100 << 20),
            done_bytes: 61 << 20,
            state: state.into(),
            reason: reason.into(),
            peers: vec![TransferPeer {
                peer: "ws1".into(),
                ..TransferPeer::default()
            }],
            ..Transfer::default()
        }
    }

    #[test]
    fn the_moving_line_says_whence_or_why_not() {
        let start = "scan.tar    61 %  61.0 MiB of 100 MiB  ";
        for (state, reason, end) in [
            ("transferring", "", "from ws1"),
            ("waiting", "ws1 is silent for 31 s", "ws1 is silent for 31 s"),
            ("locating", "", "locating"),
        ] {
            assert_eq!(moving(&sample(state, reason)).text(), format!("{start}{end}"));
        }
        let mut to = sample("transferring", "");
        to.direction = "replicate".into();
        assert_eq!(moving(&to).text(), format!("{start}to ws1"));
    }

    #[test]
    fn it_ends_as_the_transfer_did() {
        assert!(is_over(&sample("done", "")));
        assert!(!is_over(&sample("waiting", "no holder is online")));
        assert!(!is_over(&sample("paused", "paused by ana")));
        assert_eq!(failure(&sample("done", "")), None);
        assert_eq!(finished(&sample("done", "")), "Done 42, scan.tar, 100 MiB.");
        let mut failed = sample("failed", "the disk is full");
        assert!(is_over(&failed));
        assert_eq!(failure(&failed).unwrap().message, "the disk is full");
        failed.failure = Some(v1::Failure {
            kind: "no_holder_online".into(),
            message: "scan.tar: 0 of 3 holders online".into(),
            hint: "To wait: --wait".into(),
            candidates: vec![],
        });
        let failure = failure(&failed).unwrap();
        assert_eq!(failure.kind.exit_code(), 7);
        assert_eq!(
            sentence(&failure),
            "p2pctl: scan.tar: 0 of 3 holders online. To wait: --wait"
        );
    }

    #[test]
    fn a_stop_says_what_the_transfer_does() {
        let why = || Failure::new(FailureKind::Interrupted, "Interrupted");
        let said = |last: Option<&Transfer>| sentence(&stopped(why(), last));
        assert_eq!(said(None), "Interrupted.");
        assert_eq!(
            said(Some(&sample("waiting", "x"))),
            "Stopped waiting; transfer 42 goes on (61 %)."
        );
        assert_eq!(
            said(Some(&sample("paused", "x"))),
            "Stopped waiting; transfer 42 stays paused (61 %)."
        );
    }
}
