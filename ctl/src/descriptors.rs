//! Passes one open file to the daemon: connect to the side socket, send the slot with the descriptor, wait for the byte
//! that says it was taken. The caller keeps its own descriptor.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::Duration,
};

use p2p_proto::{
    Failure, FailureKind,
    v1::{OpenSlotRequest, SlotPurpose},
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::{
    io::{AsyncReadExt, Interest},
    net::UnixStream,
};

use crate::{
    connect::{Daemon, check_owner},
    exit::words,
};

/// The length of a slot, in bytes.
const SLOT: usize = 16;
const TAKEN: u8 = 0;
const WITHIN: Duration = Duration::from_secs(10);

/// Opens a slot for this purpose and passes the file to it; the slot.
pub(crate) async fn pass_to(
    daemon: &mut Daemon,
    file: impl AsFd,
    purpose: SlotPurpose,
) -> Result<Vec<u8>, Failure> {
    daemon.check_owner()?;
    let request = OpenSlotRequest {
        purpose: purpose.into(),
    };
    let opened = daemon.client.open_slot(request).await;
    let opened = opened.map_err(|status| daemon.failure(status))?.into_inner();
    let slot = opened.slot.to_vec();
    pass(Path::new(&opened.descriptor_socket), &slot, file.as_fd()).await?;
    Ok(slot)
}

/// Passes a descriptor under a slot, to a socket whose listener may have it.
async fn pass(socket: &Path, slot: &[u8], file: BorrowedFd<'_>) -> Result<(), Failure> {
    let slot: &[u8; SLOT] = slot.try_into().map_err(|_| {
        let message = format!("p2pd gave a slot of {} bytes, expected {SLOT}", slot.len());
        Failure::new(FailureKind::Internal, message)
    })?;
    match tokio::time::timeout(WITHIN, hand_over(socket, slot, file)).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("p2pd did not take the file within {} s", WITHIN.as_secs());
            Err(Failure::new(FailureKind::TimedOut, message))
        }
    }
}

async fn hand_over(socket: &Path, slot: &[u8; SLOT], file: BorrowedFd<'_>) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let message = format!(
            "cannot pass the file to p2pd at {}: {}",
            socket.display(),
            words(&error)
        );
        Failure::new(FailureKind::DaemonUnreachable, message)
    };
    let mut stream = UnixStream::connect(socket).await.map_err(failed)?;
    check_owner(socket, stream.peer_cred().map_err(failed)?.uid())?;
    let sent = stream
        .async_io(Interest::WRITABLE, || send(&stream, slot, file))
        .await
        .map_err(failed)?;
    if sent != SLOT {
        return Err(failed(io::ErrorKind::WriteZero.into()));
    }
    match stream.read_u8().await {
        Ok(TAKEN) => Ok(()),
        Ok(_) => Err(failed(io::Error::other("refused"))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(failed(io::Error::other("refused")))
        }
        Err(error) => Err(failed(error)),
    }
}

fn send(stream: &UnixStream, slot: &[u8; SLOT], file: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("no space for one descriptor"));
    }
    Ok(rustix::net::sendmsg(
        stream,
        &[IoSlice::new(slot)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{IoSliceMut, Read, Seek, Write},
        os::fd::OwnedFd,
        os::unix::net::{UnixListener, UnixStream as StdStream},
        thread,
    };

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

    use super::*;

    /// Takes one descriptor as the daemon does; answers with `answer`, or hangs up.
    fn take(listener: &UnixListener, answer: Option<u8>) -> (Vec<u8>, Vec<OwnedFd>) {
        let (mut stream, _): (StdStream, _) = listener.accept().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slot = [0; 64];
        let received = rustix::net::recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut slot)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
        .unwrap();
        let files = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(files) => Some(files),
                _ => None,
            })
            .flatten()
            .collect();
        if let Some(answer) = answer {
            stream.write_all(&[answer]).unwrap();
        }
        (slot[..received.bytes].to_vec(), files)
    }

    async fn passed(answer: Option<u8>) -> (Result<(), Failure>, Vec<u8>, Vec<OwnedFd>) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("descriptors.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let taking = thread::spawn(move || take(&listener, answer));
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        let result = pass(&socket, &[7; SLOT], file.as_fd()).await;
        let (slot, files) = taking.join().unwrap();
        (result, slot, files)
    }

    #[tokio::test]
    async fn passes_the_slot_with_exactly_one_descriptor() {
        let (result, slot, mut files) = passed(Some(TAKEN)).await;
        result.unwrap();
        assert_eq!(slot, [7; SLOT]);
        assert_eq!(files.len(), 1);
        let mut text = String::new();
        File::from(files.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
    }

    #[tokio::test]
    async fn a_refusal_is_a_failure() {
        for answer in [Some(1), None] {
            let (result, ..) = passed(answer).await;
            assert!(result.unwrap_err().message.ends_with(": refused"));
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_without_a_listener_or_a_whole_slot() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile().unwrap();
        let missing = folder.path().join("none.sock");
        let failure = pass(&missing, &[7; SLOT], file.as_fd()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::DaemonUnreachable);
        let failure = pass(&missing, &[7; 3], file.as_fd()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal);
    }
}
