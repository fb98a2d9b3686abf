//! `p2pctl`, the tool that drives the local p2pd. This file parses and dispatches; each verb has its own file in
//! `commands/`. It owns no state: whatever is killed here leaves the daemon, and at most one hidden temporary file.

mod cli;
mod commands;
mod connect;
mod context;
mod delivery;
mod descriptors;
mod exit;
mod output;

use std::{ffi::OsString, process::ExitCode};

use cli::Command;
use context::Context;
use exit::Stop;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error, &arguments),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = exit::io_failure("p2pctl cannot start", &error);
            return exit::report(&failure.into(), &output::Output::new(&cli));
        }
    };
    let code = runtime.block_on(async {
        let context = Context::new(&cli);
        match Box::pin(run(&context, cli.command)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(stop) => exit::report(&stop, &context.out),
        }
    });
    // A thread may still hang in a read of stdin; nothing waits for it.
    runtime.shutdown_background();
    code
}

async fn run(ctx: &Context, command: Command) -> Result<(), Stop> {
    match command {
        // These decide themselves what an interruption leaves behind.
        Command::Login(args) => commands::login::run(ctx, args).await,
        Command::Download(args) => commands::download::run(ctx, args).await,
        Command::Fetch(args) => commands::fetch::run(ctx, args).await,
        Command::Upload(args) => commands::upload::run(ctx, args).await,
        Command::Replicate(args) => commands::replicate::run(ctx, args).await,
        Command::Transfers(args) => commands::transfers::run(ctx, &args).await,
        Command::Wait(args) => commands::wait::run(ctx, args).await,
        Command::Logout => ctx.guard(commands::logout::run(ctx)).await,
        Command::Whoami => ctx.guard(commands::whoami::run(ctx)).await,
        Command::Status => ctx.guard(commands::status::run(ctx)).await,
        Command::Pause(args) => ctx.guard(commands::steer::pause(ctx, args)).await,
        Command::Resume(args) => ctx.guard(commands::steer::resume(ctx, args)).await,
        Command::Cancel(args) => ctx.guard(commands::steer::cancel(ctx, args)).await,
        Command::Verify(args) => ctx.guard(commands::verify::run(ctx, args)).await,
        Command::List => ctx.guard(commands::list::run(ctx)).await,
        Command::Search(args) => ctx.guard(commands::search::run(ctx, args)).await,
        Command::Info(args) => ctx.guard(commands::info::run(ctx, args)).await,
        Command::Peers => ctx.guard(commands::peers::run(ctx)).await,
        Command::Rm(args) => ctx.guard(commands::rm::run(ctx, args)).await,
    }
}
