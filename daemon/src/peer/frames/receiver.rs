//! The reader's side: one connection to one holder, for one content. It hands out bytes as they came; whoever takes
//! them verifies them.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

use super::codec::{BadFrame, Frame, HEADER_LEN, Range, Reason};
use crate::{
    store::Buffer,
    transfer::progress::{FEW, Heard},
};

/// A holder that sends nothing for so long, or next to nothing, is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Why no piece came.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The connection broke, or was silent for too long.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The holder said no.
    #[error(transparent)]
    Refused(#[from] Reason),
    /// The holder sent something else than it was asked for.
    #[error("the holder sent what was not asked for")]
    Nonsense,
    /// Not our protocol.
    #[error(transparent)]
    Frame(#[from] BadFrame),
}

/// An open content at a holder.
pub struct Receiver<S> {
    stream: S,
    next_request: u32,
    heard: Heard,
    took: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// Opens the content of this grant. `heard` is told of every byte that comes.
    ///
    /// # Errors
    /// When the holder refuses, or says another size than the publication's.
    pub async fn open(stream: S, grant: &str, size: u64, heard: Heard) -> Result<Self, ReceiveError> {
        let mut receiver = Self {
            stream,
            next_request: 1,
            heard,
            took: Duration::ZERO,
        };
        receiver.reopen(grant, size).await?;
        Ok(receiver)
    }

    /// Shows a fresh grant for the same content. Nothing may be outstanding.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn reopen(&mut self, grant: &str, size: u64) -> Result<(), ReceiveError> {
        let length = u32::try_from(grant.len()).map_err(|_| BadFrame)?;
        let writing = async {
            self.stream.write_all(&Frame::Open { length }.encode()).await?;
            self.stream.write_all(grant.as_bytes()).await?;
            self.stream.flush().await
        };
        timeout(SILENCE, writing).await.map_err(|_| silent(0))??;
        match self.header().await? {
            Frame::Opened { size: theirs } if theirs == size => {
                self.heard.now();
                Ok(())
            }
            Frame::Refused { request: 0, reason } => Err(reason.into()),
            _ => Err(ReceiveError::Nonsense),
        }
    }

    /// Asks for a piece; the answers come in the order of the requests.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn request(&mut self, offset: u64, length: u32) -> Result<Range, ReceiveError> {
        let range = Range {
            request: self.next_request,
            offset,
            length,
        };
        self.next_request = self.next_request.checked_add(1).unwrap_or(1);
        let writing = async {
            self.stream.write_all(&Frame::Read(range).encode()).await?;
            self.stream.flush().await
        };
        timeout(SILENCE, writing).await.map_err(|_| silent(0))??;
        Ok(range)
    }

    /// Receives the piece that was asked for first, into the front of `buffer`.
    ///
    /// # Errors
    /// A broken connection, a refusal, or an answer to something else.
    pub async fn piece<'a>(
        &mut self,
        asked: &Range,
        buffer: &'a mut Buffer,
    ) -> Result<&'a [u8], ReceiveError> {
        let bytes = &mut buffer.bytes_mut()[..asked.length as usize];
        self.part(asked, 0, bytes).await?;
        Ok(bytes)
    }

    /// The same in parts: fills `bytes` with what comes after the first `so_far` bytes of it.
    ///
    /// # Errors
    /// As [`Self::piece`].
    pub async fn part(&mut self, asked: &Range, so_far: u32, bytes: &mut [u8]) -> Result<(), ReceiveError> {
        if so_far == 0 {
            match self.header().await? {
                Frame::Piece(sent) if sent == *asked => {}
                Frame::Refused { request, reason } if request == asked.request => return Err(reason.into()),
                _ => return Err(ReceiveError::Nonsense),
            }
        }
        let begun = Instant::now();
        self.fill(bytes).await?;
        self.heard.now();
        self.took = begun.elapsed();
        Ok(())
    }

    /// How long the last bytes took, without the wait for their header: no matter of how far away the holder is.
    #[must_use]
    pub const fn took(&self) -> Duration {
        self.took
    }

    async fn header(&mut self) -> Result<Frame, ReceiveError> {
        let mut header = [0; HEADER_LEN];
        self.fill(&mut header).await?;
        Ok(Frame::decode(&header)?)
    }

    /// Fills the whole run; each silence within it is bounded, and [`FEW`] bytes do not end one.
    async fn fill(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        let (mut end, mut few) = (Instant::now() + SILENCE, 0);
        while !bytes.is_empty() {
            let read = timeout_at(end, self.stream.read(bytes))
                .await
                .map_err(|_| silent(few))??;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.heard.bytes(read as u64);
            few += read as u64;
            if few >= FEW {
                (end, few) = (Instant::now() + SILENCE, 0);
            }
            bytes = &mut bytes[read..];
        }
        Ok(())
    }
}

/// Who was given up for sending so few bytes.
fn silent(few: u64) -> io::Error {
    let time = SILENCE.as_secs();
    let said = match few {
        0 => format!("gave nothing for {time} s"),
        few => format!("gave {few} bytes in {time} s"),
    };
    io::Error::new(io::ErrorKind::TimedOut, said)
}
