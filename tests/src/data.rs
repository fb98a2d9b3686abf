//! Test data: as random as it gets, and the same for the same seed.

use std::{fs, io::Write, path::Path};

/// So many bytes from this seed.
#[must_use]
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    reader(seed).fill(&mut out);
    out
}

/// Writes so many bytes from this seed into a file; returns their BLAKE3 hash in hex.
///
/// # Panics
/// When the file cannot be written.
pub fn file(path: &Path, seed: u64, length: u64) -> String {
    let mut out = fs::File::create(path).expect("a test file");
    let mut reader = reader(seed);
    let mut hasher = blake3::Hasher::new();
    let mut left = length;
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let run = left.min(buffer.len() as u64) as usize;
        reader.fill(&mut buffer[..run]);
        hasher.update(&buffer[..run]);
        out.write_all(&buffer[..run]).expect("test data");
        left -= run as u64;
    }
    hasher.finalize().to_string()
}

/// The BLAKE3 hash of a file in hex.
///
/// # Panics
/// When the file cannot be read.
#[must_use]
pub fn hash_of(path: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut file = fs::File::open(path).expect("a file to hash");
    std::io::copy(&mut file, &mut hasher).expect("a file to hash");
    hasher.finalize().to_string()
}

fn reader(seed: u64) -> blake3::OutputReader {
    blake3::Hasher::new()
        .update(b"p2p test data")
        .update(&seed.to_le_bytes())
        .finalize_xof()
}
