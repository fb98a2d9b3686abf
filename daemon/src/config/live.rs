//! The configuration that counts now. One holder for all that reads it; a reload puts another one there. In memory only.

use std::sync::Arc;

use tokio::sync::watch;

use super::Config;

/// Shared by everything that goes by the configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(watch::Sender<Arc<Config>>);

impl Live {
    /// Begins with this one.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(watch::Sender::new(Arc::new(config)))
    }

    /// What counts now. It stays as it is for who holds it.
    #[must_use]
    pub fn now(&self) -> Arc<Config> {
        self.0.borrow().clone()
    }

    /// Follows the changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.0.subscribe()
    }

    /// Takes of the new one what can change while running; what counts then.
    pub fn put(&self, new: Config) -> Arc<Config> {
        let now = Arc::new(self.now().take(new));
        self.0.send_replace(Arc::clone(&now));
        now
    }
}
