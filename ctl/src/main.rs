//! `p2pctl`, the tool that drives the local p2pd. This file parses and dispatches; each verb has its own file in
//! `commands/`. It owns no state: whatever is killed here leaves the daemon, and at most one hidden temporary file.

mod ask;
mod cli;
mod commands;
mod connect;
mod context;
mod delivery;
mod descriptors;
mod exit;
mod output;

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    process::ExitCode,
};

use cli::Command;
use context::Context;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error, &arguments),
    };
    let Some(command) = cli.command.take().or_else(|| menu(&cli.globals)) else {
        return exit::no_command(cli.globals.json);
    };
    cli.command = Some(command);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = exit::io_failure("p2pctl cannot start", &error);
            return exit::report(&failure.into(), &output::Output::new(&cli));
        }
    };
    let code = runtime.block_on(async {
        let context = Context::new(&cli);
        let done = match cli.command {
            Some(command) => commands::run(&context, command).await,
            None => Ok(()),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(stop) => exit::report(&stop, &context.out),
        }
    });
    // A thread may still hang in a read of stdin; nothing waits for it.
    runtime.shutdown_background();
    code
}

/// What a person at a terminal gets who gives no command.
fn menu(globals: &cli::Globals) -> Option<Command> {
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    (person && !globals.json).then_some(Command::Menu)
}
