//! `admin user …`: accounts of the directory that runs on this machine.

use std::io::Read;

use axum::http::Method;
use p2p_proto::{Failure, FailureKind};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Outcome, runtime,
    table::{names, table, time},
};
use crate::{
    accounts::password::MAX_PASSWORD,
    admin::{
        client::AdminClient,
        types::{AddUser, Secret, SetPassword, USERS, User, UserWithPassword, Users},
    },
    cli::{PasswordSource, UserCommand},
    config::Config,
};

pub(super) fn run(config: &Config, command: UserCommand) -> Result<Outcome, Failure> {
    let client = AdminClient::new(&config.admin_socket());
    runtime()?.block_on(call(&client, command))
}

async fn call(client: &AdminClient, command: UserCommand) -> Result<Outcome, Failure> {
    match command {
        UserCommand::Add {
            name,
            password,
            admin,
            groups,
        } => {
            let request = AddUser {
                name,
                password: read_password(password)?,
                admin,
                groups,
            };
            let added: UserWithPassword = client.post(USERS, &request).await?;
            Ok(with_password(
                "admin.user.add",
                &format!("Added {}.", added.user.name),
                &added,
            ))
        }
        UserCommand::List => Ok(list(&client.call(Method::GET, USERS).await?)),
        UserCommand::Disable { name } => {
            let user: User = client
                .call(Method::POST, &format!("{USERS}/{name}/disable"))
                .await?;
            let text = format!("Disabled {name}: its sessions have ended.\n");
            Ok(Outcome {
                command: "admin.user.disable",
                text,
                json: json!(user),
            })
        }
        UserCommand::Enable { name } => {
            let user: User = client
                .call(Method::POST, &format!("{USERS}/{name}/enable"))
                .await?;
            Ok(Outcome {
                command: "admin.user.enable",
                text: format!("Enabled {name}.\n"),
                json: json!(user),
            })
        }
        UserCommand::Passwd { name, password } => {
            let request = SetPassword {
                password: read_password(password)?,
            };
            let changed: UserWithPassword = client.post(&format!("{USERS}/{name}/passwd"), &request).await?;
            Ok(with_password(
                "admin.user.passwd",
                &format!("Changed the password of {name}."),
                &changed,
            ))
        }
        UserCommand::Remove { name } => {
            client.delete(&format!("{USERS}/{name}")).await?;
            let json = json!({ "name": name });
            Ok(Outcome {
                command: "admin.user.remove",
                text: format!("Removed {name}.\n"),
                json,
            })
        }
    }
}

fn with_password(command: &'static str, done: &str, answer: &UserWithPassword) -> Outcome {
    let text = match &answer.password {
        Some(password) => format!("{done} Password, shown once: {}\n", password.reveal().as_str()),
        None => format!("{done}\n"),
    };
    Outcome {
        command,
        text,
        json: json!(answer),
    }
}

fn list(users: &Users) -> Outcome {
    let rows: Vec<_> = users
        .users
        .iter()
        .map(|user| {
            [
                user.name.to_string(),
                if user.disabled { "disabled" } else { "enabled" }.to_owned(),
                if user.admin { "yes" } else { "-" }.to_owned(),
                time(Some(user.created_at)),
                names(&user.groups),
            ]
        })
        .collect();
    Outcome {
        command: "admin.user.list",
        text: table(["NAME", "STATE", "ADMIN", "ADDED", "GROUPS"], &rows),
        json: json!(users),
    }
}

/// The password on standard input, without the newline at its end.
fn read_password(source: PasswordSource) -> Result<Option<Secret>, Failure> {
    if !source.password_stdin {
        return Ok(None);
    }
    let mut text = Zeroizing::new(String::new());
    let limit = MAX_PASSWORD as u64 + 2;
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(FailureKind::Usage, format!("cannot read the password: {error}")))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(Secret::new(line.strip_suffix('\r').unwrap_or(line))))
}
