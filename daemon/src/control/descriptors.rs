//! The side socket: a client sends the 16 bytes of its slot with exactly one descriptor, and reads one byte: 0 for taken.
//!
//! The daemon never opens a path that a user names; it reads and writes only what it is passed here, and only regular
//! files. Whatever else arrives is closed. A file may be one of a file system that answers nobody (FUSE, NFS): from the
//! first look on it is called and closed as [`crate::user_file`] says.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use p2p_service::{
    accept::{LocalLimits, serve_unix},
    lifecycle::Lifecycle,
    once::OncePerMinute,
};
use rustix::{
    fs::{FileType, OFlags},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags},
};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::slots::{Purpose, Slots, Token};
use crate::user_file::{Seat, UserFiles};

/// What a client may take to pass its descriptor.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often descriptors that nobody claimed are closed.
const TIDY: Duration = Duration::from_secs(5);

/// Connections. A user has 8 slots and may be filling all of them again.
const CONNECTIONS: LocalLimits = LocalLimits {
    name: "the descriptor socket",
    per_user: 16,
    total: 128,
    goodbye: b"",
};

/// The answer to a descriptor that was taken.
const TAKEN: u8 = 0;

/// The answer to one that was not.
const REFUSED: u8 = 1;

/// Takes descriptors until the daemon stops.
///
/// # Errors
/// None; the signature is that of a service task.
pub async fn serve(listener: UnixListener, slots: Arc<Slots>, lifecycle: Lifecycle) -> anyhow::Result<()> {
    let said = Arc::new(OncePerMinute::default());
    let soft = lifecycle.soft();
    let tidied = Arc::clone(&slots);
    let tidying = async {
        let mut tick = tokio::time::interval(TIDY);
        loop {
            tick.tick().await;
            tidied.tidy();
        }
    };
    let files = Arc::new(UserFiles::default());
    let serving = serve_unix(listener, CONNECTIONS, soft.clone(), |stream, uid, place| {
        let (slots, said, soft) = (Arc::clone(&slots), Arc::clone(&said), soft.clone());
        let files = Arc::clone(&files);
        async move {
            let _place = place;
            let taking = timeout(PATIENCE, take(stream, uid, &files, slots));
            let why = tokio::select! {
                taken = taking => match taken {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error,
                    Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
                },
                () = soft.cancelled() => return,
            };
            if said.may_say(uid) {
                tracing::info!("user {uid} passed no file: {why}");
            }
        }
    });
    tokio::select! {
        () = serving => {}
        () = tidying => {}
    }
    Ok(())
}

async fn take(mut stream: UnixStream, uid: u32, files: &UserFiles, slots: Arc<Slots>) -> io::Result<()> {
    let Some(seat) = files.seat(uid) else {
        let _ = stream.write_all(&[REFUSED]).await;
        return Err(io::Error::other("too many of its files are open here"));
    };
    let received = stream.async_io(Interest::READABLE, || receive(&stream)).await?;
    if received.bytes == 0 && received.files.is_empty() {
        // It only looked, and left.
        return Ok(());
    }
    // On its own: a file that hangs is not closed here when the client's time is over.
    let judging = tokio::spawn(async move {
        let turn = seat.turn().await;
        let judging = tokio::task::spawn_blocking(move || {
            let judged = judge(received, uid, seat, &slots);
            drop(turn);
            judged
        });
        judging.await.map_err(io::Error::other)?
    });
    let taken = judging.await.map_err(io::Error::other)?;
    let answer = if taken.is_ok() { TAKEN } else { REFUSED };
    // Who did not wait for the answer does not get it.
    let _ = stream.write_all(&[answer]).await;
    taken
}

/// Blocks for as long as the file does.
fn judge(received: Received, uid: u32, seat: Seat, slots: &Slots) -> io::Result<()> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let (token, mut files) = (received.token, received.files);
    let whole = received.bytes == token.len() && !received.cut;
    let Some(file) = files.pop().filter(|_| whole && files.is_empty()) else {
        return refused("not a slot and one file");
    };
    let Some(purpose) = slots.purpose(&token, uid) else {
        return refused("it has no such slot");
    };
    if !is_fit(&file, purpose) {
        return refused("the file is not regular, or not open in the right way");
    }
    match slots.fill(&token, uid, seat.take(file)) {
        Ok(()) => Ok(()),
        Err(_) => refused("its slot is filled or over"),
    }
}

/// One message.
struct Received {
    token: Token,
    bytes: usize,
    files: Vec<OwnedFd>,
    /// There were more files than room for them.
    cut: bool,
}

fn receive(stream: &UnixStream) -> io::Result<Received> {
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
    let files: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        })
        .flatten()
        .collect();
    Ok(Received {
        token,
        bytes: received.bytes,
        files,
        cut: received.flags.contains(ReturnFlags::CTRUNC),
    })
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

    async fn pass(files: &[OwnedFd], token: &[u8], slots: &Arc<Slots>) -> io::Result<()> {
        let (client, server) = UnixStream::pair()?;
        let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        rustix::net::sendmsg(&client, &[IoSlice::new(token)], &mut control, SendFlags::empty())?;
        // Refusals are answered too.
        let _ = take(server, uid(), &UserFiles::default(), Arc::clone(slots)).await;
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
        let slots = Arc::new(Slots::default());
        let token = slots.open(uid(), Purpose::Read).unwrap();
        pass(&[opened(OpenOptions::new().read(true))], &token, &slots)
            .await
            .unwrap();
        assert!(slots.claim(&token, uid(), Purpose::Read).is_ok());
    }

    #[tokio::test]
    async fn a_passed_file_counts_against_its_user_until_it_is_closed() {
        let (slots, files) = (Arc::new(Slots::default()), UserFiles::default());
        let mut seats: Vec<_> = std::iter::from_fn(|| files.seat(7)).collect();
        assert!(files.seat(8).is_some());
        let token = slots.open(7, Purpose::Read).unwrap();
        let received = Received {
            token,
            bytes: token.len(),
            files: vec![opened(OpenOptions::new().read(true))],
            cut: false,
        };
        judge(received, 7, seats.pop().unwrap(), &slots).unwrap();
        let file = slots.claim(&token, 7, Purpose::Read).unwrap();
        assert!(files.seat(7).is_none(), "claimed is not closed");
        drop(file);
        while files.seat(7).is_none() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_has_too_many_files_open_is_refused() {
        let (slots, files) = (Arc::new(Slots::default()), UserFiles::default());
        let seats: Vec<_> = std::iter::from_fn(|| files.seat(uid())).collect();
        let (client, server) = UnixStream::pair().unwrap();
        assert!(take(server, uid(), &files, slots).await.is_err());
        let mut answer = [9];
        client.readable().await.unwrap();
        client.try_read(&mut answer).unwrap();
        assert_eq!(answer, [REFUSED]);
        drop(seats);
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let slots = Arc::new(Slots::default());
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
        let slots = Arc::new(Slots::default());
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
