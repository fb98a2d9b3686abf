//! Where every choice comes from: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
//! 2014). Owns its state; the same seed and point draw the same.

/// A stream of choices.
pub(super) struct Draws(u64);

impl Draws {
    /// The stream of one point.
    pub(super) fn of_point(seed: u64, point: u32) -> Self {
        let mut seeds = Self(seed);
        let own = seeds.next() ^ u64::from(point).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Self(own)
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0. The bias of the remainder does not matter here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// From 0 up to but without 1.
    pub(super) fn share(&mut self) -> f64 {
        self.next() as f64 / 2_f64.powi(64)
    }

    /// True once in so many.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_draws_the_same_again_and_another_one_something_else() {
        let of = |seed, point| {
            let mut draws = Draws::of_point(seed, point);
            [draws.next(), draws.next(), draws.next()]
        };
        assert_eq!(of(3, 17), of(3, 17));
        assert_ne!(of(3, 17), of(3, 18));
        assert_ne!(of(3, 17), of(4, 17));
    }

    #[test]
    fn shares_fill_the_whole_range() {
        let mut draws = Draws::of_point(1, 1);
        let mut bins = [0; 10];
        for _ in 0..10_000 {
            let share = draws.share();
            assert!((0.0..1.0).contains(&share));
            bins[(share * 10.0) as usize] += 1;
        }
        assert!(bins.iter().all(|bin| (800..1200).contains(bin)), "{bins:?}");
    }
}
