//! The side socket: a client sends the 16 bytes of its slot with exactly one descriptor, and reads one byte: 0 for taken.
//!
//! The daemon never opens a path that a user names; it reads and writes only what it is passed here, and only regular
//! files. Whatever else arrives is closed. A file may be one of a file system that answers nobody (FUSE, NFS): it is asked
//! and closed on a thread that may block, and holds its user's place for as long as that lasts, so that one user cannot
//! block more threads than he has places.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use p2p_service::{
    accept::{LocalLimits, Place, serve_unix},
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

use super::slots::{Passed, Purpose, Slots, Token};

/// What a client may take to pass its descriptor.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often descriptors that nobody claimed are closed.
const TIDY: Duration = Duration::from_secs(5);

/// Connections, and files that nobody claimed yet. A user has 8 slots and may be filling all of them again.
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
            close_elsewhere(tidied.unclaimed());
        }
    };
    let serving = serve_unix(listener, CONNECTIONS, soft.clone(), |stream, uid, place| {
        let (slots, said, soft) = (Arc::clone(&slots), Arc::clone(&said), soft.clone());
        async move {
            let taking = timeout(PATIENCE, take(stream, uid, place, slots));
            let why = tokio::select! {
                taken = taking => match taken {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error,
                    Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
                },
                () = soft.cancelled() => return,
            };
            if said.may_say(uid) {
                tracing::warn!("user {uid} passed no file: {why}");
            }
        }
    });
    tokio::select! {
        () = serving => {}
        () = tidying => {}
    }
    Ok(())
}

/// Closing may block.
fn close_elsewhere(files: Vec<Passed>) {
    for file in files {
        // A thread for each: one that hangs must not keep the others open.
        drop(tokio::task::spawn_blocking(move || drop(file)));
    }
}

async fn take(mut stream: UnixStream, uid: u32, place: Place<u32>, slots: Arc<Slots>) -> io::Result<()> {
    let received = stream.async_io(Interest::READABLE, || receive(&stream)).await?;
    if received.bytes == 0 && received.files.is_empty() {
        // It only looked, and left.
        return Ok(());
    }
    let judging = tokio::task::spawn_blocking(move || judge(received, uid, place, &slots));
    let taken = judging.await.map_err(io::Error::other)?;
    let answer = if taken.is_ok() { TAKEN } else { REFUSED };
    // Who did not wait for the answer does not get it.
    let _ = stream.write_all(&[answer]).await;
    taken
}

/// Blocks for as long as the file does.
fn judge(received: Received, uid: u32, place: Place<u32>, slots: &Slots) -> io::Result<()> {
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
    let place = Some(place);
    match slots.fill(&token, uid, Passed { file, place }) {
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

    use p2p_service::accept::Gate;

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
        let place = Gate::new(1, 1).enter(uid()).unwrap();
        // Refusals are answered too.
        let _ = take(server, uid(), place, Arc::clone(slots)).await;
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

    #[test]
    fn a_passed_file_counts_against_its_user_until_it_is_closed_or_claimed() {
        let (slots, gate) = (Slots::default(), Gate::new(1, 2));
        let pass = |token: &Token| {
            let received = Received {
                token: *token,
                bytes: token.len(),
                files: vec![opened(OpenOptions::new().read(true))],
                cut: false,
            };
            judge(received, 7, gate.enter(7).expect("a place"), &slots)
        };
        assert!(pass(&Token::default()).is_err());
        let token = slots.open(7, Purpose::Read).unwrap();
        pass(&token).unwrap();
        assert!(gate.enter(7).is_none() && gate.enter(8).is_some());
        let file = slots.claim(&token, 7, Purpose::Read).unwrap();
        assert!(gate.enter(7).is_some());
        drop(file);
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
