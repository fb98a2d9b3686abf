//! Too many, too slow, too large, garbage, the wrong version, floods: at the peer port, the control socket and the
//! descriptor socket. Each is refused, the log says so once, others are served meanwhile, and nothing is left behind.

mod local_sockets;
mod peer_port;
mod seconds;

use std::{path::PathBuf, time::Duration};

use p2p_tests::{Peer, Process, wait};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The code of a goodbye to who is a nuisance (RFC 9113: ENHANCE_YOUR_CALM).
const CALM: Option<u32> = Some(11);

/// How long a started program may take to say that it does not start.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process has open before something is done to it, and again after.
struct Before(usize);

impl Before {
    fn of(process: &Process) -> Self {
        Self(process.descriptors())
    }

    fn after(&self, process: &Process) {
        wait::until("every descriptor to be closed", wait::SOON, || {
            // The runtime and the database may open one or two for good.
            (process.descriptors() <= self.0 + 2).then_some(())
        });
    }
}

/// A daemon that nobody is logged in to.
fn alone() -> (tempfile::TempDir, Peer) {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::start(&folder.path().join("a"), "a", "");
    (folder, peer)
}

fn side(peer: &Peer) -> PathBuf {
    peer.folder.join("run/descriptor.sock")
}
