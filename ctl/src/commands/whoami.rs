//! `whoami`: user, peer, directory, and when the session ends.

use p2p_proto::{Failure, v1::WhoamiRequest};

use crate::{
    context::Context,
    exit::Stop,
    output::{json, one_line, time},
};

/// Shows the session; "not logged in" is the daemon's failure.
pub(crate) async fn run(ctx: &Context) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.whoami(WhoamiRequest {}).await;
    let answer = answer.map_err(|status| daemon.failure(status))?.into_inner();
    let session = answer.session.ok_or_else(Failure::not_logged_in)?;
    if ctx.out.is_json() {
        return ctx.out.json("whoami", &json::Whoami::from(session));
    }
    for (label, value) in [
        ("user", &session.user),
        ("peer", &session.peer_name),
        ("peer id", &session.peer_id),
        ("directory", &session.directory),
        ("until", &time::day(&session.session_expires_at)),
    ] {
        ctx.out.line(format_args!("{label:<11}{}", one_line(value)))?;
    }
    Ok(())
}
