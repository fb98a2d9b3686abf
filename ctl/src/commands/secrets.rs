//! Passwords, as `login` and `passwd` get them: typed without being shown, or read. They live in memory that is wiped.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use p2p_proto::{Failure, FailureKind};
use zeroize::Zeroizing;

use crate::{
    ask::{Terminal, Wanted},
    context::Context,
    exit::{Stop, io_failure},
};

const MAX_PASSWORD: u64 = 4 << 10;

/// Asks without showing the answer.
pub(super) async fn typed(
    ctx: &Context,
    terminal: &mut Terminal,
    question: &str,
) -> Result<Zeroizing<String>, Failure> {
    match terminal.ask(ctx, question, Wanted::Secret).await? {
        Some(text) => checked(text.as_bytes()),
        None => Err(Failure::new(FailureKind::Interrupted, "Interrupted")),
    }
}

/// Everything that is on stdin.
pub(super) async fn stdin(ctx: &Context) -> Result<Zeroizing<Vec<u8>>, Stop> {
    let read = tokio::task::spawn_blocking(|| read_all(io::stdin().lock(), MAX_PASSWORD));
    let bytes = ctx.guard(async {
        let read = read.await.unwrap_or_else(|error| Err(error.into()));
        read.map_err(|error| io_failure("stdin", &error))
    });
    bytes.await
}

/// Everything that is in a file.
pub(super) fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    bounded(path, MAX_PASSWORD)
}

/// A file of at most so many bytes.
pub(super) fn bounded(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error| io_failure(&path.display().to_string(), &error);
    read_all(File::open(path).map_err(failed)?, most).map_err(failed)
}

fn read_all(input: impl Read, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it, so that no half copy of a secret stays behind in the heap.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most as usize + 1));
    input.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("more than {most} bytes")));
    }
    Ok(bytes)
}

/// The password in these bytes, without one line end.
pub(super) fn checked(bytes: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok("") => Err(Failure::new(FailureKind::Usage, "the password is empty")),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Failure::new(FailureKind::Usage, "the password is not UTF-8")),
    }
}

/// There is nobody to ask for this.
pub(super) fn missing(what: &str, flag: &str) -> Failure {
    let message = format!("{what} needed, and there is no terminal to ask on");
    Failure::new(FailureKind::Usage, message).hint(format!("Use {flag}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_belongs_to_the_input_not_to_the_password() {
        for (bytes, password) in [
            (&b"plum"[..], "plum"),
            (b"plum\n", "plum"),
            (b"plum\r\n", "plum"),
            (b"plum\n\n", "plum\n"),
            (b" plum ", " plum "),
        ] {
            assert_eq!(checked(bytes).unwrap().as_str(), password);
        }
        for bad in [&b""[..], b"\n", b"\xff"] {
            assert_eq!(checked(bad).unwrap_err().kind, FailureKind::Usage);
        }
        assert!(read_all(&[b'x'; 5][..], 4).is_err());
        assert_eq!(read_all(&b"four"[..], 4).unwrap().as_slice(), b"four");
    }
}
