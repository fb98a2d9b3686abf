//! Tokens: nothing counts that the directory did not sign, and what it signed is read back as it was.
//!
//! The first byte of an input says what is made of the rest: a token as it stands, a grant that is signed, a signed token
//! that is changed, or a token of any header and claims that is signed all the same.

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use p2p_proto::{
    ContentHash, PeerId,
    grant::{Action, BadGrant, Expected, Grant, GrantKey, LEEWAY_SECONDS, MAX_TOKEN, SigningKey, Verifier},
};
use ring::signature::Ed25519KeyPair;
use uuid::Uuid;

use super::input::Input;

struct Keys {
    signer: SigningKey,
    /// The signer's key, for what it would not sign.
    raw: Ed25519KeyPair,
    stranger: SigningKey,
    verifier: Verifier,
}

/// New ones in each process: no input can hold a signature of theirs.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let der = SigningKey::generate_pkcs8().expect("random bytes");
    let signer = SigningKey::from_pkcs8(&der).expect("a key");
    let other = SigningKey::generate_pkcs8().expect("random bytes");
    Keys {
        raw: Ed25519KeyPair::from_pkcs8(&der).expect("a key"),
        stranger: SigningKey::from_pkcs8(&other).expect("a key"),
        verifier: Verifier::new(&[signer.public()]),
        signer,
    }
});

/// One input.
///
/// # Panics
/// When a token is accepted that should not be, or the other way round.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => as_it_stands(input),
        1 => signed(input),
        2 => changed(input),
        _ => signed_nonsense(input),
    }
}

/// A grant of the input's making.
fn grant(input: &mut Input<'_>) -> Grant {
    let small = |byte: u8| i64::from(byte as i8);
    // Near the edges of what an i64 holds, or near now.
    let time = |input: &mut Input<'_>| match input.byte() % 4 {
        0 => i64::from_le_bytes(input.array()),
        1 => i64::MAX - small(input.byte()).abs(),
        2 => i64::MIN + small(input.byte()).abs(),
        _ => NOW + small(input.byte()),
    };
    Grant {
        cluster: Uuid::from_u128(input.byte().into()),
        publication: Uuid::from_bytes(input.array()),
        hash: ContentHash::from(input.array()),
        peer: peer(input.byte()),
        action: action(input.byte()),
        iat: time(input),
        exp: time(input),
        offline_exp: time(input),
    }
}

const NOW: i64 = 1_800_000_000;

fn action(byte: u8) -> Action {
    if byte.is_multiple_of(2) {
        Action::Read
    } else {
        Action::Replicate
    }
}

fn peer(byte: u8) -> PeerId {
    PeerId::from([byte % 2; 32])
}

fn expected(input: &mut Input<'_>) -> Expected {
    let flags = input.byte();
    Expected {
        cluster: Uuid::from_u128(u128::from(flags & 1)),
        peer: peer(flags >> 1),
        action: action(flags >> 2),
        now: NOW + i64::from(input.byte() as i8),
        directory_away: flags & 8 != 0,
    }
}

/// What expects just this grant, at a time when it counts.
fn fitting(grant: &Grant) -> Expected {
    Expected {
        cluster: grant.cluster,
        peer: grant.peer,
        action: grant.action,
        now: grant.iat,
        directory_away: false,
    }
}

fn as_it_stands(mut input: Input<'_>) {
    let expected = expected(&mut input);
    let text = String::from_utf8_lossy(input.rest());
    let refused = KEYS.verifier.verify(&text, &expected);
    assert!(refused.is_err(), "nobody signed {text:?}");
}

/// Says no exactly when the grant does not fit, and else gives back what was signed.
fn signed(mut input: Input<'_>) {
    let (expected, grant) = (expected(&mut input), grant(&mut input));
    let token = KEYS.signer.sign(&grant);
    assert!(token.len() <= MAX_TOKEN);
    let verified = KEYS.verifier.verify(&token, &expected);
    assert_eq!(verified, model(&grant, &expected), "{expected:?}");
    let strange = KEYS.stranger.sign(&grant);
    assert_eq!(
        KEYS.verifier.verify(&strange, &expected),
        Err(BadGrant::UnknownKey)
    );
    // The stranger's key under the signer's name.
    let forged = GrantKey {
        kid: KEYS.signer.public().kid,
        ..KEYS.stranger.public()
    };
    let refused = Verifier::new(&[forged]).verify(&token, &expected);
    assert_eq!(refused, Err(BadGrant::BadSignature));
}

fn model(grant: &Grant, expected: &Expected) -> Result<Grant, BadGrant> {
    if grant.cluster != expected.cluster {
        return Err(BadGrant::OtherCluster);
    }
    if grant.peer != expected.peer {
        return Err(BadGrant::OtherPeer);
    }
    if grant.action != expected.action {
        return Err(BadGrant::OtherAction);
    }
    let wide = |time: i64| i128::from(time);
    let leeway = wide(LEEWAY_SECONDS);
    let end = match expected.directory_away {
        true => wide(grant.exp).max(wide(grant.offline_exp)),
        false => wide(grant.exp),
    };
    let now = wide(expected.now);
    if wide(grant.iat) - leeway <= now && now <= end + leeway {
        Ok(grant.clone())
    } else {
        Err(BadGrant::Expired)
    }
}

/// A good token with some edits: another token is no token.
fn changed(mut input: Input<'_>) {
    let mut grant = grant(&mut input);
    (grant.exp, grant.iat) = (grant.exp.max(grant.iat), grant.iat.min(grant.exp));
    let expected = fitting(&grant);
    let token = KEYS.signer.sign(&grant);
    assert_eq!(KEYS.verifier.verify(&token, &expected).as_ref(), Ok(&grant));
    let mut bytes = token.clone().into_bytes();
    while !input.is_empty() {
        edit(&mut bytes, &mut input);
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return;
    };
    let verified = KEYS.verifier.verify(&text, &expected);
    assert_eq!(verified.is_ok(), text == token, "{text:?} of {token:?}");
}

fn edit(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let (kind, at, with) = (input.byte(), u16::from_le_bytes(input.array()), input.byte());
    let at = usize::from(at) % (bytes.len() + 1);
    match kind % 6 {
        0 if at < bytes.len() => bytes[at] = with,
        1 if at < bytes.len() => bytes[at] ^= 1 << (with % 8),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 if bytes.len() < 2 * MAX_TOKEN => bytes.insert(at, with),
        4 => bytes.truncate(at),
        // One part of it in the place of another, or once more.
        5 if bytes.len() < 2 * MAX_TOKEN => {
            let parts: Vec<Vec<u8>> = bytes.split(|b| *b == b'.').map(<[u8]>::to_vec).collect();
            let part = parts[at % parts.len()].clone();
            bytes.push(b'.');
            bytes.extend(part);
        }
        _ => {}
    }
}

/// What the key signed, and the directory would not: only our form of it counts, and only with every claim.
fn signed_nonsense(mut input: Input<'_>) {
    let mut honest = grant(&mut input);
    (honest.exp, honest.iat) = (honest.exp.max(honest.iat), honest.iat.min(honest.exp));
    let token = KEYS.signer.sign(&honest);
    let mut parts = token
        .split('.')
        .map(|part| BASE64URL_NOPAD.decode(part.as_bytes()));
    let mut part = || parts.next().expect("three parts").expect("base64");
    let (mut header, mut claims) = (part(), part());
    let which = input.byte();
    let changed = if which.is_multiple_of(2) {
        &mut claims
    } else {
        &mut header
    };
    if which & 2 == 0 {
        while !input.is_empty() {
            edit(changed, &mut input);
        }
    } else {
        *changed = input.rest().to_vec();
    }
    let signed = [&header, &claims].map(|part| BASE64URL_NOPAD.encode(part));
    let signed = signed.join(".");
    let signature = KEYS.raw.sign(signed.as_bytes());
    let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()));
    let Ok(read) = KEYS.verifier.verify(&token, &fitting(&honest)) else {
        return;
    };
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON, since it was accepted");
    let kid = KEYS.signer.public().kid;
    let only = serde_json::json!({ "alg": "EdDSA", "typ": "p2p-grant+jwt", "kid": kid });
    assert_eq!(header, only);
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON, since it was accepted");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), claims);
    let again = KEYS.signer.sign(&read);
    assert_eq!(KEYS.verifier.verify(&again, &fitting(&honest)), Ok(read));
}
