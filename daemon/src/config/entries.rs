//! Every key with its value, and when a change of it counts. `docs/config.md` is checked against this list, and the list
//! against what is read.

use p2p_proto::rest::session::AcceptCopies;
use p2p_service::config::{Entry, quoted, size_text};

use super::Config;

fn text(value: impl std::fmt::Display) -> String {
    format!("\"{value}\"")
}

fn optional(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| text(""), text)
}

impl Config {
    /// The keys in the order of the file.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = self.of_the_peer();
        entries.extend(self.of_the_work());
        entries
    }

    fn of_the_peer(&self) -> Vec<Entry> {
        let Self { login, control, .. } = self;
        vec![
            Entry::running("peer_name", optional(self.peer_name.as_ref())),
            Entry::restart("state_dir", text(self.state_dir.display())),
            Entry::restart("runtime_dir", text(self.runtime_dir.display())),
            Entry::restart("peer.listen", quoted(&self.peer.listen)),
            Entry::running("peer.advertise", quoted(&self.peer.advertise)),
            Entry::restart("control.group", text(&control.group)),
            Entry::running("control.shared_session", control.shared_session.to_string()),
            Entry::running("directory.urls", quoted(&self.directory.urls)),
            Entry::running("login.user", optional(login.user.as_ref())),
            Entry::running("login.password_file", text(login.password_file.display())),
            Entry::running("login.ca_fingerprint", optional(login.ca_fingerprint.as_ref())),
        ]
    }

    fn of_the_work(&self) -> Vec<Entry> {
        let Self { store, transfer, .. } = self;
        let accepts = match store.accept_copies {
            AcceptCopies::Own => "own",
            AcceptCopies::Cluster => "cluster",
        };
        let scrub = store.scrub_rate.0.map_or("off".to_owned(), size_text);
        vec![
            Entry::restart("store.path", text(store.path.display())),
            Entry::running("store.max_size", text(store.max_size)),
            Entry::running("store.reserve_free", text(size_text(store.reserve_free))),
            Entry::running("store.accept_copies", text(accepts)),
            Entry::running("store.scrub_rate", text(scrub)),
            Entry::running("store.scrub_every", text(store.scrub_every)),
            Entry::running("transfer.max_active", transfer.max_active.to_string()),
            Entry::running("transfer.upload_limit", text(transfer.upload_limit)),
            Entry::running("transfer.download_limit", text(transfer.download_limit)),
            Entry::running("log.level", text(&self.log.level)),
            Entry::restart("metrics.listen", optional(self.metrics.listen)),
        ]
    }

    /// With the keys of this configuration that are read at the start alone, and all others of the new one.
    #[must_use]
    pub(super) fn take(&self, new: Self) -> Self {
        let mut taken = new;
        taken.state_dir.clone_from(&self.state_dir);
        taken.runtime_dir.clone_from(&self.runtime_dir);
        taken.peer.listen.clone_from(&self.peer.listen);
        taken.control.group.clone_from(&self.control.group);
        taken.store.path.clone_from(&self.store.path);
        taken.metrics.listen = self.metrics.listen;
        taken
    }
}

#[cfg(test)]
mod tests {
    use p2p_service::config::{When, changes, layered};

    use super::*;

    /// Each table of the configuration, and the keys that it is asked for.
    fn known(table: &str) -> Vec<String> {
        let text = match table {
            "" => "no_such_key_at_all = 1\n".to_owned(),
            _ => format!("[{table}]\nno_such_key_at_all = 1\n"),
        };
        let error = layered::<Config>("x".as_ref(), &text, "X_", &[])
            .unwrap_err()
            .to_string();
        match error.split_once("known here: ") {
            Some((_, known)) => known.split(", ").map(str::to_owned).collect(),
            None => panic!("{error}"),
        }
    }

    #[test]
    fn the_list_has_every_key() {
        let listed: Vec<&str> = Config::default()
            .entries()
            .iter()
            .map(|entry| entry.key)
            .collect();
        let mut found = Vec::new();
        for key in known("") {
            if listed.contains(&key.as_str()) {
                found.push(key);
            } else {
                found.extend(known(&key).into_iter().map(|inner| format!("{key}.{inner}")));
            }
        }
        let mut listed: Vec<String> = listed.into_iter().map(str::to_owned).collect();
        listed.sort();
        found.sort();
        assert_eq!(listed, found);
    }

    #[test]
    fn what_needs_a_restart_stays_as_it_was() {
        let text = r#"
            peer_name = "other"
            state_dir = "/other"
            runtime_dir = "/other"
            [peer]
            listen = ["127.0.0.1:1"]
            advertise = ["other"]
            [control]
            group = "other"
            shared_session = true
            [directory]
            urls = ["other"]
            [login]
            user = "other"
            password_file = "/other"
            ca_fingerprint = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
            [store]
            path = "/other"
            max_size = "1GiB"
            reserve_free = "2GiB"
            accept_copies = "cluster"
            scrub_rate = "off"
            scrub_every = "1d"
            [transfer]
            max_active = 5
            upload_limit = "1MiB"
            download_limit = "1MiB"
            [log]
            level = "debug"
            [metrics]
            listen = "127.0.0.1:1"
        "#;
        let now = Config::default();
        let new: Config = layered("x".as_ref(), text, "X_", &[]).unwrap();
        let all = changes(&now.entries(), &new.entries());
        assert_eq!(
            all.applied.len() + all.restart.len(),
            now.entries().len(),
            "{all:?}"
        );
        let taken = now.take(new.clone()).entries();
        for ((before, after), wanted) in now.entries().into_iter().zip(taken).zip(new.entries()) {
            let expected = match after.when {
                When::Restart => before.value,
                When::Running => wanted.value,
            };
            assert_eq!(after.value, expected, "{}", after.key);
        }
    }
}
