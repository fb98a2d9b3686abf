//! The key that signs grants: `grant.key` in the state folder (PKCS#8, 0600), made once. It is not the CA's key, and
//! peers know it by its `kid`.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use p2p_proto::{
    grant::{Action, Grant, GrantKey, SigningKey},
    rest::publications::Publication,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CaError, keyfile};
use crate::{clock::after, storage::Session};

/// How long a grant lives while its holder can reach the directory.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Signs grants.
pub struct Grants(SigningKey);

impl Grants {
    /// The signer with the key in this folder; makes the key when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is no Ed25519 key.
    pub fn load_or_create(folder: &Path) -> Result<Self, CaError> {
        let path = folder.join("grant.key");
        let der = match keyfile::read(&path)? {
            Some(der) => der,
            None => {
                let der = Zeroizing::new(SigningKey::generate_pkcs8().map_err(|_| CaError::Random)?);
                keyfile::write(&path, &der, 0o600)?;
                der
            }
        };
        SigningKey::from_pkcs8(&der)
            .map(Self)
            .map_err(|error| CaError::Damaged {
                path,
                what: error.to_string(),
            })
    }

    /// The keys that peers check grants with.
    #[must_use]
    pub fn keys(&self) -> Vec<GrantKey> {
        vec![self.0.public()]
    }

    /// A grant for the session's peer to read the publication.
    #[must_use]
    pub fn read(&self, cluster: Uuid, session: &Session, of: &Publication, now: Timestamp) -> String {
        self.0.sign(&Grant {
            cluster,
            publication: of.id,
            hash: of.hash,
            peer: session.peer,
            action: Action::Read,
            iat: now.as_second(),
            exp: after(now, LIFETIME).as_second(),
            offline_exp: session.certificate_expires_at.as_second(),
        })
    }
}
