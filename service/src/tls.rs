//! The one crypto provider: ring, TLS 1.3 only, AES-128-GCM first. Owns nothing.

use std::sync::Arc;

use rustls::crypto::{
    CryptoProvider,
    ring::{self, cipher_suite},
};

/// ring with the TLS 1.3 suites, the fastest first.
#[must_use]
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(provider())
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..ring::default_provider()
    }
}

/// Makes it the provider of the whole process. The first thing in `main`; harmless when it is there already.
pub fn install_crypto_provider() {
    // An error means that one is installed already, and there is only this one.
    let _ = provider().install_default();
}
