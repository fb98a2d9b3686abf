//! The peer port: connections, frames, gRPC. Strangers and nuisances take nobody's place.

use std::{net::SocketAddr, sync::Arc};

use p2p_daemon::peer::frames::codec::{Frame, HEADER_LEN, Range, Reason};
use p2p_proto::{
    rest::location::LocateResponse,
    v1::{HaveRequest, HelloRequest},
};
use p2p_tests::{
    Peer, World, check, data, http2,
    line::{FIRST, Line, reads},
    process::free_port,
    visitor::{Visitor, address_of, id_of},
    wait,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tonic::Code;

use super::{Before, CALM, MIB};

/// Connections that one peer may have (`PER_PEER`), and that one address may have.
const OF_A_PEER: usize = 24;
const OF_AN_ADDRESS: usize = 64;

const HAVE: &str = "/p2p.v1.PeerService/Have";

/// A peer with a published file of 40 MiB, somebody who behaves and somebody who does not.
struct Port {
    world: World,
    good: Visitor,
    bad: Visitor,
    located: LocateResponse,
    /// Where a tells its figures.
    figures: u16,
}

impl Port {
    fn start() -> Self {
        let mut world = World::start(&[]);
        let figures = free_port();
        let a = world.peer("a", &format!("[metrics]\nlisten = \"127.0.0.1:{figures}\"\n"));
        a.login(&world.directory, &world.ana);
        world.peers.push(a);
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
            figures,
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
    let figures = check::figures(port.figures);
    let refused = "p2pd_connections_refused_total{reason=\"too_many\"} 40";
    assert!(figures.lines().any(|line| line == refused), "{figures}");
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
