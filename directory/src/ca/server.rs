//! The directory's own certificate: `server.key` and `server.pem` in the state folder, for the names of `[api] names`.
//! Made anew when it is missing, its names changed, or its end is near; it can always be made from the CA.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};
use zeroize::Zeroizing;

use super::{CaError, authority::Authority, keyfile, set_validity};
use crate::clock::after;

/// How long a certificate of the directory lives: 90 days.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long before its end it is made anew: 30 days.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The directory's certificate, ready to serve with.
pub struct ServerCertificate {
    /// For the accept loop.
    pub tls: Arc<ServerConfig>,
    /// When to make the next one.
    pub renew_at: Timestamp,
}

impl ServerCertificate {
    /// The stored certificate if it still serves these names, else a new one.
    ///
    /// # Errors
    /// When a file cannot be read or written, a name is none, or the CA has ended.
    pub fn load_or_issue(
        folder: &Path,
        authority: &Authority,
        names: &[String],
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let key_file = folder.join("server.key");
        let certificate_file = folder.join("server.pem");
        let key = keyfile::read_text(&key_file)?.and_then(|pem| KeyPair::from_pem(&pem).ok());
        let pem = keyfile::read_text(&certificate_file)?;
        if let (Some(key), Some(pem)) = (&key, &pem)
            && let Some((der, renew_at)) = still_good(pem, key, authority, names, now)
        {
            return Ok(Self {
                tls: server_config(der, authority, key)?,
                renew_at,
            });
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let until = after(now, LIFETIME).min(authority.not_after());
        if until <= now {
            return Err(CaError::Ended(authority.not_after()));
        }
        let certificate = issue(authority, &key, names, now, until)?;
        keyfile::write(&key_file, Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
        keyfile::write(&certificate_file, certificate.pem().as_bytes(), 0o644)?;
        let tls = server_config(certificate.der().clone(), authority, &key)?;
        Ok(Self {
            tls,
            renew_at: renewal(until),
        })
    }
}

/// When the stored certificate ends; `None` when there is none.
///
/// # Errors
/// When its file cannot be read, or is something else.
pub fn stored_end(folder: &Path) -> Result<Option<Timestamp>, CaError> {
    let path = folder.join("server.pem");
    let Some(pem) = keyfile::read_text(&path)? else {
        return Ok(None);
    };
    let end = || {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
        let not_after = block.parse_x509().ok()?.validity().not_after.timestamp();
        Timestamp::from_second(not_after).ok()
    };
    let damaged = || CaError::Damaged {
        path: path.clone(),
        what: "not a certificate in PEM".to_owned(),
    };
    end().map(Some).ok_or_else(damaged)
}

fn renewal(until: Timestamp) -> Timestamp {
    until.checked_sub(RENEW_BEFORE).unwrap_or(until)
}

fn issue(
    authority: &Authority,
    key: &KeyPair,
    names: &[String],
    now: Timestamp,
    until: Timestamp,
) -> Result<rcgen::Certificate, CaError> {
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, until)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "p2p-directory");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
    Ok(params.signed_by(key, authority.issuer())?)
}

fn san(name: &str) -> Result<SanType, CaError> {
    Ok(match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.to_owned().try_into()?),
    })
}

/// The certificate and when to renew it, if nothing calls for a new one.
fn still_good(
    pem: &str,
    key: &KeyPair,
    authority: &Authority,
    names: &[String],
    now: Timestamp,
) -> Option<(CertificateDer<'static>, Timestamp)> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, ca) = x509_parser::parse_x509_certificate(authority.der()).ok()?;
    let x509 = block.parse_x509().ok()?;
    x509.verify_signature(Some(ca.public_key())).ok()?;
    let until = Timestamp::from_second(x509.validity().not_after.timestamp()).ok()?;
    let begun = x509.validity().not_before.timestamp() <= now.as_second();
    let good = begun
        && renewal(until) > now
        && x509.public_key().raw == key.subject_public_key_info()
        && names_of(&x509)? == sorted(names.to_vec());
    good.then(|| (CertificateDer::from(block.contents.clone()), renewal(until)))
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn names_of(x509: &X509Certificate<'_>) -> Option<Vec<String>> {
    let names = x509.subject_alternative_name().ok()??.value.general_names.iter();
    let texts = names.map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    texts.collect::<Option<_>>().map(sorted)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

fn server_config(
    certificate: CertificateDer<'static>,
    authority: &Authority,
    key: &KeyPair,
) -> Result<Arc<ServerConfig>, CaError> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(p2p_service::tls::crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate, authority.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("server.pem")).unwrap()
    }

    #[test]
    fn it_is_kept_until_names_change_or_its_end_is_near() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let now = Timestamp::now();
        let authority = Authority::load_or_create(folder, now).unwrap();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let issue =
            |names: &[String], now| ServerCertificate::load_or_issue(folder, &authority, names, now).unwrap();
        issue(&names(&["dir.lab", "::1", "10.0.0.4"]), now);
        let first = pem(folder);
        issue(
            &names(&["10.0.0.4", "dir.lab", "::1"]),
            after(now, Duration::from_secs(59 * 24 * 3600)),
        );
        assert_eq!(pem(folder), first);
        issue(&names(&["dir.lab"]), now);
        let second = pem(folder);
        assert_ne!(second, first);
        let renewed = issue(
            &names(&["dir.lab"]),
            after(now, Duration::from_secs(61 * 24 * 3600)),
        );
        assert_ne!(pem(folder), second);
        assert!(renewed.renew_at > after(now, Duration::from_secs(120 * 24 * 3600)));
    }

    #[test]
    fn it_is_for_servers_only() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path(), Timestamp::now()).unwrap();
        ServerCertificate::load_or_issue(
            folder.path(),
            &authority,
            &["dir.lab".to_owned()],
            Timestamp::now(),
        )
        .unwrap();
        let pem = pem(folder.path());
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let x509 = block.parse_x509().unwrap();
        let usage = x509.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth && !x509.is_ca());
    }
}
