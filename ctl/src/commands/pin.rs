//! `pin`, `unpin`: marks what is stored here as never to be evicted, or takes the mark away.

use p2p_proto::v1::{HeldFile, PinRequest};

use super::incomplete;
use crate::{
    cli::RefArgs,
    context::Context,
    exit::Stop,
    output::{full_name, json},
};

/// Marks it.
pub(crate) async fn pin(ctx: &Context, args: RefArgs) -> Result<(), Stop> {
    let held = mark(ctx, args, true).await?;
    told(ctx, held, "pin", "Pinned", "it is never evicted")
}

/// Takes the mark away.
pub(crate) async fn unpin(ctx: &Context, args: RefArgs) -> Result<(), Stop> {
    let held = mark(ctx, args, false).await?;
    told(ctx, held, "unpin", "Unpinned", "it may be evicted")
}

async fn mark(ctx: &Context, args: RefArgs, pinned: bool) -> Result<HeldFile, Stop> {
    let mut daemon = ctx.connect().await?;
    let request = PinRequest {
        r#ref: args.reference,
        pinned,
    };
    let answer = daemon.client.pin(request).await;
    Ok(answer.map_err(|status| daemon.failure(status))?.into_inner())
}

fn told(ctx: &Context, held: HeldFile, command: &str, done: &str, means: &str) -> Result<(), Stop> {
    if ctx.out.is_json() {
        return ctx.out.json(command, &json::Held::from(held));
    }
    let publication = held.publication.ok_or_else(|| incomplete("a publication"))?;
    ctx.out
        .done(format_args!("{done} {}: {means}", full_name(&publication)))
}
