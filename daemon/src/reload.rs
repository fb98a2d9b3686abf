//! SIGHUP: the configuration is read again; what can change while running changes, and the rest is named. A file that is
//! wrong changes nothing. Owns nothing: what counts is in [`Live`].

use p2p_service::{
    config::{Sources, changes},
    logging::LogLevel,
    notify,
};

use crate::{
    Config,
    config::{LOG_VARIABLE, Live},
    events::{Bus, What},
    store::Store,
    transfer::{Transfers, limits::Limits},
};

/// Where the configuration came from, and what changes the log.
pub struct Reloading {
    /// Read again.
    pub sources: Sources,
    /// Follows `log.level`.
    pub level: LogLevel,
}

/// Applies a new configuration to all that goes by one.
pub struct Reloader {
    pub(crate) reloading: Reloading,
    pub(crate) live: Live,
    pub(crate) store: Store,
    pub(crate) transfers: Transfers,
    pub(crate) limits: Limits,
    pub(crate) bus: Bus,
}

impl Reloader {
    /// Reads it again; tells systemd when that begins and ends.
    pub fn reload(&self) {
        notify::reloading();
        match Config::read(&self.reloading.sources) {
            Ok(new) => self.change_to(new),
            Err(error) => tracing::error!("not reloaded, all stays as it was: {error}"),
        }
        notify::ready();
    }

    fn change_to(&self, new: Config) {
        let changes = changes(&self.live.now().entries(), &new.entries());
        let now = self.live.put(new);
        // The line must be seen, whichever of the two levels shows it.
        let early = tracing::enabled!(tracing::Level::INFO);
        if early {
            changes.log("p2pd");
        }
        self.apply(&now);
        if !early {
            changes.log("p2pd");
        }
        let keys = |changes: &[String]| {
            let keys = changes.iter().filter_map(|change| change.split(' ').next());
            keys.map(str::to_owned).collect()
        };
        self.bus.tell(What::ConfigReloaded {
            changed: keys(&changes.applied),
            needs_restart: keys(&changes.restart),
        });
        let level = changes
            .applied
            .iter()
            .any(|change| change.starts_with("log.level "));
        if level && self.reloading.level.pinned().is_some() {
            tracing::info!("what is logged says {LOG_VARIABLE}, before log.level");
        }
    }

    /// The one place where a configuration that counts from now on is handed to what does not look at [`Live`] each time.
    pub fn apply(&self, config: &Config) {
        let max_size = config.store.max_size.0.map(|bytes| bytes.0);
        self.store.set_limits(max_size, config.store.reserve_free.0);
        self.transfers.set_max_active(config.transfer.max_active.get());
        let (upload, download) = (config.transfer.upload_limit, config.transfer.download_limit);
        self.limits.set_configured(upload.bytes(), download.bytes());
        self.reloading.level.set(&config.log.level);
    }
}
