//! Certificates and grants that nobody should take, and the directory's own keys to make the rest.

use std::{fs, sync::Arc};

use jiff::Timestamp;
use p2p_daemon::identity::certificate::certificates;
use p2p_proto::{
    PeerIdentity,
    grant::{Action, Grant, SigningKey},
    rest::publications::Publication,
};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    version::TLS13,
};

use crate::Directory;

/// A certificate and its key.
pub type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// TLS that trusts this CA, shows this certificate or none, and offers these protocols.
///
/// # Panics
/// When the parts do not fit.
#[must_use]
pub fn tls(ca: &str, identity: Option<Identity>, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca).expect("a CA") {
        roots.add(certificate).expect("a CA");
    }
    let builder = ClientConfig::builder_with_provider(p2p_service::tls::crypto_provider())
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![certificate], key)
            .expect("a certificate that fits its key"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// A certificate for a new key that names this peer, as the CA of this name would make it, signed with `signer`, valid
/// until the end of that year.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn certificate(ca: &str, signer: KeyPair, named: &Named, last_year: i32) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let named = match named {
        Named::ItsOwnKey(like) => PeerIdentity {
            peer: p2p_proto::PeerId::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&key)),
            ..*like
        },
        Named::Another(other) => *other,
    };
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, named.peer.to_string());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year, 12, 31);
    params.subject_alt_names = vec![
        SanType::URI(named.to_string().try_into().expect("a URI")),
        SanType::DnsName(named.peer.dns_name().try_into().expect("a DNS name")),
    ];
    let issuer = Issuer::from_ca_cert_pem(ca, signer).expect("a CA");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    (certificate.der().clone(), key)
}

/// Whom a certificate names.
pub enum Named {
    /// The peer with the certificate's key, of this cluster and account.
    ItsOwnKey(PeerIdentity),
    /// Exactly this peer, whose key it is not.
    Another(PeerIdentity),
}

/// The directory's CA key.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn ca_key(directory: &Directory) -> KeyPair {
    let pem = fs::read_to_string(directory.state().join("ca.key")).expect("the CA's key");
    KeyPair::from_pem(&pem).expect("a key")
}

/// The directory's grant key.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn grant_key(directory: &Directory) -> SigningKey {
    let der = fs::read(directory.state().join("grant.key")).expect("the grant key");
    SigningKey::from_pkcs8(&der).expect("a key")
}

/// A grant key that no directory has.
///
/// # Panics
/// When the system has no randomness.
#[must_use]
pub fn own_key() -> SigningKey {
    let der = SigningKey::generate_pkcs8().expect("randomness");
    SigningKey::from_pkcs8(&der).expect("a key")
}

/// What the directory would grant this peer now.
#[must_use]
pub fn grant(to: PeerIdentity, publication: &Publication) -> Grant {
    let now = Timestamp::now().as_second();
    Grant {
        cluster: to.cluster,
        publication: publication.id,
        hash: publication.hash,
        peer: to.peer,
        action: Action::Read,
        iat: now,
        exp: now + 900,
        offline_exp: now + 9000,
    }
}
