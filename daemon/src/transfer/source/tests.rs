//! What a source takes at once of what it asked for.

use super::*;

/// The parts that requests of these lengths for one piece come in, each with what is held after it.
fn parts(fast: bool, lengths: &[u32]) -> Vec<(u32, u32)> {
    let piece = Piece {
        index: 1,
        offset: 1 << 20,
        length: lengths.iter().sum(),
    };
    let mut asking = Asking::new();
    let mut from = piece.offset;
    for &length in lengths {
        let range = Range {
            request: 1,
            offset: from,
            length,
        };
        asking.sent(range, piece);
        from = range.end();
    }
    let mut parts = Vec::new();
    while let Some((range, piece)) = asking.asked.front().copied() {
        asking.fast = fast;
        let part = asking.part(&range, &piece);
        let end = range.offset + u64::from(asking.so_far + part);
        match end == piece.end() || end.is_multiple_of(GROUP) {
            true => asking.held = 0,
            false => asking.held += part,
        }
        asking.came(part, Duration::ZERO);
        parts.push((part, asking.held));
    }
    parts
}

#[test]
fn what_comes_is_taken_up_to_where_it_can_be_verified() {
    const KIB: u32 = 1 << 10;
    assert_eq!(parts(true, &[1024 * KIB]), [(1024 * KIB, 0)]);
    assert_eq!(
        parts(false, &[600 * KIB]),
        [(256 * KIB, 0), (256 * KIB, 0), (88 * KIB, 0)]
    );
    // A low limit that is lifted in the middle of a group.
    for fast in [true, false] {
        let small = parts(fast, &[128 * KIB, 64 * KIB, 64 * KIB, 7]);
        let held = [
            (128 * KIB, 128 * KIB),
            (64 * KIB, 192 * KIB),
            (64 * KIB, 0),
            (7, 0),
        ];
        assert_eq!(small, held);
    }
    assert_eq!(
        parts(true, &[32 * KIB, 512 * KIB, 480 * KIB]),
        [
            (32 * KIB, 32 * KIB),
            (224 * KIB, 0),
            (256 * KIB, 0),
            (32 * KIB, 32 * KIB),
            (224 * KIB, 0),
            (256 * KIB, 0)
        ]
    );
}
