//! `replicate`: places copies of what is already published. An interruption leaves the daemon placing them.

use p2p_proto::v1::ReplicateRequest;

use super::placing::{Placing, verdict};
use crate::{cli::ReplicateArgs, context::Context, exit::Stop, output::json};

/// Places, and counts what is durable.
pub(crate) async fn run(ctx: &Context, args: ReplicateArgs) -> Result<(), Stop> {
    let placing = Placing::default();
    tokio::select! {
        biased;
        why = ctx.stopped() => Err(placing.goes_on(why).into()),
        result = replicate(ctx, args, &placing) => result,
    }
}

async fn replicate(ctx: &Context, args: ReplicateArgs, placing: &Placing) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = ReplicateRequest {
        r#ref: args.reference.clone(),
        copies: args.copies.wanted(),
    };
    let done = placing
        .follow(&mut daemon, request, &args.reference, &ctx.out)
        .await?;
    let verdict = verdict(&done);
    if ctx.out.is_json() {
        ctx.out.json("replicate", &json::Replicate::from(done))?;
        return verdict.map(|_| ()).map_err(|failure| Stop::Told(failure.kind));
    }
    ctx.out.line(verdict?)
}
