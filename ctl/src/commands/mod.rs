//! One file per verb: what it asks the daemon, and what it shows. None owns state beyond its own run.

pub(crate) mod completions;
pub(crate) mod download;
pub(crate) mod fetch;
pub(crate) mod info;
pub(crate) mod limit;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod menu;
mod package_files;
pub(crate) mod passwd;
pub(crate) mod peers;
pub(crate) mod pin;
pub(crate) mod placing;
pub(crate) mod replicate;
pub(crate) mod rm;
pub(crate) mod search;
mod secrets;
pub(crate) mod status;
pub(crate) mod steer;
pub(crate) mod transfer;
pub(crate) mod transfers;
pub(crate) mod upload;
pub(crate) mod verify;
pub(crate) mod wait;
pub(crate) mod watch;
pub(crate) mod whoami;

use p2p_proto::{Failure, FailureKind};

use crate::{cli::Command, context::Context, exit::Stop};

/// Does what was asked.
pub(crate) async fn run(ctx: &Context, command: Command) -> Result<(), Stop> {
    Box::pin(dispatch(ctx, command)).await
}

async fn dispatch(ctx: &Context, command: Command) -> Result<(), Stop> {
    match command {
        // These decide themselves what an interruption leaves behind.
        Command::Login(args) => login::run(ctx, args).await,
        Command::Passwd(args) => passwd::run(ctx, &args).await,
        Command::Download(args) => download::run(ctx, args).await,
        Command::Fetch(args) => fetch::run(ctx, args).await,
        Command::Upload(args) => upload::run(ctx, args).await,
        Command::Replicate(args) => replicate::run(ctx, args).await,
        Command::Transfers(args) => transfers::run(ctx, &args).await,
        Command::Wait(args) => wait::run(ctx, args).await,
        Command::Watch => watch::run(ctx).await,
        Command::Menu => menu::run(ctx).await,
        Command::Completions(args) => completions::run(ctx, &args),
        Command::PackageFiles(args) => package_files::run(&args.folder),
        Command::Logout => ctx.guard(logout::run(ctx)).await,
        Command::Whoami => ctx.guard(whoami::run(ctx)).await,
        Command::Status => ctx.guard(status::run(ctx)).await,
        Command::Pause(args) => ctx.guard(steer::pause(ctx, args)).await,
        Command::Resume(args) => ctx.guard(steer::resume(ctx, args)).await,
        Command::Cancel(args) => ctx.guard(steer::cancel(ctx, args)).await,
        Command::Priority(args) => ctx.guard(steer::priority(ctx, args)).await,
        Command::Limit(args) => ctx.guard(limit::run(ctx, args)).await,
        Command::Verify(args) => ctx.guard(verify::run(ctx, args)).await,
        Command::List => ctx.guard(list::run(ctx)).await,
        Command::Search(args) => ctx.guard(search::run(ctx, args)).await,
        Command::Info(args) => ctx.guard(info::run(ctx, args)).await,
        Command::Peers => ctx.guard(peers::run(ctx)).await,
        Command::Rm(args) => ctx.guard(rm::run(ctx, args)).await,
        Command::Pin(args) => ctx.guard(pin::pin(ctx, args)).await,
        Command::Unpin(args) => ctx.guard(pin::unpin(ctx, args)).await,
    }
}

/// The failure of an answer that lacks a part.
pub(crate) fn incomplete(what: &str) -> Failure {
    Failure::new(FailureKind::Internal, format!("p2pd answered without {what}"))
        .hint("Is it as new as p2pctl? p2pctl status")
}
