//! Which certificate the directory serves with now: made anew before it ends and when its names change, and handed to
//! the accept loop, which takes it for the next connection.

use std::{path::PathBuf, sync::Arc, sync::Mutex, time::Duration};

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::{Notify, watch};

use crate::{
    ca::{CaError, server::ServerCertificate},
    clock::after,
    state::State,
};

/// When making a certificate failed, how long until the next try.
const RETRY: Duration = Duration::from_secs(60);

/// The current certificate.
pub struct CurrentCertificate {
    folder: PathBuf,
    state: Arc<State>,
    names: Mutex<Vec<String>>,
    renamed: Notify,
    served: watch::Sender<Option<Arc<ServerConfig>>>,
}

impl CurrentCertificate {
    /// Reads or makes the certificate for these names in this folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: PathBuf, state: Arc<State>, names: Vec<String>) -> Result<(Self, Timestamp), CaError> {
        let current = Self {
            folder,
            state,
            names: Mutex::new(names),
            renamed: Notify::new(),
            served: watch::Sender::new(None),
        };
        let renew_at = current.make()?;
        Ok((current, renew_at))
    }

    /// What the accept loop takes.
    pub fn served(&self) -> watch::Receiver<Option<Arc<ServerConfig>>> {
        self.served.subscribe()
    }

    /// Other names from now on.
    pub fn rename(&self, names: Vec<String>) {
        *self
            .names
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = names;
        self.renamed.notify_one();
    }

    fn make(&self) -> Result<Timestamp, CaError> {
        let names = self
            .names
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let now = self.state.clock.now();
        let made = ServerCertificate::load_or_issue(&self.folder, &self.state.authority, &names, now)?;
        self.served.send_replace(Some(made.tls));
        Ok(made.renew_at)
    }
}

/// Keeps the certificate current until the program stops.
///
/// # Errors
/// Never; what fails is logged and tried again.
pub async fn renew_task(current: Arc<CurrentCertificate>, mut renew_at: Timestamp) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = current.state.clock.sleep_until(renew_at) => {}
            () = current.renamed.notified() => {}
        }
        renew_at = match current.make() {
            Ok(renew_at) => {
                tracing::info!("the directory's certificate is current");
                renew_at
            }
            Err(error) => {
                tracing::error!(error = %error, "the directory's certificate could not be made");
                after(current.state.clock.now(), RETRY)
            }
        };
    }
}
