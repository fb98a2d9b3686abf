//! First contact with a directory: its CA is fetched, compared with what the person expects, and only then trusted.
//! Until the comparison holds, nothing is sent but `GET /api/v1/ca`.

use std::time::Duration;

use p2p_proto::{Failure, FailureKind};
use rustls::pki_types::CertificateDer;

use super::{certificate, directory_url::DirectoryUrl};

/// The largest CA bundle that is read, in bytes.
const MAX_BUNDLE: usize = 64 * 1024;

const TIMEOUT: Duration = Duration::from_secs(10);

/// How the caller of a login trusts the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Exactly the CA with this fingerprint, `sha256:` and 64 hex digits.
    Fingerprint(String),
    /// The CAs in this PEM text.
    Pem(String),
    /// The CA that was pinned before for this URL.
    Pinned,
    /// Whatever the directory shows now.
    FirstUse,
}

/// A CA that was compared and is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedCa {
    /// One or more certificates in PEM.
    pub pem: String,
    /// Of the first one.
    pub fingerprint: String,
}

impl TrustedCa {
    /// All of this text is trusted.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn of_pem(pem: String) -> Result<Self, certificate::CertificateError> {
        let bundle = certificate::certificates(&pem)?;
        let fingerprint = certificate::fingerprint(&bundle[0])?;
        Ok(Self { pem, fingerprint })
    }
}

/// Reads the CA bundle that the directory shows, trusting nobody.
///
/// # Errors
/// `Unreachable`, or `Internal` when the answer is no bundle.
pub async fn probe(url: &DirectoryUrl) -> Result<Vec<TrustedCa>, Failure> {
    let host = url.host();
    let away = |error: &dyn std::fmt::Display| {
        Failure::new(
            FailureKind::Unreachable,
            format!("{host} cannot be reached: {error}"),
        )
    };
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .tls_version_min(reqwest::tls::Version::TLS_1_3)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| away(&error))?;
    let request = client.get(format!("{}{}/ca", url.as_str(), p2p_proto::rest::PREFIX));
    let response = request
        .send()
        .await
        .map_err(|error| away(&crate::directory::client::root_cause(&error)))?;
    let strange = |what: &str| {
        Failure::new(
            FailureKind::Unreachable,
            format!("{host} is no p2p-directory: {what}"),
        )
    };
    if !response.status().is_success() {
        return Err(strange(&response.status().to_string()));
    }
    let body = crate::directory::client::bounded_body(response, MAX_BUNDLE)
        .await
        .map_err(|error| away(&error))?;
    let text = String::from_utf8(body).map_err(|_| strange("its CA is no text"))?;
    let bundle = certificate::certificates(&text).map_err(|error| strange(&error.to_string()))?;
    bundle
        .iter()
        .map(|ca| one(ca).map_err(|error| strange(&error.to_string())))
        .collect()
}

fn one(ca: &CertificateDer<'_>) -> Result<TrustedCa, certificate::CertificateError> {
    Ok(TrustedCa {
        pem: to_pem(ca),
        fingerprint: certificate::fingerprint(ca)?,
    })
}

fn to_pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The CA to trust from now on, compared with what the caller expects.
///
/// # Errors
/// `IdentityMismatch` when the directory shows another one; nothing but the request for the CA was sent then.
pub async fn establish(
    url: &DirectoryUrl,
    trust: &Trust,
    pinned: Option<&TrustedCa>,
) -> Result<TrustedCa, Failure> {
    match trust {
        Trust::Pem(pem) => {
            let bad =
                |error: certificate::CertificateError| Failure::new(FailureKind::Usage, error.to_string());
            TrustedCa::of_pem(pem.clone()).map_err(bad)
        }
        Trust::Fingerprint(expected) => expect(url, expected).await,
        Trust::Pinned => {
            let expected = pinned.ok_or_else(|| {
                Failure::new(
                    FailureKind::Usage,
                    format!("{} was not trusted before", url.host()),
                )
                .hint("Use --ca-fingerprint, --ca-file or --trust-on-first-use")
            })?;
            expect(url, &expected.fingerprint).await
        }
        Trust::FirstUse => {
            let mut shown = probe(url).await?;
            Ok(shown.swap_remove(0))
        }
    }
}

async fn expect(url: &DirectoryUrl, expected: &str) -> Result<TrustedCa, Failure> {
    let expected = expected.to_ascii_lowercase();
    let mut shown = probe(url).await?;
    if let Some(found) = shown.iter().position(|ca| ca.fingerprint == expected) {
        return Ok(shown.swap_remove(found));
    }
    let first = &shown[0].fingerprint;
    let message = format!(
        "{} shows CA {first}, expected {expected}. Nothing was sent.",
        url.host()
    );
    Err(Failure::new(FailureKind::IdentityMismatch, message))
}
