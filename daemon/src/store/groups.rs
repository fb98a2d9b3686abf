//! A bitmap: which groups of a content are there. Plain data, kept by its owner.

use super::layer::GROUP;

/// One bit per group of 256 KiB; an empty content counts as one group.
#[derive(Clone)]
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

    /// As [`Groups::to_bytes`] wrote them; None for what it never wrote for a content of `size` bytes.
    pub(super) fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let mut groups = Self::new(size);
        let count = groups.missing;
        if bytes.len() as u64 != count.div_ceil(8) {
            return None;
        }
        for (word, run) in groups.bits.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..run.len()].copy_from_slice(run);
            *word = u64::from_le_bytes(whole);
        }
        // No bit past the last group.
        if !count.is_multiple_of(64) && groups.bits.last().is_some_and(|&last| last >> (count % 64) != 0) {
            return None;
        }
        let there: u64 = groups.bits.iter().map(|word| u64::from(word.count_ones())).sum();
        groups.missing = count - there;
        Some(groups)
    }

    /// A bit per group, the lowest of a byte first.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let count = self.size.div_ceil(GROUP).max(1);
        let mut bytes: Vec<u8> = self.bits.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(count.div_ceil(8) as usize);
        bytes
    }

    /// Bytes of the content that are in groups that are there.
    pub(super) fn bytes(&self) -> u64 {
        let count = self.size.div_ceil(GROUP).max(1);
        let last_len = self.size - (count - 1) * GROUP;
        let there = count - self.missing;
        let last = count - 1;
        match self.bits[(last / 64) as usize] & (1 << (last % 64)) {
            0 => there * GROUP,
            _ => (there - 1) * GROUP + last_len,
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

    #[test]
    fn comes_back_as_it_was_written() {
        for size in [
            0,
            1,
            GROUP,
            7 * GROUP + 1,
            8 * GROUP,
            64 * GROUP,
            64 * GROUP + 1,
            130 * GROUP,
        ] {
            let count = size.div_ceil(GROUP).max(1);
            let mut groups = Groups::new(size);
            assert_eq!(groups.bytes(), 0);
            for group in (0..count).step_by(3) {
                groups.add(group * GROUP, GROUP.min(size - group * GROUP));
            }
            let bytes = groups.to_bytes();
            let again = Groups::from_bytes(size, &bytes).unwrap();
            assert_eq!(
                (again.missing(), again.bytes()),
                (groups.missing(), groups.bytes())
            );
            assert_eq!(again.to_bytes(), bytes);
            assert!(Groups::from_bytes(size, &[&bytes[..], &[0]].concat()).is_none());
            assert!(Groups::from_bytes(size, &bytes[1..]).is_none());
            if !count.is_multiple_of(8) {
                let mut beyond = bytes.clone();
                *beyond.last_mut().unwrap() |= 0x80;
                assert!(Groups::from_bytes(size, &beyond).is_none(), "{size}");
            }
            groups.add(0, size);
            assert_eq!((groups.missing(), groups.bytes()), (0, size));
        }
    }
}
