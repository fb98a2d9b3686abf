//! The mathematics of the layer, against BLAKE3 over the whole.

use proptest::prelude::*;

use super::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One byte around every threshold.
const SIZES: [usize; 20] = [
    0,
    1,
    16 * KIB - 1,
    16 * KIB,
    16 * KIB + 1,
    256 * KIB - 1,
    256 * KIB,
    256 * KIB + 1,
    512 * KIB - 1,
    512 * KIB,
    512 * KIB + 1,
    768 * KIB - 1,
    768 * KIB,
    768 * KIB + 1,
    MIB - 1,
    MIB,
    MIB + 1,
    2 * MIB + 256 * KIB,
    2 * MIB + 256 * KIB + 1,
    5 * MIB + 7,
];

/// Bytes that look random, the same for the same seed.
pub(crate) fn data(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn layer_of(bytes: &[u8]) -> Layer {
    let mut builder = LayerBuilder::new();
    builder.push(bytes);
    builder.finish()
}

#[test]
fn the_builder_is_blake3_at_every_threshold() {
    for size in SIZES {
        let bytes = data(1, size);
        let layer = layer_of(&bytes);
        assert_eq!(layer.hash(), ContentHash::from(blake3::hash(&bytes)), "{size}");
        assert_eq!(layer.size(), size as u64);
        assert_eq!(layer.values().len() as u64, Layer::group_count(size as u64));
        let again = Layer::from_values(layer.hash(), layer.size(), layer.values().to_vec());
        assert_eq!(again, Ok(layer), "{size}");
    }
}

#[test]
fn a_builder_goes_on_after_whole_groups() {
    for size in SIZES {
        let bytes = data(8, size);
        for at in (0..size).step_by(GROUP_LEN) {
            let mut first = LayerBuilder::new();
            first.push(&bytes[..at + 1]);
            assert_eq!(first.closed().len(), at / GROUP_LEN);
            let mut second = LayerBuilder::resume(first.closed().to_vec());
            assert_eq!(second.size(), at as u64);
            second.push(&bytes[at..]);
            assert_eq!(second.finish(), layer_of(&bytes), "{size} from {at}");
        }
    }
}

#[test]
fn every_aligned_run_verifies() {
    for size in SIZES {
        let bytes = data(2, size);
        let layer = layer_of(&bytes);
        assert!(layer.verify(0, &bytes), "all of {size}");
        for groups in [1, 2, 4, 5] {
            for (index, run) in bytes.chunks(groups * GROUP_LEN).enumerate() {
                assert!(
                    layer.verify((index * groups * GROUP_LEN) as u64, run),
                    "{size}, run {index} of {groups}"
                );
            }
        }
    }
}

#[test]
fn the_empty_content_is_no_bytes_at_the_begin() {
    let layer = layer_of(b"");
    assert!(layer.verify(0, b""));
    assert!(!layer.verify(1, b""));
    assert!(!layer.verify(0, b"x"));
    let other = Layer::from_values(ContentHash::of(b"x"), 0, Vec::new()).unwrap();
    assert!(!other.verify(0, b""), "no bytes are not the content x");
}

#[test]
fn counts_are_checked_before_anything_is_merged() {
    let layer = layer_of(&data(3, 3 * GROUP_LEN));
    let values = layer.values().to_vec();
    for (size, expected) in [
        (0, 0),
        (GROUP, 0),
        (2 * GROUP, 2),
        (3 * GROUP + 1, 4),
        (u64::MAX, 1 << 46),
    ] {
        let found = Layer::from_values(layer.hash(), size, values.clone());
        assert_eq!(found, Err(BadLayer::Count { expected, found: 3 }), "{size}");
    }
}

#[test]
fn the_last_piece_proves_the_size() {
    let bytes = data(4, 2 * GROUP_LEN + 100);
    let values = layer_of(&bytes).values().to_vec();
    let hash = ContentHash::of(&bytes);
    // The same number of groups, another size: the layer alone cannot tell, the last group's bytes can.
    for size in [2 * GROUP + 99, 2 * GROUP + 101, 3 * GROUP] {
        let layer = Layer::from_values(hash, size, values.clone()).unwrap();
        let mut last = bytes[2 * GROUP_LEN..].to_vec();
        assert!(
            !layer.verify(2 * GROUP, &last),
            "{size}: the true bytes do not reach its end"
        );
        last.resize((size - 2 * GROUP) as usize, 0);
        assert!(
            !layer.verify(2 * GROUP, &last),
            "{size}: other bytes are not the content's"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_builder_does_not_care_how_bytes_come(
        size in prop_oneof![0..3 * MIB, (1..8_usize).prop_map(|n| n * GROUP_LEN)],
        runs in prop::collection::vec(1..400 * KIB, 1..20),
    ) {
        let bytes = data(5, size);
        let mut builder = LayerBuilder::new();
        let (mut rest, mut turn) = (&bytes[..], 0);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(runs[turn % runs.len()].min(rest.len()));
            builder.push(now);
            (rest, turn) = (later, turn + 1);
        }
        prop_assert_eq!(builder.size(), size as u64);
        let layer = builder.finish();
        prop_assert_eq!(layer.hash(), ContentHash::of(&bytes));
        prop_assert_eq!(layer, layer_of(&bytes));
    }

    #[test]
    fn only_the_true_values_merge_to_the_hash(
        groups in 2..9_usize, tail in 1..=GROUP_LEN, at in any::<prop::sample::Index>(), bit in 0..256_usize,
    ) {
        let layer = layer_of(&data(6, (groups - 1) * GROUP_LEN + tail));
        let mut values = layer.values().to_vec();
        let index = at.index(values.len());
        values[index][bit / 8] ^= 1 << (bit % 8);
        let flipped = Layer::from_values(layer.hash(), layer.size(), values);
        prop_assert_eq!(flipped, Err(BadLayer::Root));
        let mut values = layer.values().to_vec();
        values.rotate_left(1);
        let turned = Layer::from_values(layer.hash(), layer.size(), values);
        prop_assert_eq!(turned, Err(BadLayer::Root));
    }

    #[test]
    fn no_flipped_byte_wrong_offset_or_wrong_length_verifies(
        size in 1..2 * MIB, first in any::<prop::sample::Index>(), count in 1..4_usize,
        at in any::<prop::sample::Index>(), bit in 0..8_u8, shift in 1..1000_usize,
    ) {
        let bytes = data(7, size);
        let layer = layer_of(&bytes);
        let groups = size.div_ceil(GROUP_LEN);
        let begin = first.index(groups) * GROUP_LEN;
        let end = match layer.values().len() {
            0 => size,
            _ => (begin + count * GROUP_LEN).min(size),
        };
        let piece = &bytes[begin..end];
        prop_assert!(layer.verify(begin as u64, piece));
        let mut flipped = piece.to_vec();
        let index = at.index(flipped.len());
        flipped[index] ^= 1 << bit;
        prop_assert!(!layer.verify(begin as u64, &flipped));
        prop_assert!(!layer.verify((begin + shift) as u64, piece), "unaligned");
        prop_assert!(!layer.verify((begin + GROUP_LEN) as u64, piece), "another group");
        prop_assert!(!layer.verify(u64::MAX, piece));
        prop_assert!(!layer.verify(begin as u64, &piece[..piece.len() - 1]), "short");
        let mut long = piece.to_vec();
        long.push(0);
        prop_assert!(!layer.verify(begin as u64, &long), "long");
    }
}
