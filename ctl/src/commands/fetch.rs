//! `fetch`: gets a file into the local store only, so that this peer becomes a holder.

use p2p_proto::v1::{DownloadDone, FetchRequest, Publication};

use super::transfer::{NoBytes, Transfer, named, summary};
use crate::{
    cli::FetchArgs,
    context::Context,
    exit::Stop,
    output::{full_name, json, short_hash},
};

/// Fetches; the daemon goes on when this is stopped.
pub(crate) async fn run(ctx: &Context, args: FetchArgs) -> Result<(), Stop> {
    let transfer = Transfer::default();
    let (publication, done) = tokio::select! {
        biased;
        why = ctx.stopped() => return Err(transfer.goes_on(why, None).into()),
        result = fetch(ctx, args, &transfer) => result?,
    };
    if ctx.out.is_json() {
        return ctx
            .out
            .json("fetch", &json::Download::done(publication, None, done));
    }
    ctx.out.note(summary(&publication, &done));
    let (name, hash) = (full_name(&publication), short_hash(&publication.hash));
    ctx.out
        .line(format_args!("{name}  verified {hash}  held by this peer"))
}

async fn fetch(
    ctx: &Context,
    args: FetchArgs,
    transfer: &Transfer,
) -> Result<(Publication, DownloadDone), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = FetchRequest {
        r#ref: args.reference,
        wait: args.wait,
    };
    let answer = daemon.client.fetch(request).await;
    let events = answer.map_err(|status| daemon.failure(status))?.into_inner();
    let (publication, done) = transfer.follow(&daemon, events, &ctx.out, &mut NoBytes).await?;
    Ok((named(publication)?, done))
}
