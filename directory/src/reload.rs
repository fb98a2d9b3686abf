//! SIGHUP: the configuration is read again; what can change while running changes, and the rest is named. A file that is
//! wrong changes nothing.

use std::sync::Arc;

use p2p_service::{
    config::{Sources, changes},
    logging::LogLevel,
};
use tokio::sync::mpsc;

use crate::{
    certificate::CurrentCertificate,
    config::{Config, LOG_VARIABLE, PROGRAM},
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

/// Where the configuration came from, and what changes the log.
#[derive(Default)]
pub struct Reloading {
    /// Read again.
    pub sources: Sources,
    /// Follows `log.level`; `None` when somebody else has the log.
    pub level: Option<LogLevel>,
}

/// Who applies a new configuration.
pub struct Reload {
    state: Arc<State>,
    certificate: Arc<CurrentCertificate>,
    current: Config,
    reloading: Reloading,
    asked: mpsc::Receiver<()>,
}

impl Reload {
    /// Applies what the sources say when asked to.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        certificate: Arc<CurrentCertificate>,
        current: Config,
        reloading: Reloading,
    ) -> (Self, Reloader) {
        let (sender, asked) = mpsc::channel(1);
        (
            Self {
                state,
                certificate,
                current,
                reloading,
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
            match Config::read(&self.reloading.sources) {
                Ok(new) => self.change_to(new),
                Err(error) => tracing::error!("not reloaded, all stays as it was: {error}"),
            }
            p2p_service::notify::ready();
        }
        Ok(())
    }

    fn change_to(&mut self, new: Config) {
        let changes = changes(&self.current.entries(), &new.entries());
        self.current = self.current.take(new);
        // The line must be seen, whichever of the two levels shows it.
        let early = tracing::enabled!(tracing::Level::INFO);
        if early {
            changes.log(PROGRAM);
        }
        self.apply();
        if !early {
            changes.log(PROGRAM);
        }
        let level = changes
            .applied
            .iter()
            .any(|change| change.starts_with("log.level "));
        let pinned = self.reloading.level.as_ref().and_then(LogLevel::pinned);
        if level && pinned.is_some() {
            tracing::info!("what is logged says {LOG_VARIABLE}, before log.level");
        }
    }

    /// Hands what counts from now on to those who go by it.
    fn apply(&self) {
        let Config {
            liveness,
            session,
            limits,
            ..
        } = self.current;
        self.state.set_settings(Settings {
            liveness,
            session,
            limits,
        });
        // The host's own addresses may have changed as well.
        self.certificate.rename(server_names(&self.current.api.names));
        if let Some(level) = &self.reloading.level {
            level.set(&self.current.log.level);
        }
    }
}
