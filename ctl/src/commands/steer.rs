//! `pause`, `resume`, `cancel`, `priority`: one word to one transfer, and how it stands then.

use p2p_proto::{
    ByteCount,
    v1::{SetPriorityRequest, Transfer, TransferId},
};
use tonic::{Response, Status};

use super::wait;
use crate::{
    cli::{PriorityArgs, TransferArgs},
    connect::Daemon,
    context::Context,
    exit::Stop,
    output::{json, one_line, progress::Step},
};

/// Stops it where it is.
pub(crate) async fn pause(ctx: &Context, args: TransferArgs) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.pause(TransferId { id: args.id }).await;
    told(ctx, &daemon, answer, "pause", "Paused")
}

/// Lets it go on.
pub(crate) async fn resume(ctx: &Context, args: TransferArgs) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.resume(TransferId { id: args.id }).await;
    told(ctx, &daemon, answer, "resume", "Resumed")
}

/// Ends it; while other users of this machine want it too, it goes on for them.
pub(crate) async fn cancel(ctx: &Context, args: TransferArgs) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.cancel(TransferId { id: args.id }).await;
    let done = match &answer {
        Ok(goes_on) if !wait::is_over(goes_on.get_ref()) => "Left to others of this machine:",
        _ => "Cancelled",
    };
    told(ctx, &daemon, answer, "cancel", done)
}

/// Says when it begins.
pub(crate) async fn priority(ctx: &Context, args: PriorityArgs) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = SetPriorityRequest {
        id: args.id,
        priority: args.priority.as_str().to_owned(),
    };
    let answer = daemon.client.set_priority(request).await;
    let done = format!("Priority {} for", args.priority.as_str());
    told(ctx, &daemon, answer, "priority", &done)
}

fn told(
    ctx: &Context,
    daemon: &Daemon,
    answer: Result<Response<Transfer>, Status>,
    command: &str,
    done: &str,
) -> Result<(), Stop> {
    let transfer = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json(command, &json::Transfer::from(transfer));
    }
    ctx.out.done(line(done, &transfer))
}

/// `Paused 42, scan.tar at 61 %.`
fn line(done: &str, transfer: &Transfer) -> String {
    let at = match percent(transfer) {
        Some(percent) => format!("{percent} %"),
        None => ByteCount(transfer.done_bytes).to_string(),
    };
    one_line(&format!("{done} {}, {} at {at}.", transfer.id, transfer.name))
}

/// How far it is; `None` while nobody knows how much there is.
pub(super) fn percent(transfer: &Transfer) -> Option<u64> {
    step(transfer).percent()
}

/// How far it is, and how fast.
pub(super) fn step(transfer: &Transfer) -> Step {
    Step {
        done: transfer.done_bytes,
        total: transfer.size,
        rate: transfer.rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_where_it_stands() {
        let mut transfer = Transfer {
            id: "42".into(),
            name: "scan.tar".into(),
            size: Some(100),
            done_bytes: 61,
            ..Transfer::default()
        };
        assert_eq!(line("Paused", &transfer), "Paused 42, scan.tar at 61 %.");
        let expected = "Priority high for 42, scan.tar at 61 %.";
        assert_eq!(line("Priority high for", &transfer), expected);
        transfer.size = None;
        assert_eq!(line("Cancelled", &transfer), "Cancelled 42, scan.tar at 61 B.");
    }
}
