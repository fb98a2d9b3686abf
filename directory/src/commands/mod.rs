//! One file per command. A command gives an [`Outcome`]; here it becomes lines or one JSON object, and an exit code.

mod backup;
mod ca_fingerprint;
mod first_steps;
mod group;
mod init;
mod peer;
mod serve;
mod status;
mod table;
mod user;

use std::{io::Write, process::ExitCode};

use p2p_packaging::{Section, package_files};
use p2p_proto::{Failure, FailureKind};
use p2p_service::{config::Sources, logging};
use serde_json::{Value, json};

use crate::{
    cli::{Admin, Cli, Command},
    config::{Config, LOG_VARIABLE},
};

/// What a command has to say.
struct Outcome {
    /// The command as its JSON schema has it.
    command: &'static str,
    /// For people.
    text: String,
    /// For programs; an object.
    json: Value,
}

/// Runs the command.
pub fn run(cli: Cli) -> ExitCode {
    let json = cli.json;
    match dispatch(cli) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(outcome)) => print(&outcome, json),
        Err(failure) => report(&failure, json),
    }
}

fn dispatch(cli: Cli) -> Result<Option<Outcome>, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Usage, error.to_string());
    let sources = Sources {
        file: cli.config,
        set: cli.set,
    };
    let config = Config::read(&sources).map_err(|error| usage(&error))?;
    match cli.command {
        Command::Serve { check_config } => {
            logging::from_environment(LOG_VARIABLE).map_err(|error| usage(&error))?;
            if check_config {
                return Ok(Some(serve::check(&sources)));
            }
            serve::run(config, sources).map(|()| None)
        }
        Command::Init => init::run(&config).map(Some),
        Command::CaFingerprint => ca_fingerprint::run(&config).map(Some),
        Command::Backup { file } => backup::run(&config, &file).map(Some),
        Command::PackageFiles { folder } => match package_files::<Cli>(Section::Administration, &folder) {
            Ok(()) => Ok(None),
            Err(error) => Err(Failure::new(FailureKind::Internal, error.to_string())),
        },
        Command::FirstSteps => first_steps::run(&config).map(Some),
        Command::Admin(Admin::User(command)) => user::run(&config, command).map(Some),
        Command::Admin(Admin::Group(command)) => group::run(&config, command).map(Some),
        Command::Admin(Admin::Peer(command)) => peer::run(&config, command).map(Some),
        Command::Admin(Admin::Status) => status::run(&config).map(Some),
    }
}

fn print(outcome: &Outcome, as_json: bool) -> ExitCode {
    let text = if as_json {
        let mut object = json!({ "schema": format!("p2p-directory.{}/1", outcome.command) });
        if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), &outcome.json) {
            object.extend(fields.clone());
        }
        format!("{object}\n")
    } else {
        outcome.text.clone()
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn report(failure: &Failure, as_json: bool) -> ExitCode {
    let code = failure.kind.exit_code();
    if as_json {
        let object = json!({
            "schema": "p2p-directory.error/1",
            "code": code,
            "kind": failure.kind,
            "message": failure.message,
            "hint": failure.hint,
        });
        // When even this cannot be written, the exit code is all that is left to say it.
        let _ = writeln!(std::io::stdout().lock(), "{object}");
        return ExitCode::from(code);
    }
    let hint = failure.hint.as_ref().map(|hint| {
        let glue = if failure.message.ends_with(['?', '.']) {
            ""
        } else {
            ":"
        };
        format!("{glue} {hint}")
    });
    eprintln!("p2p-directory: {}{}", failure.message, hint.unwrap_or_default());
    ExitCode::from(code)
}

fn failed(error: &anyhow::Error) -> Failure {
    Failure::new(FailureKind::Internal, format!("{error:#}"))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure::new(FailureKind::Internal, format!("cannot start: {error}")))
}
