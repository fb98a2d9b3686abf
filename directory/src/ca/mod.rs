//! The directory as a small certificate authority: its own key, the certificates that it issues to peers and to itself,
//! and the key that signs grants (which is not the CA's).

pub mod authority;
pub mod grants;
pub mod issue;
pub mod keyfile;
pub mod server;

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateParams, SerialNumber};

/// How long before its making a certificate begins, for clocks that are behind.
const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// Why the authority could not do it.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file of it cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of it holds something else.
    #[error("{}: {what}", .path.display())]
    Damaged {
        /// Which.
        path: std::path::PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is a certificate without its key.
    #[error("{0}: the CA's key is missing; restore it, or remove ca.pem to begin with a new CA")]
    KeyMissing(std::path::PathBuf),
    /// The random source failed.
    #[error("the system's random source failed")]
    Random,
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A key is not fit for TLS.
    #[error("cannot serve TLS with this certificate: {0}")]
    Tls(#[from] rustls::Error),
    /// The CA itself is at its end.
    #[error("the CA's certificate ends at {0}")]
    Ended(Timestamp),
}

/// Sets serial number and validity: five minutes before `now` until `until`.
fn set_validity(params: &mut CertificateParams, now: Timestamp, until: Timestamp) -> Result<(), CaError> {
    let mut serial = [0; 16];
    random(&mut serial)?;
    // Positive, and never shorter than its bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = |at: Timestamp| Duration::from_secs(at.as_second().try_into().unwrap_or(0));
    params.not_before = epoch + since_epoch(now).saturating_sub(BACKDATE);
    params.not_after = epoch + since_epoch(until);
    Ok(())
}

/// Fills the buffer from the system's random source.
///
/// # Errors
/// When that fails.
pub fn random(buffer: &mut [u8]) -> Result<(), CaError> {
    use ring::rand::SecureRandom;
    ring::rand::SystemRandom::new()
        .fill(buffer)
        .map_err(|_| CaError::Random)
}
