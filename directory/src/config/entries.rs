//! Every key with its value, and when a change of it counts. `docs/config.md` is checked against this list, and the list
//! against what is read.

use p2p_service::config::{Entry, HumanDuration, quoted};

use super::{Config, DatabaseUrl};

fn text(value: impl std::fmt::Display) -> String {
    format!("\"{value}\"")
}

impl Config {
    /// The keys in the order of the file.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let Self {
            liveness,
            session,
            limits,
            ..
        } = self;
        let database = match self.database.url {
            DatabaseUrl::Sqlite => "sqlite",
        };
        let time = |time| text(HumanDuration(time));
        let listen = self.metrics.listen;
        vec![
            Entry::restart("state_dir", text(self.state_dir.display())),
            Entry::restart("runtime_dir", text(self.runtime_dir.display())),
            Entry::restart("api.listen", quoted(&self.api.listen)),
            Entry::running("api.names", quoted(&self.api.names)),
            Entry::restart("database.url", text(database)),
            Entry::running("liveness.ping_interval", time(liveness.ping_interval)),
            Entry::running("liveness.lease", time(liveness.lease)),
            Entry::running("session.lifetime", time(session.lifetime)),
            Entry::running("session.certificate_ttl", time(session.certificate_ttl)),
            Entry::running(
                "limits.publications_per_account",
                limits.publications_per_account.to_string(),
            ),
            Entry::running("limits.holds_per_peer", limits.holds_per_peer.to_string()),
            Entry::running("limits.index_changes", limits.index_changes.to_string()),
            Entry::running("limits.addresses_per_peer", limits.addresses_per_peer.to_string()),
            Entry::running(
                "limits.reports_per_account",
                limits.reports_per_account.to_string(),
            ),
            Entry::running(
                "limits.requests_per_second",
                limits.requests_per_second.to_string(),
            ),
            Entry::running("log.level", text(&self.log.level)),
            Entry::restart("metrics.listen", listen.map_or_else(|| text(""), text)),
        ]
    }

    /// With the keys of this configuration that are read at the start alone, and all others of the new one.
    #[must_use]
    pub fn take(&self, new: Self) -> Self {
        let mut taken = new;
        taken.state_dir.clone_from(&self.state_dir);
        taken.runtime_dir.clone_from(&self.runtime_dir);
        taken.api.listen.clone_from(&self.api.listen);
        taken.database.clone_from(&self.database);
        taken.metrics.listen = self.metrics.listen;
        taken
    }
}

#[cfg(test)]
mod tests {
    use p2p_service::config::{When, changes, layered};

    use super::*;

    /// The keys of a table, as the error for an unknown one lists them.
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
            state_dir = "/other"
            runtime_dir = "/other"
            [api]
            listen = ["127.0.0.1:1"]
            names = ["other"]
            [liveness]
            ping_interval = "1s"
            lease = "2s"
            [session]
            lifetime = "1d"
            certificate_ttl = "1h"
            [limits]
            publications_per_account = 1
            holds_per_peer = 1
            index_changes = 1
            addresses_per_peer = 1
            reports_per_account = 1
            requests_per_second = 1
            [log]
            level = "debug"
            [metrics]
            listen = "127.0.0.1:1"
        "#;
        let now = Config::default();
        let new: Config = layered("x".as_ref(), text, "X_", &[]).unwrap();
        let all = changes(&now.entries(), &new.entries());
        // There is one kind of database only.
        let differ = all.applied.len() + all.restart.len() + 1;
        assert_eq!(differ, now.entries().len(), "{all:?}");
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
