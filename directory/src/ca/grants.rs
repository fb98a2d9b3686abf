//! The key that signs grants: `grant.key` in the state folder (PKCS#8, 0600), made once. It is not the CA's key, and
//! peers know it by its `kid`.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use p2p_proto::{
    PeerId,
    grant::{Action, Grant, GrantKey, SigningKey},
    rest::publications::Publication,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CaError, keyfile};
use crate::{clock::after, storage::Session};

/// How long a grant lives while its holder can reach the directory.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// In whose name a grant is signed.
pub struct Bearer {
    /// The peer.
    pub peer: PeerId,
    /// When its certificate ends, and with it the grant at the latest.
    pub certificate_expires_at: Timestamp,
}

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
        let bearer = Bearer {
            peer: session.peer,
            certificate_expires_at: session.certificate_expires_at,
        };
        self.sign(cluster, &bearer, of, Action::Read, now)
    }

    /// A grant for this peer to keep a copy of the publication: in its own name, whoever asked for the copy.
    #[must_use]
    pub fn replicate(&self, cluster: Uuid, bearer: &Bearer, of: &Publication, now: Timestamp) -> String {
        self.sign(cluster, bearer, of, Action::Replicate, now)
    }

    fn sign(
        &self,
        cluster: Uuid,
        bearer: &Bearer,
        of: &Publication,
        action: Action,
        now: Timestamp,
    ) -> String {
        self.0.sign(&Grant {
            cluster,
            publication: of.id,
            hash: of.hash,
            peer: bearer.peer,
            action,
            iat: now.as_second(),
            exp: after(now, LIFETIME).as_second(),
            offline_exp: bearer.certificate_expires_at.as_second(),
        })
    }
}
