//! SIGHUP: the configuration is read again; what can change while running changes, and the rest is named.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::mpsc;

use crate::{
    certificate::CurrentCertificate,
    config::Config,
    names::server_names,
    state::{Settings, State},
};

/// Asks for a reload.
#[derive(Clone)]
pub struct Reloader(mpsc::Sender<()>);

impl Reloader {
    /// The configuration changed. One that is asked for while another waits is the same.
    pub fn reload(&self) {
        // Full means that one waits already, closed that the program stops.
        let _ = self.0.try_send(());
    }
}

/// Who applies a new configuration.
pub struct Reload {
    state: Arc<State>,
    certificate: Arc<CurrentCertificate>,
    current: Config,
    file: Option<PathBuf>,
    asked: mpsc::Receiver<()>,
}

impl Reload {
    /// Applies what the file says when asked to.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        certificate: Arc<CurrentCertificate>,
        current: Config,
        file: Option<PathBuf>,
    ) -> (Self, Reloader) {
        let (sender, asked) = mpsc::channel(1);
        (
            Self {
                state,
                certificate,
                current,
                file,
                asked,
            },
            Reloader(sender),
        )
    }

    /// Runs until nobody can ask any more.
    ///
    /// # Errors
    /// Never; a file that cannot be read changes nothing.
    pub async fn task(mut self) -> anyhow::Result<()> {
        while self.asked.recv().await.is_some() {
            p2p_service::notify::reloading();
            match Config::load(self.file.as_deref()) {
                Ok(new) => self.apply(new),
                Err(error) => tracing::error!("not reloaded: {error}"),
            }
            p2p_service::notify::ready();
        }
        Ok(())
    }

    fn apply(&mut self, new: Config) {
        for key in needs_restart(&self.current, &new) {
            tracing::warn!("{key} changed: it takes a restart (systemctl restart p2p-directory)");
        }
        self.state.set_settings(Settings {
            liveness: new.liveness,
            session: new.session,
            limits: new.limits,
        });
        // The host's own addresses may have changed as well.
        self.certificate.rename(server_names(&new.api.names));
        self.current.api.names = new.api.names;
        tracing::info!("configuration reloaded");
    }
}

/// Keys that differ and cannot change while running.
fn needs_restart(current: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("state_dir", current.state_dir != new.state_dir),
        ("runtime_dir", current.runtime_dir != new.runtime_dir),
        ("api.listen", current.api.listen != new.api.listen),
        ("database.url", current.database != new.database),
        ("log.level", current.log != new.log),
        ("metrics.listen", current.metrics != new.metrics),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Log, LogLevel};

    #[test]
    fn what_cannot_change_is_named() {
        let current = Config::default();
        let new = Config {
            log: Log {
                level: LogLevel::Debug,
            },
            api: crate::config::Api {
                listen: Vec::new(),
                ..Default::default()
            },
            ..current.clone()
        };
        assert_eq!(needs_restart(&current, &new), ["api.listen", "log.level"]);
    }
}
