//! `admin group …`: groups of the directory that runs on this machine.

use axum::http::Method;
use p2p_proto::Failure;
use serde_json::{Value, json};

use super::{
    Outcome, runtime,
    table::{names, table, time},
};
use crate::{
    admin::{
        client::AdminClient,
        types::{AddToGroup, GROUPS, Groups, RemoveFromGroup, RemovedGroup},
    },
    cli::GroupCommand,
    config::Config,
};

pub(super) fn run(config: &Config, command: GroupCommand) -> Result<Outcome, Failure> {
    let client = AdminClient::new(&config.admin_socket());
    runtime()?.block_on(call(&client, command))
}

async fn call(client: &AdminClient, command: GroupCommand) -> Result<Outcome, Failure> {
    match command {
        GroupCommand::Add { name, users } => {
            let request = AddToGroup { name, users };
            client.tell(GROUPS, &request).await?;
            let text = match request.users.as_slice() {
                [] => format!("Added group {name}. Next: p2p-directory admin group add {name} USER\n"),
                users => format!("Added to {name}: {}\n", names(users)),
            };
            Ok(outcome(
                "admin.group.add",
                text,
                json!({ "name": name, "users": request.users }),
            ))
        }
        GroupCommand::Remove { name, users } if users.is_empty() => {
            let removed: RemovedGroup = client.call(Method::DELETE, &format!("{GROUPS}/{name}")).await?;
            let text = match removed.made_private {
                0 => format!("Removed group {name}.\n"),
                1 => format!("Removed group {name}. The version that was published to it is private now.\n"),
                many => format!(
                    "Removed group {name}. {many} versions that were published to it are private now.\n"
                ),
            };
            Ok(outcome("admin.group.remove", text, json!(removed)))
        }
        GroupCommand::Remove { name, users } => {
            let request = RemoveFromGroup { users };
            client.tell(&format!("{GROUPS}/{name}/remove"), &request).await?;
            let text = format!("Removed from {name}: {}\n", names(&request.users));
            Ok(outcome(
                "admin.group.remove",
                text,
                json!({ "name": name, "users": request.users }),
            ))
        }
        GroupCommand::List => Ok(list(&client.call(Method::GET, GROUPS).await?)),
    }
}

fn outcome(command: &'static str, text: String, json: Value) -> Outcome {
    Outcome { command, text, json }
}

fn list(groups: &Groups) -> Outcome {
    let rows: Vec<_> = groups
        .groups
        .iter()
        .map(|group| {
            [
                group.name.to_string(),
                group.publications.to_string(),
                time(Some(group.created_at)),
                names(&group.members),
            ]
        })
        .collect();
    outcome(
        "admin.group.list",
        table(["NAME", "FILES", "ADDED", "MEMBERS"], &rows),
        json!(groups),
    )
}
