//! A configuration as a list of keys and values: what a reload compares, and what the documents are checked against.

use std::fmt::Display;

/// When a change of a key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At a reload.
    Running,
    /// After a restart.
    Restart,
}

impl When {
    /// As the documents say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "reload",
            Self::Restart => "restart",
        }
    }
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// With its table: `store.max_size`.
    pub key: &'static str,
    /// As it would be written in the file.
    pub value: String,
    /// When a change of it counts.
    pub when: When,
}

impl Entry {
    /// A key that is read anew by a reload.
    #[must_use]
    pub const fn running(key: &'static str, value: String) -> Self {
        let when = When::Running;
        Self { key, value, when }
    }

    /// A key that is read at the start alone.
    #[must_use]
    pub const fn restart(key: &'static str, value: String) -> Self {
        let when = When::Restart;
        Self { key, value, when }
    }
}

/// A text, or several, as the file has them.
#[must_use]
pub fn quoted<T: Display>(values: &[T]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// What differs between two configurations, as `key old → new`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What counts from now on.
    pub applied: Vec<String>,
    /// What counts after a restart.
    pub restart: Vec<String>,
}

/// What the new configuration changes: of what runs now, and of what was read at the start.
#[must_use]
pub fn changes(now: &[Entry], new: &[Entry]) -> Changes {
    let mut changes = Changes::default();
    for entry in new {
        let before = now.iter().find(|before| before.key == entry.key);
        let Some(before) = before.filter(|before| before.value != entry.value) else {
            continue;
        };
        let line = format!("{} {} → {}", entry.key, before.value, entry.value);
        match entry.when {
            When::Running => changes.applied.push(line),
            When::Restart => changes.restart.push(line),
        }
    }
    changes
}

impl Changes {
    /// Says in one line what changed, and in another what needs a restart.
    pub fn log(&self, program: &str) {
        if self.applied.is_empty() {
            tracing::info!("configuration reloaded: nothing else counts now");
        } else {
            tracing::info!("configuration reloaded: {}", self.applied.join(", "));
        }
        if !self.restart.is_empty() {
            tracing::warn!(
                "needs a restart: {} (systemctl restart {program})",
                self.restart.join(", ")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_by_when_it_counts() {
        let of = |level: &str, listen: &[&str]| {
            [
                Entry::running("log.level", format!("\"{level}\"")),
                Entry::restart("peer.listen", quoted(listen)),
                Entry::running("transfer.max_active", "4".into()),
            ]
        };
        let now = of("info", &["[::]:1"]);
        assert_eq!(changes(&now, &now), Changes::default());
        let told = changes(&now, &of("debug", &["[::]:2", "x"]));
        assert_eq!(told.applied, ["log.level \"info\" → \"debug\""]);
        assert_eq!(told.restart, ["peer.listen [\"[::]:1\"] → [\"[::]:2\", \"x\"]"]);
    }
}
