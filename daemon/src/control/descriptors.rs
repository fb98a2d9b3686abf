//! The side socket: a client sends the 16 bytes of its slot with exactly one descriptor, and reads one byte: 0 for taken.
//!
//! The daemon never opens a path that a user names; it reads and writes only what it is passed here, and only regular
//! files. Whatever else arrives is closed.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use p2p_service::lifecycle::Lifecycle;
use rustix::{
    fs::{FileType, OFlags},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags},
};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};

use super::slots::{Purpose, Slots, Token};

/// What a client may take to pass its descriptor.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often descriptors that nobody claimed are closed.
const TIDY: Duration = Duration::from_secs(5);

/// Connections at once.
const CONNECTIONS: usize = 64;

/// The answer to a descriptor that was taken.
const TAKEN: u8 = 0;

/// The answer to one that was not.
const REFUSED: u8 = 1;

/// Takes descriptors until the daemon stops.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: UnixListener, slots: Arc<Slots>, lifecycle: Lifecycle) -> anyhow::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tidying = tokio::time::interval(TIDY);
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return Ok(());
        };
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("the descriptor socket cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = tidying.tick() => {
                slots.close_unclaimed();
                continue;
            }
            () = lifecycle.soft().cancelled() => return Ok(()),
        };
        let slots = Arc::clone(&slots);
        lifecycle.spawn_request(async move {
            let _place = place;
            if !matches!(timeout(PATIENCE, take(stream, &slots)).await, Ok(Ok(()))) {
                tracing::debug!("a descriptor was not passed");
            }
        });
    }
}

async fn take(mut stream: UnixStream, slots: &Slots) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (token, file) = stream.async_io(Interest::READABLE, || receive(&stream)).await?;
    let fits = slots
        .purpose(&token, uid)
        .is_some_and(|purpose| is_fit(&file, purpose));
    let taken = fits && slots.fill(&token, uid, file);
    stream.write_all(&[if taken { TAKEN } else { REFUSED }]).await
}

/// One message: a token and exactly one descriptor. More are closed with the message.
fn receive(stream: &UnixStream) -> io::Result<(Token, OwnedFd)> {
    let mut token = Token::default();
    // Room for two: a second one is seen and refused, not silently cut.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut token)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let mut files: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        })
        .flatten()
        .collect();
    let whole = received.bytes == token.len() && !received.flags.contains(ReturnFlags::CTRUNC);
    match files.pop() {
        Some(file) if whole && files.is_empty() => Ok((token, file)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A regular file, opened in a way that fits the purpose.
fn is_fit(file: &OwnedFd, purpose: Purpose) -> bool {
    let (Ok(stat), Ok(flags)) = (rustix::fs::fstat(file), rustix::fs::fcntl_getfl(file)) else {
        return false;
    };
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let mode = flags & OFlags::RWMODE;
    let opened = match purpose {
        Purpose::Read => mode == OFlags::RDONLY || mode == OFlags::RDWR,
        Purpose::Write => mode == OFlags::RDWR && !flags.contains(OFlags::APPEND) && stat.st_size == 0,
    };
    regular && opened && !flags.contains(OFlags::PATH)
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::IoSlice, os::fd::AsFd};

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

    use super::*;

    async fn pass(files: &[OwnedFd], token: &[u8], slots: &Slots) -> io::Result<()> {
        let (client, server) = UnixStream::pair()?;
        let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        rustix::net::sendmsg(&client, &[IoSlice::new(token)], &mut control, SendFlags::empty())?;
        take(server, slots).await?;
        client.readable().await?;
        let mut answer = [9];
        client.try_read(&mut answer)?;
        if answer == [TAKEN] {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    fn opened(options: &OpenOptions) -> OwnedFd {
        let file = tempfile::NamedTempFile::new().unwrap();
        options.open(file.path()).unwrap().into()
    }

    fn uid() -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[tokio::test]
    async fn one_regular_file_is_taken() {
        let slots = Slots::default();
        let token = slots.open(uid(), Purpose::Read).unwrap();
        pass(&[opened(OpenOptions::new().read(true))], &token, &slots)
            .await
            .unwrap();
        assert!(slots.claim(&token, uid(), Purpose::Read).is_ok());
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let slots = Slots::default();
        let token = slots.open(uid(), Purpose::Read).unwrap();
        let good = || opened(OpenOptions::new().read(true));
        let (pipe, _) = rustix::pipe::pipe().unwrap();
        assert!(pass(&[], &token, &slots).await.is_err());
        assert!(pass(&[good(), good()], &token, &slots).await.is_err());
        assert!(pass(&[good(), good(), good()], &token, &slots).await.is_err());
        assert!(pass(&[pipe], &token, &slots).await.is_err());
        assert!(
            pass(&[opened(OpenOptions::new().write(true))], &token, &slots)
                .await
                .is_err()
        );
        assert!(pass(&[good()], &token[..15], &slots).await.is_err());
        assert!(pass(&[good()], &Token::default(), &slots).await.is_err());
        let others = slots.open(uid() + 1, Purpose::Read).unwrap();
        assert!(pass(&[good()], &others, &slots).await.is_err());
    }

    #[tokio::test]
    async fn a_file_to_write_is_empty_and_readable() {
        let slots = Slots::default();
        let token = slots.open(uid(), Purpose::Write).unwrap();
        assert!(
            pass(&[opened(OpenOptions::new().write(true))], &token, &slots)
                .await
                .is_err()
        );
        assert!(
            pass(
                &[opened(OpenOptions::new().read(true).append(true))],
                &token,
                &slots
            )
            .await
            .is_err()
        );
        pass(
            &[opened(OpenOptions::new().read(true).write(true))],
            &token,
            &slots,
        )
        .await
        .unwrap();
    }
}
