//! The layer of a content: one BLAKE3 chaining value per group of 256 KiB. It merges to the content's hash, and with it
//! any run of groups is checked alone, whoever sent it and in whatever order.
//!
//! The tree is the one of the BLAKE3 paper, section 2.1: the left subtree of `n` groups is the largest power of two
//! below `n`. A content of at most one group has no layer: it is checked whole, by the hash itself.
//!
//! Layers are values; [`super::metadata`] and [`super::content`] say how they are kept and read again.

use blake3::hazmat::{self, HasherExt, Mode};
use p2p_proto::ContentHash;

/// Bytes of a content under one chaining value.
pub const GROUP: u64 = 256 * 1024;

const GROUP_LEN: usize = GROUP as usize;

/// The chaining value of one group.
pub type ChainingValue = [u8; 32];

/// Why chaining values are not the layer of a content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadLayer {
    /// Too many or too few for the size.
    #[error("a content of this size has {expected} chaining values, not {found}")]
    Count {
        /// What the size asks for.
        expected: u64,
        /// What there was.
        found: u64,
    },
    /// They belong to another content, or to none.
    #[error("the chaining values do not merge to the content's hash")]
    Root,
}

/// Chaining values that are known to merge to the hash. Not yet known to be true is the size: only the last group's
/// bytes prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    hash: ContentHash,
    size: u64,
    values: Vec<ChainingValue>,
}

impl Layer {
    /// How many chaining values the layer of `size` bytes has: 0 up to one [`GROUP`].
    #[must_use]
    pub const fn group_count(size: u64) -> u64 {
        if size <= GROUP { 0 } else { size.div_ceil(GROUP) }
    }

    /// Takes the values that somebody says are this content's.
    ///
    /// # Errors
    /// When their number does not fit the size or they do not merge to the hash.
    pub fn from_values(hash: ContentHash, size: u64, values: Vec<ChainingValue>) -> Result<Self, BadLayer> {
        let (expected, found) = (Self::group_count(size), values.len() as u64);
        if expected != found {
            return Err(BadLayer::Count { expected, found });
        }
        if !values.is_empty() && root(&values) != hash {
            return Err(BadLayer::Root);
        }
        Ok(Self { hash, size, values })
    }

    /// Whether these bytes are the content's at `offset` (in bytes). True only for an offset at a group's begin and
    /// for whole groups, the last of which may be the short one at the end. Of a content of at most one [`GROUP`]
    /// there is one such run, the whole of it, also when that is no bytes at all.
    #[must_use]
    pub fn verify(&self, offset: u64, bytes: &[u8]) -> bool {
        let Some(end) = offset.checked_add(bytes.len() as u64) else {
            return false;
        };
        let to_the_end = end == self.size;
        if self.values.is_empty() {
            return offset == 0 && to_the_end && ContentHash::of(bytes) == self.hash;
        }
        let whole = offset.is_multiple_of(GROUP) && (to_the_end || end.is_multiple_of(GROUP));
        if !whole || end > self.size || bytes.is_empty() {
            return false;
        }
        let first = (offset / GROUP) as usize;
        bytes
            .chunks(GROUP_LEN)
            .zip(first..)
            .all(|(group, index)| group_value(index as u64 * GROUP, group) == self.values[index])
    }

    /// The chaining values, in order.
    #[must_use]
    pub fn values(&self) -> &[ChainingValue] {
        &self.values
    }

    /// The content they merge to.
    #[must_use]
    pub const fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// The chaining value of a group's bytes (never none) at their offset in the content.
fn group_value(offset: u64, bytes: &[u8]) -> ChainingValue {
    blake3::Hasher::new()
        .set_input_offset(offset)
        .update(bytes)
        .finalize_non_root()
}

/// Groups of the left subtree of a tree of `groups` (at least 2).
const fn left_groups(groups: usize) -> usize {
    groups.div_ceil(2).next_power_of_two()
}

/// Merges at least two values up to the root.
fn root(values: &[ChainingValue]) -> ContentHash {
    let (left, right) = values.split_at(left_groups(values.len()));
    hazmat::merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).into()
}

/// Merges one or more values to the chaining value above them; as deep as the logarithm of their number.
fn subtree(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [value] => *value,
        _ => {
            let (left, right) = values.split_at(left_groups(values.len()));
            hazmat::merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// Makes a content's layer, and with it the hash and the size, from its bytes in one pass.
#[derive(Default)]
pub struct LayerBuilder {
    /// Of the group that is being filled.
    hasher: blake3::Hasher,
    /// Bytes in that group. It stays open when full, until a byte of the next one shows that it was not the only one.
    filled: usize,
    values: Vec<ChainingValue>,
}

impl LayerBuilder {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on after these whole groups, of which more bytes are to come.
    pub(super) fn resume(values: Vec<ChainingValue>) -> Self {
        let mut hasher = blake3::Hasher::new();
        if !values.is_empty() {
            hasher.set_input_offset(values.len() as u64 * GROUP);
        }
        Self {
            hasher,
            filled: 0,
            values,
        }
    }

    /// The values of the groups that are full and followed by another byte.
    pub(super) fn closed(&self) -> &[ChainingValue] {
        &self.values
    }

    /// The next bytes, any number of them.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == GROUP_LEN {
                self.values.push(self.hasher.finalize_non_root());
                // A fresh one: `reset` does not take an input offset back.
                self.hasher = blake3::Hasher::new();
                self.hasher.set_input_offset(self.values.len() as u64 * GROUP);
                self.filled = 0;
            }
            let (now, later) = bytes.split_at(bytes.len().min(GROUP_LEN - self.filled));
            self.hasher.update(now);
            self.filled += now.len();
            bytes = later;
        }
    }

    /// Bytes pushed so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.values.len() as u64 * GROUP + self.filled as u64
    }

    /// The layer of all that was pushed.
    #[must_use]
    pub fn finish(mut self) -> Layer {
        let size = self.size();
        let hash = if self.values.is_empty() {
            self.hasher.finalize().into()
        } else {
            self.values.push(self.hasher.finalize_non_root());
            root(&self.values)
        };
        Layer {
            hash,
            size,
            values: self.values,
        }
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
pub(super) mod tests;
