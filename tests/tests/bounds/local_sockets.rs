//! The control socket and the descriptor socket: connections, messages, uploads and streams of one user.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Stdio,
};

use p2p_proto::v1::{SearchRequest, control_service_client::ControlServiceClient};
use p2p_tests::{World, data, http2, wait};
use tonic::Code;

use super::{Before, CALM, KIB, MIB, PATIENCE, alone, side};

/// Connections of one user at the two Unix sockets.
const OF_A_USER: usize = 64;
const PASSING: usize = 16;

const STATUS: &str = "/p2p.v1.ControlService/Status";

/// A connection that is answered within reason, or fails the test.
fn unix(path: &PathBuf) -> UnixStream {
    let stream = UnixStream::connect(path).expect("a listening daemon");
    stream.set_read_timeout(Some(wait::SOON)).expect("a socket");
    stream
}

/// Says this and hears what comes until it is closed.
fn says(path: &PathBuf, bytes: &[u8]) -> Vec<u8> {
    let mut stream = unix(path);
    // It may have closed already.
    let _ = stream.write_all(bytes);
    until_closed(stream)
}

/// A connection that the daemon has introduced itself on: it has a place. One that came before the places of those
/// before it were free again is tried anew.
fn welcomed(path: &PathBuf) -> UnixStream {
    wait::until("a place at the socket", wait::SOON, || {
        const SETTINGS: u8 = 4;
        let (mut stream, mut first) = (unix(path), [0; 4]);
        let introduced = stream.read_exact(&mut first).is_ok() && first[3] == SETTINGS;
        introduced.then_some(stream)
    })
}

fn until_closed(mut stream: UnixStream) -> Vec<u8> {
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it does not close");
    }
    heard
}

#[test]
fn the_control_socket_is_bounded() {
    let (_folder, peer) = alone();
    let (process, socket) = (&peer.process, peer.socket());
    peer.json(&["status"]);
    let before = Before::of(process);
    for seed in 0..20 {
        says(&socket, &data::bytes(seed, 300));
        let heard = says(&socket, &http2::resets(STATUS, 300));
        assert_eq!(http2::goodbye(&heard), CALM, "{heard:?}");
        says(&socket, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    assert_eq!(process.said("was cut"), 1, "{}", process.log());
    peer.json(&["status"]);
    let silent: Vec<_> = (0..OF_A_USER).map(|_| welcomed(&socket)).collect();
    for _ in 0..20 {
        assert_eq!(http2::goodbye(&says(&socket, b"")), CALM);
    }
    let full = format!(
        "p2pctl: p2pd at {} has too many connections. Try again",
        socket.display()
    );
    assert_eq!(peer.says(3, &["status"]), full);
    assert_eq!(peer.fails(3, &["list"])["kind"], "daemon_unreachable");
    assert_eq!(
        process.said("at the control socket: closed"),
        1,
        "{}",
        process.log()
    );
    for stream in silent {
        // The daemon waited for the client to introduce itself too.
        until_closed(stream);
    }
    peer.json(&["status"]);
    assert_eq!(process.said("was cut"), 1, "{}", process.log());
    before.after(process);
}

#[test]
fn a_message_of_five_mebibytes_is_refused_and_the_next_one_answered() {
    let (_folder, peer) = alone();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let endpoint = format!("unix://{}", peer.socket().display());
        let channel = tonic::transport::Endpoint::from_shared(endpoint).expect("an address");
        let mut client = ControlServiceClient::new(channel.connect().await.expect("a daemon"));
        let search = |length| SearchRequest {
            query: "x".repeat(length),
            ..SearchRequest::default()
        };
        let refused = client.search(search(5 << 20)).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
        let answered = client.search(search(1)).await.unwrap_err();
        assert_eq!(answered.code(), Code::Unauthenticated, "{answered:?}");
    });
}

/// Uploads of one user that have not ended (`MAX_IMPORTS`).
const IMPORTS: usize = 32;

#[test]
fn one_user_has_so_many_uploads_and_no_more() {
    let world = World::start(&["a"]);
    let peer = &world.peers[0];
    let mut open: Vec<_> = (0..IMPORTS)
        .map(|number| {
            let name = format!("{number}.bin");
            let mut command = peer.command(&["upload", "-", "--name", &name]);
            command.stdin(Stdio::piped()).stderr(Stdio::null());
            command.spawn().expect("p2pctl")
        })
        .collect();
    // Those that end meanwhile would be a bound that is too low.
    wait::until("every upload to have begun", PATIENCE, || {
        let all = peer.json(&["transfers"]);
        (all["transfers"].as_array()?.len() == IMPORTS).then_some(())
    });
    let (source, _) = world.file("scan.tar", 1, KIB);
    let refused = peer.says(5, &["upload", source.to_str().expect("a path in UTF-8")]);
    assert!(
        refused.contains("32 uploads of this user have not ended yet"),
        "{refused}"
    );
    // One that ends makes room.
    let mut last = open.pop().expect("one of them");
    drop(last.stdin.take());
    assert!(last.wait().expect("its end").success());
    peer.upload(&source);
    for mut client in open {
        client.kill().expect("a running p2pctl");
        client.wait().expect("its end");
    }
}

#[test]
fn the_descriptor_socket_is_bounded() {
    let world = World::start(&["a"]);
    let (peer, socket) = (&world.peers[0], side(&world.peers[0]));
    let process = &peer.process;
    let (source, _) = world.file("scan.tar", 1, 600 * KIB);
    peer.upload(&source);
    let before = Before::of(process);
    for said in [&b"x"[..], &[0; 16], &[0; 17], &data::bytes(3, 100_000)] {
        for _ in 0..10 {
            assert!(matches!(says(&socket, said)[..], [] | [1]));
        }
    }
    assert_eq!(process.said("passed no file"), 1, "{}", process.log());
    let silent: Vec<_> = (0..PASSING).map(|_| unix(&socket)).collect();
    for _ in 0..20 {
        assert!(says(&socket, b"").is_empty());
    }
    assert_eq!(
        process.said("at the descriptor socket: closed"),
        1,
        "{}",
        process.log()
    );
    for stream in silent {
        assert!(until_closed(stream).is_empty());
    }
    before.after(process);
    peer.upload(&source);
}

#[test]
fn a_client_that_reads_nothing_costs_a_few_messages() {
    let world = World::start(&["a"]);
    let peer = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 64 * MIB);
    peer.upload(&source);
    let before = Before::of(&peer.process);
    let memory = peer.process.memory();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut command = peer.command(&["download", "scan.tar", "-o", "-"]);
            let mut client = command
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("p2pctl");
            let mut out = client.stdout.take().expect("a pipe");
            // It streams; and from now on nobody reads.
            out.read_exact(&mut [0; 1000]).expect("bytes");
            (client, out)
        })
        .collect();
    for _ in 0..5 {
        peer.json(&["status"]);
    }
    let grown = peer.process.memory().saturating_sub(memory);
    assert!(grown < 8 * 24 * MIB, "{} MiB", grown / MIB);
    for (mut client, out) in clients {
        client.kill().expect("a running p2pctl");
        drop(out);
        client.wait().expect("its end");
    }
    before.after(&peer.process);
    peer.json(&["status"]);
}
