//! Too many, too slow, too large, garbage, the wrong version, floods: at the peer port, the control socket and the
//! descriptor socket. Each is refused, the log says so once, others are served meanwhile, and nothing is left behind.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use p2p_daemon::peer::frames::codec::{Frame, HEADER_LEN, Range, Reason};
use p2p_proto::{
    rest::location::LocateResponse,
    v1::{HaveRequest, HelloRequest, SearchRequest, control_service_client::ControlServiceClient},
};
use p2p_tests::{
    Peer, Process, World, data, http2,
    line::{FIRST, Line, reads},
    visitor::{Visitor, address_of, id_of},
    wait,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tonic::Code;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Connections that one peer may have (`PER_PEER`), and that one address may have.
const OF_A_PEER: usize = 24;
const OF_AN_ADDRESS: usize = 64;

/// Connections of one user at the two Unix sockets.
const OF_A_USER: usize = 64;
const PASSING: usize = 16;

const HAVE: &str = "/p2p.v1.PeerService/Have";
const STATUS: &str = "/p2p.v1.ControlService/Status";

/// The code of a goodbye to who is a nuisance (RFC 9113: ENHANCE_YOUR_CALM).
const CALM: Option<u32> = Some(11);

/// A peer with a published file of 40 MiB, somebody who behaves and somebody who does not.
struct Port {
    world: World,
    good: Visitor,
    bad: Visitor,
    located: LocateResponse,
}

impl Port {
    fn start() -> Self {
        let world = World::start(&["a"]);
        let (source, _) = world.file("scan.tar", 1, 40 * MIB);
        world.peers[0].upload(&source);
        let good = Visitor::log_in(&world.directory, &world.ana, "good", &[]);
        let bad = Visitor::log_in(&world.directory, &world.ana, "bad", &[]);
        let located = good.locate("scan.tar");
        Self {
            world,
            good,
            bad,
            located,
        }
    }

    fn a(&self) -> &Peer {
        &self.world.peers[0]
    }

    fn address(&self) -> SocketAddr {
        address_of(self.a())
    }

    /// Somebody else is served.
    fn serves(&self) {
        let bytes = reads(
            &self.good,
            self.a(),
            &self.located.publication,
            &self.located.grant,
        );
        assert_eq!(bytes, data::bytes(1, 256 << 10));
        let mut words = self.good.words(self.a());
        let grant = self.located.grant.clone();
        let have = self
            .good
            .wait(words.have(HaveRequest { grant }))
            .expect("an answer");
        assert_eq!(have.into_inner().size, 40 * MIB);
    }

    /// A line for gRPC, of who does not behave.
    fn words(&self) -> Line {
        let tls = Arc::clone(&self.bad.session().tls.words);
        Line::dial(self.bad.runtime(), tls, self.address(), id_of(self.a())).expect("a handshake")
    }

    /// A TCP connection from that loopback address.
    fn tcp(&self, from: &str) -> TcpStream {
        let from: SocketAddr = format!("{from}:0").parse().expect("an address");
        self.bad.wait(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind(from).expect("a loopback address");
            socket.connect(self.address()).await.expect("a listening peer")
        })
    }

    fn hears(&self, mut stream: TcpStream) -> usize {
        let mut heard = Vec::new();
        self.bad.wait(async {
            let closing = stream.read_to_end(&mut heard);
            // An error is an end as well.
            let _ = timeout(wait::SOON, closing).await.expect("the peer closes");
        });
        heard.len()
    }
}

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

#[test]
fn strangers_at_the_peer_port_take_nobody_elses_place() {
    let port = Port::start();
    let process = &port.a().process;
    port.serves();
    let before = Before::of(process);
    for seed in 0..40 {
        let mut stream = port.tcp("127.0.0.7");
        let garbage = data::bytes(seed, 600);
        // It may have closed already.
        let _ = port.bad.wait(stream.write_all(&garbage));
        port.hears(stream);
    }
    assert_eq!(process.said("handshake with 127.0.0.7"), 1, "{}", process.log());
    // Who says nothing has his places, and no more.
    let silent: Vec<_> = (0..OF_AN_ADDRESS).map(|_| port.tcp("127.0.0.8")).collect();
    for _ in 0..40 {
        assert_eq!(port.hears(port.tcp("127.0.0.8")), 0);
    }
    assert_eq!(process.said("too many connections from 127.0.0.8"), 1);
    port.serves();
    for stream in silent {
        port.hears(stream);
    }
    assert_eq!(process.said("handshake with 127.0.0.8"), 1);
    before.after(process);
    port.serves();
}

#[test]
fn one_peer_has_so_many_connections_and_no_more() {
    let port = Port::start();
    let process = &port.a().process;
    port.serves();
    let before = Before::of(process);
    let mut lines: Vec<_> = (0..OF_A_PEER).map(|_| Line::to(&port.bad, port.a())).collect();
    for line in &mut lines {
        assert!(matches!(line.open("no grant"), Some(Frame::Refused { .. })));
    }
    for _ in 0..20 {
        assert!(Line::to(&port.bad, port.a()).until_closed().is_empty());
        assert!(port.words().until_closed().is_empty());
    }
    assert_eq!(
        process.said("too many connections of peer"),
        1,
        "{}",
        process.log()
    );
    assert_eq!(process.said("a read was refused"), 1, "{}", process.log());
    port.serves();
    drop(lines);
    before.after(process);
    let mut again = Line::to(&port.bad, port.a());
    assert!(again.open("no grant").is_some());
}

#[test]
fn frames_that_lead_nowhere_are_cut() {
    let port = Port::start();
    let process = &port.a().process;
    port.serves();
    let before = Before::of(process);
    let mut oversized = Frame::Open { length: 4096 }.encode();
    oversized[16..20].copy_from_slice(&4097_u32.to_le_bytes());
    let mut huge = Frame::Read(FIRST).encode();
    huge[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    for said in [
        &data::bytes(5, 4096)[..],
        &oversized,
        &huge,
        &Frame::Opened { size: 1 }.encode(),
    ] {
        for _ in 0..10 {
            assert!(Line::to(&port.bad, port.a()).says(said).is_empty());
        }
    }
    assert_eq!(
        process.said("was cut: not a p2p-data/1 frame"),
        1,
        "{}",
        process.log()
    );
    // Requests before an opening, and openings without end: some are answered, and then it is over.
    let refused = |request, reason| Frame::Refused { request, reason }.encode();
    let reads_on = Frame::Read(FIRST).encode().repeat(100);
    let heard = Line::to(&port.bad, port.a()).says(&reads_on);
    assert_eq!(heard, refused(FIRST.request, Reason::Grant).repeat(16));
    let mut opens_on = Frame::Open { length: 4 }.encode().to_vec();
    opens_on.extend(b"none");
    let heard = Line::to(&port.bad, port.a()).says(&opens_on.repeat(100));
    assert_eq!(heard, refused(0, Reason::Grant).repeat(16));
    assert_eq!(process.said("a read was refused"), 1, "{}", process.log());
    // Nothing at all is too little as well.
    assert!(Line::to(&port.bad, port.a()).until_closed().is_empty());
    assert_eq!(process.said("was cut"), 1, "{}", process.log());
    before.after(process);
    port.serves();
}

#[test]
fn who_asks_for_everything_and_reads_nothing_costs_a_buffer() {
    let port = Port::start();
    let process = &port.a().process;
    port.serves();
    let before = Before::of(process);
    let memory = process.memory();
    let grant = port.bad.locate("scan.tar").grant;
    let mut asks = Vec::new();
    for request in 1..=2000_u32 {
        let offset = u64::from(request % 40) * MIB;
        let length = MIB as u32;
        asks.extend(
            Frame::Read(Range {
                request,
                offset,
                length,
            })
            .encode(),
        );
    }
    let lines: Vec<_> = (0..OF_A_PEER)
        .map(|_| {
            let mut line = Line::to(&port.bad, port.a());
            assert!(matches!(line.open(&grant), Some(Frame::Opened { .. })));
            line.tells(&asks);
            line
        })
        .collect();
    for _ in 0..5 {
        port.serves();
    }
    let grown = process.memory().saturating_sub(memory);
    // A buffer of 1 MiB, TLS, and what the allocator keeps.
    assert!(grown < 4 * OF_A_PEER as u64 * MIB, "{} MiB", grown / MIB);
    drop(lines);
    before.after(process);
    port.serves();
}

#[test]
fn grpc_at_the_peer_port_is_bounded() {
    let port = Port::start();
    let process = &port.a().process;
    port.serves();
    let before = Before::of(process);
    for seed in 0..20 {
        let _ = port.words().says(&data::bytes(seed, 300));
        let heard = port.words().says(&http2::resets(HAVE, 300));
        assert_eq!(http2::goodbye(&heard), CALM, "{heard:?}");
    }
    assert_eq!(process.said("was cut"), 1, "{}", process.log());
    // A head of 15 KiB, and then the connection is ended with a frame that nobody knows the stream of.
    let mut large = http2::beginning();
    large.extend(http2::call(1, HAVE, 15 << 10));
    large.extend(http2::frame(0, 1, 99, b"?"));
    let _ = port.words().says(&large);
    // Who begins and goes no further is cut too.
    let _ = port.words().says(b"PRI * HTTP/2.0");
    let mut words = port.bad.words(port.a());
    let grant = "x".repeat(70 << 10);
    let refused = port.bad.wait(words.have(HaveRequest { grant })).unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    let (versions, features) = (vec![7], Vec::new());
    let refused = port
        .bad
        .wait(words.hello(HelloRequest { versions, features }))
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    // The same connection goes on for who says something better.
    let (versions, features) = (vec![1, 7], Vec::new());
    let agreed = port
        .bad
        .wait(words.hello(HelloRequest { versions, features }))
        .unwrap();
    assert_eq!(agreed.into_inner().version, 1);
    drop(words);
    before.after(process);
    port.serves();
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

#[test]
fn a_frame_that_never_ends_holds_nobody_up() {
    let port = Port::start();
    let process = &port.a().process;
    // One byte a second, or no second byte at all.
    let slow: Vec<_> = (0..OF_A_PEER)
        .map(|_| {
            let mut line = Line::to(&port.bad, port.a());
            line.tells(&Frame::Read(FIRST).encode()[..HEADER_LEN / 2]);
            line
        })
        .collect();
    port.serves();
    assert!(Line::to(&port.bad, port.a()).until_closed().is_empty());
    let memory = process.memory();
    port.serves();
    assert!(process.memory() < memory + 32 * MIB);
    drop(slow);
    wait::until("a place to be free", wait::SOON, || {
        Line::to(&port.bad, port.a()).open("no grant").map(drop)
    });
}

/// How long a started program may take to say that it does not start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a second p2pd with this configuration; it must end with failure and say this.
fn refused(folder: &std::path::Path, config: &str, expected: &str) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("p2pd.toml"), config).expect("a configuration");
    let mut command = std::process::Command::new(p2p_tests::process::program("p2pd"));
    command.arg("--config").arg(folder.join("p2pd.toml"));
    let mut second = Process::start(command, &folder.join("log"));
    wait::until("the second p2pd to end", PATIENCE, || {
        (!second.runs()).then_some(())
    });
    assert_eq!(second.ended(), Some(1), "{}", second.log());
    assert!(second.log().contains(expected), "{}", second.log());
}

#[test]
fn a_second_daemon_on_the_same_folders_is_refused_by_name() {
    let (folder, peer) = alone();
    peer.json(&["status"]);
    let (mine, other) = (peer.folder.display(), folder.path().join("b"));
    let config = |state: &str, run: &str| {
        format!("state_dir = \"{state}\"\nruntime_dir = \"{run}\"\n[peer]\nlisten = [\"127.0.0.1:0\"]\n")
    };
    let theirs = other.display();
    // The same state, another runtime folder: the sockets would not be in each other's way.
    let state = config(&format!("{mine}/state"), &format!("{theirs}/run"));
    refused(&other, &state, &format!("{mine}/state is in use by another p2pd"));
    // The same state, a store elsewhere: neither would the stores.
    let elsewhere = format!("{state}[store]\npath = \"{theirs}/store\"\n");
    refused(
        &other,
        &elsewhere,
        &format!("{mine}/state is in use by another p2pd"),
    );
    // The same store, another state.
    let store = config(&format!("{theirs}/state"), &format!("{theirs}/run"));
    let store = format!("{store}[store]\npath = \"{mine}/state/store\"\n");
    refused(
        &other,
        &store,
        &format!("{mine}/state/store is in use by another p2pd"),
    );
    // The same runtime folder, another state: the store would not be.
    let run = config(&format!("{theirs}/state"), &format!("{mine}/run"));
    refused(
        &other,
        &run,
        &format!("{mine}/run/control.sock: another program listens there"),
    );
    // The first one runs on, behind the sockets that it had.
    peer.json(&["status"]);
    assert!(side(&peer).exists());
}

#[test]
fn a_second_directory_on_the_same_runtime_folder_is_refused_and_a_stale_socket_replaced() {
    let mut world = World::start(&[]);
    let (mine, other) = (world.path("directory"), world.path("other"));
    std::fs::create_dir_all(&other).unwrap();
    let config = other.join("directory.toml");
    let serve = |state: &std::path::Path, run: &std::path::Path| {
        let text = format!(
            "state_dir = \"{}/state\"\nruntime_dir = \"{}/run\"\n[api]\nlisten = [\"127.0.0.1:0\"]\n",
            state.display(),
            run.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new(p2p_tests::process::program("p2p-directory"));
        command.arg("serve").arg("--config").arg(&config);
        let mut second = Process::start(command, &other.join("log"));
        wait::until("the second directory to end", PATIENCE, || {
            (!second.runs()).then_some(())
        });
        assert_ne!(second.ended(), Some(0));
        second.log()
    };
    let log = serve(&other, &mine);
    let socket = mine.join("run/admin.sock");
    let expected = format!("{}: another program listens there", socket.display());
    assert!(log.contains(&expected), "{log}");
    let log = serve(&mine, &other);
    assert!(log.contains(&*mine.join("state").to_string_lossy()), "{log}");
    let _ = world.directory.add_user("ben");
    // A killed one leaves its socket, and the next one takes its place.
    world.directory.process.kill();
    assert!(socket.exists());
    world.directory.restart();
    wait::until("the admin socket to answer", wait::SOON, || {
        UnixStream::connect(&socket).ok()
    });
    let _ = world.directory.add_user("cleo");
}
