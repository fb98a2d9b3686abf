//! What a peer's certificate says, and the TLS that is made of ours.
//!
//! Both ends show a certificate of the same CA. The chain and the DNS name are rustls' work; [`peer_identity`] then
//! compares the URI with the key. Nothing is resumed: a cached chain would outlive its revocation.

use std::{io, sync::Arc};

use p2p_proto::{DATA_ALPN, GRPC_ALPN, PeerId, PeerIdentity};
use p2p_service::tls::crypto_provider;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Why a certificate is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("a certificate cannot be read: {0}")]
    Malformed(String),
    /// It names no peer, several, or another key than its own.
    #[error("a certificate does not name the peer whose key it holds")]
    NoIdentity,
    /// It is for another cluster.
    #[error("a certificate is for another cluster")]
    OtherCluster,
    /// TLS does not take it.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No verifier can be made of the CA.
    #[error("TLS: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A verified peer, and when its certificate ends (seconds since 1970).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertifiedPeer {
    /// Who it is.
    pub identity: PeerIdentity,
    /// When its certificate ends.
    pub not_after: i64,
}

/// Certificates in PEM.
///
/// # Errors
/// When there is none, or one cannot be decoded.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let malformed = |what: String| CertificateError::Malformed(what);
    let list: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(error.to_string()))?;
    if list.is_empty() {
        Err(malformed("no certificate in the PEM text".into()))
    } else {
        Ok(list)
    }
}

/// The fingerprint of a CA certificate, as people compare it.
///
/// # Errors
/// When it cannot be decoded.
pub fn fingerprint(ca: &CertificateDer<'_>) -> Result<String, CertificateError> {
    Ok(p2p_proto::peer_id::ca_fingerprint(parse(ca)?.public_key().raw))
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
    Ok(certificate)
}

/// Who a certificate names. Its chain must have been verified before.
///
/// # Errors
/// When it names no peer or several, or another key than its own.
pub fn peer_identity(leaf: &CertificateDer<'_>) -> Result<CertifiedPeer, CertificateError> {
    let certificate = parse(leaf)?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| CertificateError::Malformed(error.to_string()))?
        .ok_or(CertificateError::NoIdentity)?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let (Some(uri), None) = (uris.next(), uris.next()) else {
        return Err(CertificateError::NoIdentity);
    };
    let identity: PeerIdentity = uri.parse().map_err(|_| CertificateError::NoIdentity)?;
    if PeerId::of_spki(certificate.public_key().raw) != identity.peer {
        return Err(CertificateError::NoIdentity);
    }
    Ok(CertifiedPeer {
        identity,
        not_after: certificate.validity().not_after.timestamp(),
    })
}

/// The TLS of one session: how this peer accepts and dials others.
#[derive(Clone)]
pub struct PeerTls {
    /// For the peer port.
    pub server: Arc<ServerConfig>,
    /// For dialling gRPC.
    pub words: Arc<ClientConfig>,
    /// For dialling `p2p-data/1`.
    pub data: Arc<ClientConfig>,
}

impl PeerTls {
    /// TLS that shows this certificate and trusts only this CA.
    ///
    /// # Errors
    /// When key, certificate and CA do not fit together.
    pub fn new(
        ca: &[CertificateDer<'static>],
        chain: &[CertificateDer<'static>],
        key: &PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let mut roots = RootCertStore::empty();
        for certificate in ca {
            roots.add(certificate.clone())?;
        }
        let roots = Arc::new(roots);
        let client = |alpn: &[u8]| -> Result<_, CertificateError> {
            let mut config = ClientConfig::builder_with_provider(crypto_provider())
                .with_protocol_versions(&[&TLS13])?
                .with_root_certificates(Arc::clone(&roots))
                .with_client_auth_cert(chain.to_vec(), key.clone_key())?;
            config.resumption = Resumption::disabled();
            config.alpn_protocols = vec![alpn.to_vec()];
            Ok(Arc::new(config))
        };
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), crypto_provider()).build()?;
        let mut server = ServerConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.to_vec(), key.clone_key())?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![DATA_ALPN.to_vec(), GRPC_ALPN.to_vec()];
        Ok(Self {
            server: Arc::new(server),
            words: client(GRPC_ALPN)?,
            data: client(DATA_ALPN)?,
        })
    }
}

/// The verified peer at the other end of a finished handshake.
///
/// # Errors
/// `InvalidData` when its certificate names no peer of this cluster.
pub fn other_end(connection: &rustls::CommonState, cluster: uuid::Uuid) -> io::Result<CertifiedPeer> {
    let refuse = |error: CertificateError| io::Error::new(io::ErrorKind::InvalidData, error);
    let leaf = connection
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or_else(|| refuse(CertificateError::NoIdentity))?;
    let peer = peer_identity(leaf).map_err(refuse)?;
    if peer.identity.cluster == cluster {
        Ok(peer)
    } else {
        Err(refuse(CertificateError::OtherCluster))
    }
}
