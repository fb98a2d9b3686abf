//! The CA: `ca.key` and `ca.pem` in the state folder, made once. The key is written before the certificate, so that a
//! crash between the two loses nothing: the certificate is made anew from the key. It signs with path length 0: whom it
//! certifies can certify nobody.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use p2p_proto::peer_id::ca_fingerprint;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{CaError, keyfile, set_validity};
use crate::clock::after;

/// How long the CA lives: ten years.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    not_after: Timestamp,
    fingerprint: String,
}

impl Authority {
    /// The CA in this folder.
    ///
    /// # Errors
    /// When its files cannot be read, or are something else. `Ok(None)` when there is none.
    pub fn load(folder: &Path) -> Result<Option<Self>, CaError> {
        let key_file = folder.join("ca.key");
        let certificate_file = folder.join("ca.pem");
        let pem = keyfile::read_text(&certificate_file)?;
        let key = keyfile::read_text(&key_file)?;
        match (key, pem) {
            (Some(key), Some(pem)) => {
                let damaged = |path: &Path, what: String| CaError::Damaged {
                    path: path.to_owned(),
                    what,
                };
                let key = KeyPair::from_pem(&key).map_err(|error| damaged(&key_file, error.to_string()))?;
                Self::from_parts(key, &pem)
                    .map(Some)
                    .map_err(|what| damaged(&certificate_file, what))
            }
            (None, Some(_)) => Err(CaError::KeyMissing(key_file)),
            (_, None) => Ok(None),
        }
    }

    /// The CA in this folder; makes it when there is none.
    ///
    /// # Errors
    /// As [`Authority::load`], and when its files cannot be written.
    pub fn load_or_create(folder: &Path, now: Timestamp) -> Result<Self, CaError> {
        if let Some(authority) = Self::load(folder)? {
            return Ok(authority);
        }
        let key_file = folder.join("ca.key");
        let key = match keyfile::read_text(&key_file)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(|error| CaError::Damaged {
                path: key_file,
                what: error.to_string(),
            })?,
            None => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                let pem = Zeroizing::new(key.serialize_pem());
                keyfile::write(&key_file, pem.as_bytes(), 0o600)?;
                key
            }
        };
        let pem = certificate(&key, now)?;
        let certificate_file = folder.join("ca.pem");
        keyfile::write(&certificate_file, pem.as_bytes(), 0o644)?;
        Self::from_parts(key, &pem).map_err(|what| CaError::Damaged {
            path: certificate_file,
            what,
        })
    }

    fn from_parts(key: KeyPair, pem: &str) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| text(&e))?;
        let certificate = block.parse_x509().map_err(|e| text(&e))?;
        let spki = key.subject_public_key_info();
        if certificate.public_key().raw != spki {
            return Err("this certificate is not that of ca.key".to_owned());
        }
        if !certificate.is_ca() {
            return Err("not a CA's certificate".to_owned());
        }
        let not_after = certificate.validity().not_after.timestamp();
        let not_after = Timestamp::from_second(not_after).map_err(|e| text(&e))?;
        let der = CertificateDer::from(block.contents);
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&der, key).map_err(|e| text(&e))?,
            pem: pem.to_owned(),
            der,
            not_after,
            fingerprint: ca_fingerprint(&spki),
        })
    }

    /// `sha256:` and the SHA-256 of its SubjectPublicKeyInfo.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The bundle that others trust, in PEM.
    #[must_use]
    pub fn bundle(&self) -> &str {
        &self.pem
    }

    /// Its certificate.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// When its certificate ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

/// The fingerprint of the CA in this folder, from its certificate alone; `None` when there is none.
///
/// # Errors
/// When the certificate cannot be read.
pub fn stored_fingerprint(folder: &Path) -> Result<Option<String>, CaError> {
    let path = folder.join("ca.pem");
    let Some(pem) = keyfile::read(&path)? else {
        return Ok(None);
    };
    let damaged = || CaError::Damaged {
        path: path.clone(),
        what: "not a certificate in PEM".to_owned(),
    };
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).map_err(|_| damaged())?;
    let certificate = block.parse_x509().map_err(|_| damaged())?;
    Ok(Some(ca_fingerprint(certificate.public_key().raw)))
}

fn certificate(key: &KeyPair, now: Timestamp) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, after(now, LIFETIME))?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "p2p-directory CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_lives_ten_years() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Authority::load(folder.path()).unwrap().is_none());
        let now = Timestamp::now();
        let first = Authority::load_or_create(folder.path(), now).unwrap();
        let second = Authority::load_or_create(folder.path(), now).unwrap();
        assert_eq!(first.bundle(), second.bundle());
        let (_, x509) = x509_parser::parse_x509_certificate(first.der()).unwrap();
        assert_eq!(
            x509.basic_constraints()
                .unwrap()
                .unwrap()
                .value
                .path_len_constraint,
            Some(0)
        );
        assert_eq!(x509.validity().not_before.timestamp(), now.as_second() - 300);
        assert_eq!(first.not_after().as_second(), now.as_second() + 3650 * 24 * 3600);
        assert_eq!(first.fingerprint(), ca_fingerprint(x509.public_key().raw));
        assert_eq!(
            stored_fingerprint(folder.path()).unwrap().as_deref(),
            Some(first.fingerprint())
        );
    }

    #[test]
    fn a_crash_between_key_and_certificate_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(folder.path(), Timestamp::now()).unwrap();
        std::fs::remove_file(folder.path().join("ca.pem")).unwrap();
        let second = Authority::load_or_create(folder.path(), Timestamp::now()).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
    }

    #[test]
    fn a_lost_or_foreign_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        Authority::load_or_create(folder.path(), Timestamp::now()).unwrap();
        Authority::load_or_create(other.path(), Timestamp::now()).unwrap();
        std::fs::copy(other.path().join("ca.key"), folder.path().join("ca.key")).unwrap();
        assert!(matches!(
            Authority::load(folder.path()),
            Err(CaError::Damaged { .. })
        ));
        std::fs::remove_file(folder.path().join("ca.key")).unwrap();
        assert!(matches!(
            Authority::load(folder.path()),
            Err(CaError::KeyMissing(_))
        ));
    }
}
