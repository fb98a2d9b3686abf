//! A grant: the directory's signed word that one peer may read or replicate one publication.
//!
//! Form: compact JWS (RFC 7515) with a fixed Ed25519 algorithm (RFC 8037) and a fixed header type, so that nothing in a
//! token chooses how it is checked. Keys are named by `kid` and are not the CA's key. Knowing a hash never suffices: a
//! holder serves a content only under a publication that the grant names.

use std::collections::HashMap;

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{hash::ContentHash, peer_id::PeerId};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 4096;

/// How far two clocks may differ, in seconds.
pub const LEEWAY_SECONDS: i64 = 60;

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "p2p-grant+jwt";

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To read the content.
    Read,
    /// To keep a copy for the owner.
    Replicate,
}

/// What a grant says. Times are seconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The directory's cluster.
    pub cluster: Uuid,
    /// The publication under which the content is read.
    pub publication: Uuid,
    /// The content.
    pub hash: ContentHash,
    /// The peer that may act: the other end of the mutual TLS connection.
    pub peer: PeerId,
    /// What it may do.
    pub action: Action,
    /// When it was signed.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// When it ends for a holder that cannot reach the directory itself.
    pub offline_exp: i64,
}

/// Why a token is no grant.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadGrant {
    /// Not a compact JWS of our one form.
    #[error("the grant is malformed")]
    Malformed,
    /// Signed by a key that this peer does not know.
    #[error("the grant is signed by an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the grant's signature is wrong")]
    BadSignature,
    /// Over, or not begun.
    #[error("the grant has expired")]
    Expired,
    /// For another cluster.
    #[error("the grant is for another cluster")]
    OtherCluster,
    /// For another peer than the one that shows it.
    #[error("the grant is for another peer")]
    OtherPeer,
    /// For another action.
    #[error("the grant is for another action")]
    OtherAction,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// A key that signs grants.
pub struct SigningKey {
    kid: String,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key as PKCS#8 DER, to be stored.
    ///
    /// # Errors
    /// When the system's random source fails.
    pub fn generate_pkcs8() -> Result<Vec<u8>, ring::error::Unspecified> {
        let rng = ring::rand::SystemRandom::new();
        Ok(Ed25519KeyPair::generate_pkcs8(&rng)?.as_ref().to_vec())
    }

    /// The key in this PKCS#8 DER.
    ///
    /// # Errors
    /// When it is not an Ed25519 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, ring::error::KeyRejected> {
        let pair = Ed25519KeyPair::from_pkcs8(der)?;
        let digest = crate::peer_id::sha256(pair.public_key().as_ref());
        let kid = BASE64URL_NOPAD.encode(&digest[..9]);
        Ok(Self { kid, pair })
    }

    /// The name and public half of this key.
    #[must_use]
    pub fn public(&self) -> GrantKey {
        GrantKey {
            kid: self.kid.clone(),
            public_key: BASE64URL_NOPAD.encode(self.pair.public_key().as_ref()),
        }
    }

    /// The grant as a token.
    #[must_use]
    pub fn sign(&self, grant: &Grant) -> String {
        let header = Header {
            alg: ALGORITHM.to_owned(),
            typ: TYPE.to_owned(),
            kid: self.kid.clone(),
        };
        let mut token = [encode(&header), encode(grant)].join(".");
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        token.push_str(&BASE64URL_NOPAD.encode(signature.as_ref()));
        token
    }
}

fn encode(value: &impl Serialize) -> String {
    // These types hold strings, numbers and ids only.
    BASE64URL_NOPAD.encode(&serde_json::to_vec(value).unwrap_or_default())
}

/// A public key that grants are checked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantKey {
    /// The key's name in a token's header.
    pub kid: String,
    /// The 32 bytes of the Ed25519 key, base64url without padding.
    pub public_key: String,
}

/// Who checks grants, and against what.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    keys: HashMap<String, Vec<u8>>,
}

/// What a grant must say to be accepted now.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The checker's own cluster.
    pub cluster: Uuid,
    /// The peer at the other end of the connection.
    pub peer: PeerId,
    /// What it asks to do.
    pub action: Action,
    /// Seconds since 1970.
    pub now: i64,
    /// The checker's own pings to the directory fail at this time: `offline_exp` counts instead of `exp`.
    pub directory_away: bool,
}

impl Verifier {
    /// A verifier that knows these keys; one that cannot be decoded is left out.
    #[must_use]
    pub fn new(keys: &[GrantKey]) -> Self {
        let keys = keys
            .iter()
            .filter_map(|key| {
                Some((
                    key.kid.clone(),
                    BASE64URL_NOPAD.decode(key.public_key.as_bytes()).ok()?,
                ))
            })
            .collect();
        Self { keys }
    }

    /// The grant in the token, when it is signed and says what is expected.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(&self, token: &str, expected: &Expected) -> Result<Grant, BadGrant> {
        if token.len() > MAX_TOKEN {
            return Err(BadGrant::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(BadGrant::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(BadGrant::Malformed)?;
        let header: Header = decode(header)?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return Err(BadGrant::Malformed);
        }
        let key = self.keys.get(&header.kid).ok_or(BadGrant::UnknownKey)?;
        let signature = BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .map_err(|_| BadGrant::Malformed)?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| BadGrant::BadSignature)?;
        let grant: Grant = decode(claims)?;
        check(&grant, expected)?;
        Ok(grant)
    }
}

fn check(grant: &Grant, expected: &Expected) -> Result<(), BadGrant> {
    if grant.cluster != expected.cluster {
        return Err(BadGrant::OtherCluster);
    }
    if grant.peer != expected.peer {
        return Err(BadGrant::OtherPeer);
    }
    if grant.action != expected.action {
        return Err(BadGrant::OtherAction);
    }
    let end = if expected.directory_away {
        grant.offline_exp.max(grant.exp)
    } else {
        grant.exp
    };
    let begun = grant.iat.saturating_sub(LEEWAY_SECONDS) <= expected.now;
    let over = end.saturating_add(LEEWAY_SECONDS) < expected.now;
    if begun && !over {
        Ok(())
    } else {
        Err(BadGrant::Expired)
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, BadGrant> {
    let json = BASE64URL_NOPAD
        .decode(part.as_bytes())
        .map_err(|_| BadGrant::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| BadGrant::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixture() -> (SigningKey, Grant, Expected) {
        let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap();
        let peer = PeerId::of_spki(b"peer");
        let cluster = Uuid::from_u128(7);
        let grant = Grant {
            cluster,
            publication: Uuid::from_u128(8),
            hash: ContentHash::of(b"content"),
            peer,
            action: Action::Read,
            iat: 1000,
            exp: 1900,
            offline_exp: 9000,
        };
        let expected = Expected {
            cluster,
            peer,
            action: Action::Read,
            now: 1000,
            directory_away: false,
        };
        (key, grant, expected)
    }

    #[test]
    fn a_good_grant_is_read_back() {
        let (key, grant, expected) = fixture();
        let verifier = Verifier::new(&[key.public()]);
        assert_eq!(verifier.verify(&key.sign(&grant), &expected), Ok(grant));
    }

    #[test]
    fn each_wrong_thing_is_refused() {
        let (key, grant, expected) = fixture();
        let verifier = Verifier::new(&[key.public()]);
        let token = key.sign(&grant);
        let refused = |change: &dyn Fn(&mut Expected)| {
            let mut other = expected;
            change(&mut other);
            verifier.verify(&token, &other).unwrap_err()
        };
        assert_eq!(
            refused(&|e| e.cluster = Uuid::from_u128(9)),
            BadGrant::OtherCluster
        );
        assert_eq!(
            refused(&|e| e.peer = PeerId::of_spki(b"other")),
            BadGrant::OtherPeer
        );
        assert_eq!(refused(&|e| e.action = Action::Replicate), BadGrant::OtherAction);
        assert_eq!(refused(&|e| e.now = 1961), BadGrant::Expired);
        assert_eq!(refused(&|e| e.now = 939), BadGrant::Expired);
        assert_eq!(
            Verifier::default().verify(&token, &expected),
            Err(BadGrant::UnknownKey)
        );
        let (other, ..) = fixture();
        let forged = GrantKey {
            kid: key.public().kid,
            ..other.public()
        };
        assert_eq!(
            Verifier::new(&[forged]).verify(&token, &expected),
            Err(BadGrant::BadSignature)
        );
    }

    #[test]
    fn leeway_and_offline_time() {
        let (key, grant, expected) = fixture();
        let verifier = Verifier::new(&[key.public()]);
        let token = key.sign(&grant);
        assert!(
            verifier
                .verify(
                    &token,
                    &Expected {
                        now: 1960,
                        ..expected
                    }
                )
                .is_ok()
        );
        let away = Expected {
            directory_away: true,
            ..expected
        };
        assert!(verifier.verify(&token, &Expected { now: 9000, ..away }).is_ok());
        assert_eq!(
            verifier.verify(&token, &Expected { now: 9061, ..away }),
            Err(BadGrant::Expired)
        );
    }

    #[test]
    fn the_header_chooses_nothing() {
        let (key, grant, expected) = fixture();
        let verifier = Verifier::new(&[key.public()]);
        for alg in ["none", "HS256", "RS256"] {
            let header = Header {
                alg: alg.into(),
                typ: TYPE.into(),
                kid: key.public().kid,
            };
            let signed = [encode(&header), encode(&grant)].join(".");
            let token = format!(
                "{signed}.{}",
                BASE64URL_NOPAD.encode(key.pair.sign(signed.as_bytes()).as_ref())
            );
            assert_eq!(verifier.verify(&token, &expected), Err(BadGrant::Malformed));
        }
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_refused(at in 0usize..400, to in 0u8..=127) {
            let (key, grant, expected) = fixture();
            let verifier = Verifier::new(&[key.public()]);
            let mut token = key.sign(&grant).into_bytes();
            let at = at % token.len();
            prop_assume!(token[at] != to);
            token[at] = to;
            prop_assert!(verifier.verify(&String::from_utf8(token).unwrap(), &expected).is_err());
        }

        #[test]
        fn garbage_is_refused(text in ".{0,200}") {
            let (key, _, expected) = fixture();
            prop_assert!(Verifier::new(&[key.public()]).verify(&text, &expected).is_err());
        }
    }
}
