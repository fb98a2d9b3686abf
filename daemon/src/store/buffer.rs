//! A buffer for bulk bytes: 1 MiB that begins at a multiple of 64. The allocator hands out large blocks at odd
//! addresses, and the kernel copies into those at a fraction of the speed.

/// Bytes of a [`Buffer`]: a whole number of groups.
pub const BUFFER_LEN: usize = 1 << 20;

const ALIGN: usize = 64;

/// [`BUFFER_LEN`] bytes, aligned; made once and reused.
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffer {
    /// Zeros.
    #[must_use]
    pub fn new() -> Self {
        let memory = vec![0; BUFFER_LEN + ALIGN];
        // `align_offset` may give up; the buffer is then only slower.
        let start = match memory.as_ptr().align_offset(ALIGN) {
            start if start < ALIGN => start,
            _ => 0,
        };
        Self { memory, start }
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..][..BUFFER_LEN]
    }

    /// All of it, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..BUFFER_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_and_whole() {
        let mut buffer = Buffer::new();
        assert_eq!(buffer.bytes().as_ptr() as usize % ALIGN, 0);
        assert_eq!(buffer.bytes().len(), BUFFER_LEN);
        assert_eq!(buffer.bytes_mut().len(), BUFFER_LEN);
    }
}
