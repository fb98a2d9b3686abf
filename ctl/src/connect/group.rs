//! What a user does whom the socket's rights keep out: the group that may use it, and the groups of this login. Owns no
//! state.

use std::{os::unix::fs::MetadataExt, path::Path};

use nix::unistd::{self, Gid, Uid, User};

use super::{DAEMON_USER, unix_user};

/// The hint of "permission denied".
pub(super) fn membership(socket: &Path) -> String {
    hint(&unix_user(), &Group::of(socket), &Login::now())
}

/// The group that may use a socket.
struct Group {
    name: String,
    id: Option<Gid>,
    members: Vec<String>,
}

impl Group {
    /// The socket's own where it lets a group in and can be seen; else the usual one.
    fn of(socket: &Path) -> Self {
        let seen = std::fs::metadata(socket).ok();
        let open = seen.filter(|socket| socket.mode() & 0o060 == 0o060 && socket.gid() != 0);
        let own = open.and_then(|socket| unistd::Group::from_gid(socket.gid().into()).ok().flatten());
        let usual = || unistd::Group::from_name(DAEMON_USER).ok().flatten();
        match own.or_else(usual) {
            Some(group) => Self {
                name: group.name,
                id: Some(group.gid),
                members: group.mem,
            },
            None => Self {
                name: DAEMON_USER.to_owned(),
                id: None,
                members: Vec::new(),
            },
        }
    }
}

/// The groups of who runs this.
struct Login {
    /// As the next login will have it.
    primary: Option<Gid>,
    /// Those of this one.
    groups: Vec<Gid>,
}

impl Login {
    fn now() -> Self {
        let user = User::from_uid(Uid::effective()).ok().flatten();
        let mut groups = unistd::getgroups().unwrap_or_default();
        groups.push(Gid::effective());
        Self {
            primary: user.map(|user| user.gid),
            groups,
        }
    }
}

fn hint(user: &str, group: &Group, login: &Login) -> String {
    let name = &group.name;
    if group.id.is_some_and(|id| login.groups.contains(&id)) {
        return format!("{user} is in group {name}; look at the rights of the socket and its folder");
    }
    let listed = group.members.iter().any(|one| one == user);
    if listed || group.id.is_some() && group.id == login.primary {
        return format!(
            "{user} is in group {name} already, but this login is older: log in again (or: newgrp {name})"
        );
    }
    format!(
        "{user} is not in group {name}: sudo usermod -aG {name} {user}, then log in again (or: newgrp {name})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_kept_out_is_told_what_to_do() {
        let group = |members: &[&str]| Group {
            name: "p2pd".into(),
            id: Some(Gid::from_raw(990)),
            members: members.iter().map(|&name| name.into()).collect(),
        };
        let login = |primary, groups: &[u32]| Login {
            primary: Some(Gid::from_raw(primary)),
            groups: groups.iter().map(|&id| Gid::from_raw(id)).collect(),
        };
        let older = "ana is in group p2pd already, but this login is older: log in again (or: newgrp p2pd)";
        for (members, primary, groups, expected) in [
            (
                &["bea"][..],
                1000,
                &[1000][..],
                "ana is not in group p2pd: sudo usermod -aG p2pd ana, then log in again (or: newgrp p2pd)",
            ),
            (&["bea", "ana"], 1000, &[1000], older),
            (&[], 990, &[1000], older),
            (
                &["ana"],
                1000,
                &[1000, 990],
                "ana is in group p2pd; look at the rights of the socket and its folder",
            ),
        ] {
            assert_eq!(hint("ana", &group(members), &login(primary, groups)), expected);
        }
    }

    #[test]
    fn without_the_group_nobody_is_in_it() {
        let nowhere = Group {
            name: "p2pd".into(),
            id: None,
            members: vec![],
        };
        let login = Login {
            primary: None,
            groups: vec![],
        };
        assert!(hint("ana", &nowhere, &login).starts_with("ana is not in group p2pd: "));
    }
}
