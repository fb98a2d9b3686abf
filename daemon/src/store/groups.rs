//! A bitmap: which groups of a content are there. Plain data, kept by its owner.

use super::layer::GROUP;

/// One bit per group of 256 KiB; an empty content counts as one group.
pub(super) struct Groups {
    size: u64,
    bits: Vec<u64>,
    missing: u64,
}

impl Groups {
    /// None of a content of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        let groups = size.div_ceil(GROUP).max(1);
        Self {
            size,
            bits: vec![0; groups.div_ceil(64) as usize],
            missing: groups,
        }
    }

    /// How many are not there.
    pub(super) const fn missing(&self) -> u64 {
        self.missing
    }

    /// The groups that these bytes touch; none when they go past the end.
    fn touched(&self, offset: u64, len: u64) -> Option<std::ops::Range<u64>> {
        let end = offset.checked_add(len).filter(|&end| end <= self.size)?;
        Some(offset / GROUP..end.div_ceil(GROUP).max(u64::from(self.size == 0)))
    }

    /// These groups are there: `offset` at a group's begin, `len` whole groups or up to the end.
    pub(super) fn add(&mut self, offset: u64, len: u64) {
        for group in self.touched(offset, len).into_iter().flatten() {
            let (word, bit) = (&mut self.bits[(group / 64) as usize], 1 << (group % 64));
            if *word & bit == 0 {
                *word |= bit;
                self.missing -= 1;
            }
        }
    }

    /// Whether all these bytes are in groups that are there.
    pub(super) fn has(&self, offset: u64, len: u64) -> bool {
        self.touched(offset, len).is_some_and(|mut groups| {
            groups.all(|group| self.bits[(group / 64) as usize] & (1 << (group % 64)) != 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_missing() {
        let mut groups = Groups::new(70 * GROUP + 1);
        assert_eq!(groups.missing(), 71);
        groups.add(GROUP, 2 * GROUP);
        groups.add(2 * GROUP, 2 * GROUP);
        assert_eq!(groups.missing(), 68);
        assert!(groups.has(GROUP + 5, 3 * GROUP - 5));
        assert!(!groups.has(GROUP - 1, 2));
        assert!(!groups.has(4 * GROUP - 1, 2));
        groups.add(70 * GROUP, 1);
        assert!(groups.has(70 * GROUP, 1));
        assert!(!groups.has(70 * GROUP, 2), "past the end");
        assert_eq!(groups.missing(), 67);
    }

    #[test]
    fn an_empty_content_is_one_group() {
        let mut groups = Groups::new(0);
        assert_eq!(groups.missing(), 1);
        assert!(!groups.has(0, 0));
        groups.add(0, 0);
        assert_eq!(groups.missing(), 0);
        assert!(groups.has(0, 0));
    }
}
