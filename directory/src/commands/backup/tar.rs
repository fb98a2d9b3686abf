//! An archive in the `ustar` format of POSIX.1-1988, as `tar` reads it: for each file a header of 512 bytes and its bytes,
//! filled up to a multiple of 512, and two empty blocks at the end. Sizes that need more than 11 octal digits are written as
//! GNU tar does it.

use std::{
    fs::File,
    io::{self, Read, Write},
    time::{SystemTime, UNIX_EPOCH},
};

const BLOCK: usize = 512;

/// The largest size in 11 octal digits, in bytes.
const MAX_OCTAL: u64 = (1 << 33) - 1;

/// Whose the files are.
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) user: String,
    pub(super) group: String,
}

/// An archive that is written.
pub(super) struct Archive<W> {
    out: W,
    owner: Owner,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W, owner: Owner) -> Self {
        Self { out, owner }
    }

    /// Adds a file of this name, as it is now.
    pub(super) fn add(&mut self, name: &str, mode: u32, file: &mut File) -> io::Result<()> {
        let metadata = file.metadata()?;
        let size = metadata.len();
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let mtime = modified
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.out.write_all(&self.header(name, mode, size, mtime))?;
        let copied = io::copy(&mut file.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::Error::other(format!(
                "{name} became shorter while it was read"
            )));
        }
        let rest = (size % BLOCK as u64) as usize;
        if rest > 0 {
            self.out.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }

    /// Ends the archive; what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&self, name: &str, mode: u32, size: u64, mtime: u64) -> [u8; BLOCK] {
        let mut header = [0; BLOCK];
        put(&mut header[..100], name.as_bytes());
        octal(&mut header[100..108], mode.into());
        octal(&mut header[108..116], self.owner.uid.into());
        octal(&mut header[116..124], self.owner.gid.into());
        if size <= MAX_OCTAL {
            octal(&mut header[124..136], size);
        } else {
            header[124] = 0x80;
            header[128..136].copy_from_slice(&size.to_be_bytes());
        }
        octal(&mut header[136..148], mtime);
        header[156] = b'0';
        put(&mut header[257..265], b"ustar\x0000");
        put(&mut header[265..296], self.owner.user.as_bytes());
        put(&mut header[297..328], self.owner.group.as_bytes());
        // The sum is made with its own field full of spaces.
        header[148..156].fill(b' ');
        let sum = header.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut header[148..155], sum);
        header
    }
}

/// As much of the text as there is room for.
fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Octal digits and a zero byte; what does not fit is as much as does.
fn octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let most = (1_u64 << (3 * digits)) - 1;
    put(field, format!("{:0digits$o}", number.min(most)).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let sizes = [0_usize, 1, 511, 512, 513, 100_000];
        let owner = Owner {
            uid: 1234,
            gid: 4321,
            user: "somebody".to_owned(),
            group: "some-group".to_owned(),
        };
        let mut archive = Archive::new(Vec::new(), owner);
        for size in sizes {
            let path = folder.path().join("in");
            std::fs::write(&path, vec![7; size]).unwrap();
            archive
                .add(&format!("file-{size}"), 0o640, &mut File::open(&path).unwrap())
                .unwrap();
        }
        let written = archive.finish().unwrap();
        assert_eq!(written.len() % BLOCK, 0);
        let file = folder.path().join("x.tar");
        std::fs::write(&file, written).unwrap();
        let listed = Command::new("tar").arg("-tvf").arg(&file).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(listed.lines().count(), sizes.len());
        for (line, size) in listed.lines().zip(sizes) {
            assert!(line.starts_with("-rw-r----- somebody/some-group"), "{line}");
            assert!(line.ends_with(&format!("file-{size}")), "{line}");
        }
        let out = Command::new("tar")
            .args(["--no-same-owner", "-xf"])
            .arg(&file)
            .arg("-C")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
        for size in sizes {
            let read = std::fs::read(folder.path().join(format!("file-{size}"))).unwrap();
            assert_eq!(read, vec![7; size]);
        }
    }

    #[test]
    fn large_numbers_fit() {
        let owner = Owner {
            uid: u32::MAX,
            gid: 0,
            user: "x".repeat(100),
            group: String::new(),
        };
        let header = Archive::new(Vec::new(), owner).header("x", 0o600, 1 << 40, 0);
        assert_eq!(header[124], 0x80);
        assert_eq!(header[128..136], (1_u64 << 40).to_be_bytes());
        assert_eq!(&header[108..116], b"7777777\0");
    }
}
