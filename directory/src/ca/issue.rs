//! Certifying a peer's key. Of a signing request only the key counts, and the signature that proves who has it; every
//! name, purpose and constraint that it asks for is ignored.

use jiff::Timestamp;
use p2p_proto::{PeerId, PeerIdentity};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use uuid::Uuid;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use super::{CaError, authority::Authority, set_validity};

/// The largest request that is looked at, in bytes of PEM.
pub const MAX_CSR: usize = 16 * 1024;

/// Why a signing request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCsr {
    /// Not a request in PEM.
    #[error("csr is not a certificate signing request in PEM")]
    Malformed,
    /// It does not prove that its sender has the key.
    #[error("the csr's signature is wrong")]
    BadSignature,
    /// Not one of the two kinds of key.
    #[error("a peer's key is ECDSA P-256 or Ed25519")]
    OtherKey,
}

/// A peer's public key whose owner has proved to have the private one.
pub struct ProvenKey {
    key: SubjectPublicKeyInfo,
    peer: PeerId,
}

impl ProvenKey {
    /// The key of the request.
    ///
    /// # Errors
    /// When it is no request, its signature is wrong, or the key is of another kind.
    pub fn from_csr(pem: &str) -> Result<Self, BadCsr> {
        if pem.len() > MAX_CSR {
            return Err(BadCsr::Malformed);
        }
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| BadCsr::Malformed)?;
        if !matches!(
            block.label.as_str(),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"
        ) {
            return Err(BadCsr::Malformed);
        }
        let (rest, csr) =
            X509CertificationRequest::from_der(&block.contents).map_err(|_| BadCsr::Malformed)?;
        if !rest.is_empty() {
            return Err(BadCsr::Malformed);
        }
        let spki = csr.certification_request_info.subject_pki.raw;
        let key = SubjectPublicKeyInfo::from_der(spki).map_err(|_| BadCsr::OtherKey)?;
        let fit = [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519].contains(&key.algorithm());
        // The certificate will hold the key as we write it: it must be the very bytes that the id is made of.
        if !fit || key.subject_public_key_info() != spki {
            return Err(BadCsr::OtherKey);
        }
        csr.verify_signature().map_err(|_| BadCsr::BadSignature)?;
        Ok(Self {
            peer: PeerId::of_spki(spki),
            key,
        })
    }

    /// The id of the key.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

/// A peer's certificate.
pub struct PeerCertificate {
    /// In PEM.
    pub pem: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Authority {
    /// Certifies that the key is that of a peer of this account. It ends at `until`, or with the CA.
    ///
    /// # Errors
    /// When the CA has ended.
    pub fn certify(
        &self,
        key: &ProvenKey,
        cluster: Uuid,
        user: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<PeerCertificate, CaError> {
        let expires_at = whole_second(until.min(self.not_after()));
        if expires_at <= now {
            return Err(CaError::Ended(self.not_after()));
        }
        let mut params = CertificateParams::default();
        set_validity(&mut params, now, expires_at)?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, key.peer.to_string());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let identity = PeerIdentity {
            cluster,
            user,
            peer: key.peer,
        };
        params.subject_alt_names = vec![
            SanType::URI(identity.to_string().try_into()?),
            SanType::DnsName(key.peer.dns_name().try_into()?),
        ];
        let pem = params.signed_by(&key.key, self.issuer())?.pem();
        Ok(PeerCertificate { pem, expires_at })
    }
}

/// Certificates know no parts of a second.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, KeyPair};
    use x509_parser::extensions::GeneralName;

    use super::*;
    use crate::clock::after;

    fn authority() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        Authority::load_or_create(folder.path(), Timestamp::now()).unwrap()
    }

    fn greedy_csr(key: &KeyPair) -> String {
        let mut params = CertificateParams::new(["dir.lab".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "root");
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn only_the_key_of_a_request_counts() {
        let pair = KeyPair::generate().unwrap();
        let key = ProvenKey::from_csr(&greedy_csr(&pair)).unwrap();
        assert_eq!(key.peer(), PeerId::of_spki(&pair.subject_public_key_info()));
        let (cluster, user, now) = (Uuid::new_v4(), Uuid::new_v4(), Timestamp::now());
        let until = after(now, Duration::from_secs(3600));
        let certificate = authority().certify(&key, cluster, user, now, until).unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(certificate.pem.as_bytes()).unwrap();
        let x509 = block.parse_x509().unwrap();
        assert!(!x509.is_ca());
        assert!(!x509.key_usage().unwrap().unwrap().value.key_cert_sign());
        let names = &x509
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names;
        let uri = PeerIdentity {
            cluster,
            user,
            peer: key.peer(),
        }
        .to_string();
        let dns = key.peer().dns_name();
        assert_eq!(
            names.as_slice(),
            [GeneralName::URI(&uri), GeneralName::DNSName(&dns)]
        );
        let common_name = x509
            .subject()
            .iter_common_name()
            .next()
            .unwrap()
            .as_str()
            .unwrap();
        assert_eq!(common_name, key.peer().to_string());
        let usage = x509.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && usage.server_auth && !usage.any);
        assert_eq!(x509.validity().not_before.timestamp(), now.as_second() - 300);
        assert_eq!(x509.validity().not_after.timestamp(), until.as_second());
    }

    #[test]
    fn both_kinds_of_key_are_certified_and_no_other() {
        for (algorithm, good) in [
            (&PKCS_ECDSA_P256_SHA256, true),
            (&PKCS_ED25519, true),
            (&rcgen::PKCS_ECDSA_P384_SHA384, false),
        ] {
            let csr = greedy_csr(&KeyPair::generate_for(algorithm).unwrap());
            let found = ProvenKey::from_csr(&csr).err();
            assert_eq!(found, (!good).then_some(BadCsr::OtherKey), "{algorithm:?}");
        }
    }

    #[test]
    fn a_broken_signature_is_refused() {
        let csr = greedy_csr(&KeyPair::generate().unwrap());
        let (_, block) = x509_parser::pem::parse_x509_pem(csr.as_bytes()).unwrap();
        let mut der = block.contents;
        *der.last_mut().unwrap() ^= 1;
        let body = data_encoding::BASE64.encode(&der);
        let broken =
            format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
        assert_eq!(ProvenKey::from_csr(&broken).err(), Some(BadCsr::BadSignature));
        assert_eq!(ProvenKey::from_csr("").err(), Some(BadCsr::Malformed));
        assert_eq!(
            ProvenKey::from_csr(&authority().pem_for_test()).err(),
            Some(BadCsr::Malformed)
        );
    }

    impl Authority {
        fn pem_for_test(&self) -> String {
            self.bundle().to_owned()
        }
    }

    #[test]
    fn no_certificate_outlives_the_ca() {
        let authority = authority();
        let key = ProvenKey::from_csr(&greedy_csr(&KeyPair::generate().unwrap())).unwrap();
        let now = Timestamp::now();
        let (cluster, user) = (Uuid::new_v4(), Uuid::new_v4());
        let certificate = authority
            .certify(&key, cluster, user, now, Timestamp::MAX)
            .unwrap();
        assert_eq!(certificate.expires_at, authority.not_after());
        let late = after(authority.not_after(), Duration::from_secs(1));
        assert!(matches!(
            authority.certify(&key, cluster, user, late, late),
            Err(CaError::Ended(_))
        ));
    }
}
