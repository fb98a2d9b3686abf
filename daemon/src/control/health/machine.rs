//! Health of the machine: whether its users may talk to the system's daemon.

use nix::unistd::Group;
use p2p_proto::v1::HealthLine;
use p2p_service::paths;

use super::Code;
use crate::config::Config;

/// Whether the group of the control socket is there, and somebody in it. Of a daemon that a user runs nothing is said: its
/// socket is his alone.
pub(super) async fn lines(config: &Config, lines: &mut Vec<HealthLine>) {
    let own = paths::default_paths("p2pd");
    if !own.system || own.runtime_dir != config.runtime_dir {
        return;
    }
    let name = config.control.group.clone();
    // The system may have to ask other machines.
    let found = tokio::task::spawn_blocking(move || (Group::from_name(&name), name));
    // One that cannot be looked up was told of in the log.
    let Ok((Ok(group), name)) = found.await else {
        return;
    };
    match group {
        None => {
            let message = format!("group {name} does not exist: only root can use p2pctl");
            let fix = format!("sudo groupadd --system {name} && sudo systemctl restart p2pd");
            lines.push(Code::NoGroup.line(message, fix));
        }
        Some(group) if group.mem.is_empty() => {
            // Whose primary group it is, is in no list of members.
            let message = format!(
                "group {name} has no members: only root, and whose primary group it is, can use p2pctl"
            );
            lines.push(Code::GroupEmpty.line(message, format!("sudo usermod -aG {name} NAME")));
        }
        Some(_) => {}
    }
}
