//! `logout`: ends the session here, and at the directory where that can be reached.

use p2p_proto::v1::LogoutRequest;

use crate::{context::Context, exit::Stop, output::json};

/// Ends the session.
pub(crate) async fn run(ctx: &Context) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.logout(LogoutRequest {}).await;
    let directory_told = answer
        .map_err(|status| daemon.failure(status))?
        .into_inner()
        .directory_told;
    if ctx.out.is_json() {
        return ctx.out.json("logout", &json::Logout { directory_told });
    }
    ctx.out.done("Logged out")?;
    if !directory_told {
        ctx.out
            .note("The directory did not answer: it lists this peer until its lease ends.");
    }
    Ok(())
}
