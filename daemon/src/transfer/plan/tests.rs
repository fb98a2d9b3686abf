//! A plan without sources: who asks for what, who owes it, what counts.

use proptest::prelude::*;

use super::*;

const MIB: u32 = 1 << 20;

fn empty(size: u64) -> Plan {
    Plan::new(size, MIB, |_, _| false)
}

#[test]
fn what_is_owed_for_too_long_is_asked_of_another() {
    let plan = empty(4 * u64::from(MIB));
    let start = Instant::now();
    let owed = [plan.take_at(1, start).unwrap(), plan.take_at(1, start).unwrap()];
    // In time: the next missing ones.
    assert_eq!(plan.take_at(2, start + OVERDUE / 2).unwrap().index, 1);
    let late = start + OVERDUE;
    assert_eq!(plan.take_at(2, late), Some(owed[1]), "the first in order");
    assert_eq!(plan.take_at(2, late), Some(owed[0]));
    assert_eq!(plan.take_at(2, late).unwrap().index, 2, "asked again just now");
    assert!(plan.written(&owed[0], |_, _| {}));
    plan.give_back(1, &owed[1]);
    assert_eq!(
        plan.take_at(3, late + OVERDUE).unwrap().index,
        0,
        "the second owes it too"
    );
}

#[test]
fn a_source_without_work_hears_when_two_others_owe_a_piece_for_too_long() {
    let plan = empty(MIB.into());
    let start = Instant::now();
    let piece = plan.take_at(1, start).unwrap();
    let later = start + OVERDUE / 2;
    assert_eq!(plan.take_at(2, later), Some(piece));
    assert_eq!(plan.take_at(3, later), None);
    assert_eq!(plan.next_overdue(3), Some(later + OVERDUE));
    assert_eq!(plan.next_overdue(2), None, "its own");
    assert_eq!(plan.take_at(3, later + OVERDUE), Some(piece));
    assert_eq!(plan.next_overdue(4), Some(later + 2 * OVERDUE));
}

#[tokio::test]
async fn a_source_without_work_gets_what_others_owe() {
    let plan = empty(MIB.into());
    let almost = Instant::now() - OVERDUE + Duration::from_millis(200);
    let piece = plan.take_at(1, almost).unwrap();
    assert_eq!(plan.take_at(2, almost), Some(piece));
    assert_eq!(plan.take(3), None);
    assert_eq!(plan.work_for(3).await, Some(piece));
    assert!(plan.written(&piece, |_, _| {}));
    assert_eq!(plan.work_for(4).await, None);
}

#[test]
fn what_is_here_is_not_asked_for() {
    let here = |offset, _| offset != u64::from(MIB);
    let plan = Plan::new(3 * u64::from(MIB) + 7, MIB, here);
    assert_eq!(
        (plan.done(), plan.frontier()),
        (2 * u64::from(MIB) + 7, MIB.into())
    );
    let piece = plan.take(1).unwrap();
    assert_eq!((piece.index, plan.take(1)), (1, None));
    assert!(plan.written(&piece, |_, frontier| assert_eq!(frontier, 3 * u64::from(MIB) + 7)));
    assert!(plan.is_complete());
    assert_eq!(plan.done(), 3 * u64::from(MIB) + 7);
}

#[test]
fn the_last_piece_first_then_in_order() {
    let plan = empty(3 * u64::from(MIB) + 7);
    let taken: Vec<_> = std::iter::from_fn(|| plan.take(1))
        .map(|p| (p.offset >> 20, p.length))
        .collect();
    assert_eq!(taken, [(3, 7), (0, MIB), (1, MIB), (2, MIB)]);
}

#[test]
fn what_is_given_back_is_taken_again() {
    let plan = empty(4 * u64::from(MIB));
    let pieces: Vec<_> = std::iter::from_fn(|| plan.take(1)).collect();
    plan.give_back(1, &pieces[1]);
    assert_eq!(plan.take(2), Some(pieces[1]));
}

#[test]
fn the_end_is_asked_for_twice_but_never_thrice() {
    let plan = empty(MIB.into());
    let piece = plan.take(1).unwrap();
    assert_eq!(plan.take(1), None);
    assert_eq!(plan.take(2), Some(piece));
    assert_eq!(plan.take(3), None);
    plan.give_back(1, &piece);
    assert_eq!(plan.take(3), Some(piece));
    assert!(plan.written(&piece, |_, _| {}));
    assert!(!plan.written(&piece, |_, _| unreachable!()));
    plan.give_back(2, &piece);
    assert!(plan.is_complete());
}

#[test]
fn of_what_is_here_in_part_only_the_rest_is_asked_for() {
    let here = |offset, length| offset + length <= u64::from(MIB) + 3 * GROUP;
    let plan = Plan::new(2 * u64::from(MIB) + 7, MIB, here);
    assert_eq!(plan.done(), u64::from(MIB) + 3 * GROUP);
    let [last, second] = [plan.take(1).unwrap(), plan.take(1).unwrap()];
    assert_eq!(plan.missing_from(&last), last.offset);
    assert_eq!(plan.missing_from(&second), second.offset + 3 * GROUP);
    assert!(plan.written(&second, |new, _| assert_eq!(new, GROUP)));
    assert!(plan.written(&last, |new, _| assert_eq!(new, 7)));
    assert_eq!(plan.done(), 2 * u64::from(MIB) + 7);
}

#[test]
fn what_comes_in_parts_is_counted_once_and_not_owed_for_too_long() {
    let plan = empty(2 * u64::from(MIB));
    let start = Instant::now().checked_sub(OVERDUE).unwrap();
    let piece = plan.take_at(1, start).unwrap();
    let mut counted = Vec::new();
    plan.came(1, &piece, piece.offset + 10, |new| counted.push(new));
    plan.came(2, &piece, piece.offset + 7, |new| counted.push(new));
    plan.came(2, &piece, piece.offset + 30, |new| counted.push(new));
    assert_ne!(plan.take(2), Some(piece), "it brings it");
    plan.owes_as_of(1, start);
    assert_eq!(plan.take(3), Some(piece));
    assert!(plan.written(&piece, |new, _| counted.push(new)));
    assert_eq!(counted, [10, 20, u64::from(MIB) - 30]);
    plan.came(1, &piece, piece.offset + 40, |_| unreachable!());
}

#[test]
fn who_has_nothing_to_spare_asks_for_nothing_twice() {
    let plan = empty(MIB.into());
    let start = Instant::now();
    let piece = plan.take_at(1, start).unwrap();
    plan.spare(true);
    assert_eq!(plan.take_at(2, start), None);
    assert_eq!(plan.take_at(2, start + OVERDUE), Some(piece));
}

#[test]
fn an_empty_content_is_complete() {
    let plan = empty(0);
    assert!(plan.is_complete());
    assert_eq!((plan.take(1), plan.frontier()), (None, 0));
}

proptest! {
    /// Whatever sources do, every piece is written in the end and counted once, and the frontier never lies.
    #[test]
    fn every_piece_is_written_once(
        size in 1u64..20_000_000,
        acts in proptest::collection::vec((0u32..4, any::<bool>()), 0..200),
    ) {
        let plan = empty(size);
        let mut counted = 0;
        let mut done = std::collections::BTreeSet::new();
        let mut act = |source, brings: bool| {
            let Some(piece) = plan.take(source) else { return false };
            if brings {
                plan.written(&piece, |new, _| counted += new);
                done.insert(piece.index);
            } else {
                let part = piece.offset + u64::from(piece.length / 2);
                plan.came(source, &piece, part, |new| counted += new);
                plan.give_back(source, &piece);
            }
            let gap = (0..).find(|index| !done.contains(index)).unwrap_or(0);
            assert_eq!(plan.frontier(), (gap as u64 * u64::from(MIB)).min(size));
            true
        };
        for (source, brings) in acts {
            act(source, brings);
        }
        while act(9, true) {}
        prop_assert!(plan.is_complete());
        prop_assert_eq!((counted, plan.done()), (size, size));
    }
}
