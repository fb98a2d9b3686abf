//! The index of what a peer holds, and the digest by which two sides see that they agree on it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// How much of a content a peer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoldState {
    /// Some verified pieces.
    Partial,
    /// All of it, verified and durable.
    Complete,
}

/// One hold: this peer has (a part of) the content of this publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The publication.
    pub publication: Uuid,
    /// How much.
    pub state: HoldState,
}

/// The digest of a set of holds: the XOR of BLAKE3 over each entry's canonical form, so that adding and removing one
/// entry is one XOR and the order does not matter. The canonical form is the 16 bytes of the publication's UUID and one
/// byte, 1 for partial and 2 for complete.
///
/// It finds accidents, not forgeries: a peer can only misreport what itself holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IndexDigest([u8; 32]);

impl IndexDigest {
    /// The digest of these holds.
    pub fn of<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> Self {
        let mut digest = Self::default();
        for hold in holds {
            digest.toggle(hold);
        }
        digest
    }

    /// Adds the entry, or removes it when it was in.
    pub fn toggle(&mut self, hold: &Hold) {
        let mut canonical = [0; 17];
        canonical[..16].copy_from_slice(hold.publication.as_bytes());
        canonical[16] = match hold.state {
            HoldState::Partial => 1,
            HoldState::Complete => 2,
        };
        for (byte, other) in self.0.iter_mut().zip(blake3::hash(&canonical).as_bytes()) {
            *byte ^= other;
        }
    }
}

/// The text is not 64 lower-case hex digits.
#[derive(Debug, thiserror::Error)]
#[error("an index digest is 64 lower-case hex digits")]
pub struct BadDigest;

impl TryFrom<String> for IndexDigest {
    type Error = BadDigest;

    fn try_from(text: String) -> Result<Self, BadDigest> {
        crate::hash::decode_hex32(&text).map(Self).ok_or(BadDigest)
    }
}

impl From<IndexDigest> for String {
    fn from(digest: IndexDigest) -> Self {
        data_encoding::HEXLOWER.encode(&digest.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hold(id: u128, state: HoldState) -> Hold {
        Hold {
            publication: Uuid::from_u128(id),
            state,
        }
    }

    /// `printf '…\x02' | b3sum` of the canonical forms; another implementation must print the same.
    #[test]
    fn test_vectors() {
        assert_eq!(String::from(IndexDigest::default()), "0".repeat(64));
        let one = IndexDigest::of(&[hold(1, HoldState::Complete)]);
        let mut canonical = [0; 17];
        canonical[15] = 1;
        canonical[16] = 2;
        assert_eq!(String::from(one), blake3::hash(&canonical).to_string());
        assert_eq!(
            String::from(one),
            "c4c001656447a136ef2897524a10288c63dcd8805744f7aa5b72566c85747f21"
        );
        let two = IndexDigest::of(&[hold(1, HoldState::Complete), hold(2, HoldState::Partial)]);
        assert_eq!(
            String::from(two),
            "d889a01b3ac537b71c93e51566afaaaeb3e86cf912f23943e907fe336954ad16"
        );
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_toggling_undoes(ids in proptest::collection::vec(any::<u128>(), 0..20)) {
            let holds: Vec<_> = ids.iter().map(|id| hold(*id, HoldState::Complete)).collect();
            let mut digest = IndexDigest::of(holds.iter().rev());
            prop_assert_eq!(digest, IndexDigest::of(&holds));
            for hold in &holds {
                digest.toggle(hold);
            }
            prop_assert_eq!(digest, IndexDigest::default());
        }
    }
}
