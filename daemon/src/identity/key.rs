//! The daemon's key: made once, kept for life in `state_dir/peer.key` (PKCS#8 PEM, mode 0600). It is written whole before
//! it gets its name, so a crash leaves either no key or a good one.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use p2p_proto::PeerId;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The key's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no key, or a request could not be signed.
    #[error("{}: {source}", path.display())]
    Bad {
        /// The key's file.
        path: PathBuf,
        /// Why.
        source: rcgen::Error,
    },
}

/// The key. Cheap to clone; never printed.
#[derive(Clone)]
pub struct PeerKey {
    pair: Arc<KeyPair>,
    path: PathBuf,
    id: PeerId,
}

impl PeerKey {
    /// Reads the key in this folder, or makes it.
    ///
    /// # Errors
    /// When the file cannot be read, written or understood.
    pub fn load_or_create(state_dir: &Path) -> Result<Self, KeyError> {
        let path = state_dir.join("peer.key");
        let io_error = |source| KeyError::Io {
            path: path.clone(),
            source,
        };
        let bad = |source| KeyError::Bad {
            path: path.clone(),
            source,
        };
        let pair = match fs::read_to_string(&path) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(bad)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(bad)?;
                write_private(&path, pair.serialize_pem().as_bytes()).map_err(io_error)?;
                pair
            }
            Err(error) => return Err(io_error(error)),
        };
        let id = PeerId::of_spki(&pair.subject_public_key_info());
        Ok(Self {
            pair: Arc::new(pair),
            path,
            id,
        })
    }

    /// The id of this key.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// A certificate signing request for this key, in PEM.
    ///
    /// # Errors
    /// When signing fails.
    pub fn request(&self) -> Result<String, KeyError> {
        let bad = |source| KeyError::Bad {
            path: self.path.clone(),
            source,
        };
        let request = CertificateParams::default()
            .serialize_request(&*self.pair)
            .map_err(bad)?;
        request.pem().map_err(bad)
    }

    /// The private key, for TLS.
    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }
}

/// Writes a file of mode 0600 so that its name never shows a part of it: temporary file, fsync, rename, fsync of the
/// folder.
///
/// # Errors
/// Those of the file system.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_stays_the_same_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = PeerKey::load_or_create(folder.path()).unwrap();
        let again = PeerKey::load_or_create(folder.path()).unwrap();
        assert_eq!(first.id(), again.id());
        let mode = fs::metadata(folder.path().join("peer.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("peer.key"), "no key").unwrap();
        assert!(matches!(
            PeerKey::load_or_create(folder.path()),
            Err(KeyError::Bad { .. })
        ));
        assert_eq!(
            fs::read_to_string(folder.path().join("peer.key")).unwrap(),
            "no key"
        );
    }
}
