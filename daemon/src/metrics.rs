//! This daemon in numbers: for Prometheus (`[metrics] listen`) and in one line for `systemctl status`. docs/metrics.md
//! lists every figure. Counters are in memory, from the start; all else is asked for when somebody looks.

use p2p_proto::{ByteCount, Failure, FailureKind};
use p2p_service::{
    metrics::{CONNECTIONS, Counter, HANDSHAKES_FAILED, Kind, Page, TOO_MANY},
    notify::count,
};

use crate::{control::rpc::ControlRpc, transfer::progress::State};

/// What the disk refused: writes, reads and fsyncs.
pub(crate) static DISK_FAULTS: Counter = Counter::new();

/// Connections of peers that had too many.
pub(crate) static PEERS_TOO_MANY: Counter = Counter::new();

/// Connections whose certificate or protocol was not right.
pub(crate) static PEERS_REFUSED: Counter = Counter::new();

static PINGS_ANSWERED: Counter = Counter::new();
static PINGS_FAILED: Counter = Counter::new();
static TRANSFERS_DONE: Counter = Counter::new();
static TRANSFERS_CANCELLED: Counter = Counter::new();
static TRANSFERS_FAILED: Counter = Counter::new();

/// A ping was answered, or not.
pub(crate) fn pinged(answered: bool) {
    let outcome = if answered { &PINGS_ANSWERED } else { &PINGS_FAILED };
    outcome.up();
}

/// A transfer has ended.
pub(crate) fn ended(failure: Option<&Failure>) {
    let outcome = match failure.map(|failure| failure.kind) {
        None => &TRANSFERS_DONE,
        Some(FailureKind::Interrupted) => &TRANSFERS_CANCELLED,
        Some(_) => &TRANSFERS_FAILED,
    };
    outcome.up();
}

/// The page for a collector.
pub async fn page(rpc: &ControlRpc) -> String {
    let mut page = Page::new("p2pd", env!("CARGO_PKG_VERSION"));
    page.one(
        "start_time_seconds",
        Kind::Gauge,
        "When it was started, since 1970",
        rpc.started_at.as_millisecond() as f64 / 1000.0,
    );
    of_transfers(&mut page, rpc);
    of_the_store(&mut page, rpc).await;
    of_the_session(&mut page, rpc);
    of_connections(&mut page);
    page.into_text()
}

fn of_transfers(page: &mut Page, rpc: &ControlRpc) {
    let live = State::WORDS
        .iter()
        .take_while(|word| !["done", "failed"].contains(word));
    let all = rpc.transfers.all();
    let by_state = live.map(|word| {
        let there = all
            .iter()
            .filter(|transfer| transfer.progress().state.word() == *word);
        (vec![("state", *word)], there.count() as f64)
    });
    page.family(
        "transfers",
        Kind::Gauge,
        "Transfers that have not ended, by state",
        by_state,
    );
    page.family(
        "transfers_ended_total",
        Kind::Counter,
        "Transfers that have ended, by outcome",
        [
            (vec![("outcome", "done")], TRANSFERS_DONE.get() as f64),
            (vec![("outcome", "cancelled")], TRANSFERS_CANCELLED.get() as f64),
            (vec![("outcome", "failed")], TRANSFERS_FAILED.get() as f64),
        ],
    );
    page.counter(
        "sent_bytes_total",
        "Bytes of files that were sent to peers",
        rpc.sent.total(),
    );
    page.counter(
        "received_bytes_total",
        "Bytes of files that came from peers, verified",
        rpc.transfers.received(),
    );
}

async fn of_the_store(page: &mut Page, rpc: &ControlRpc) {
    // What the store cannot say is left out rather than told wrong; its faults are counted.
    let usage = rpc.store.usage().await.ok();
    let damaged = rpc.store.damaged().await.ok();
    let of = |figure: Option<u64>| figure.map(|figure| figure as f64);
    let usage = usage.as_ref();
    for (name, help, figure) in [
        (
            "stored_files",
            "Complete files in the store",
            usage.map(|usage| usage.files),
        ),
        ("stored_bytes", "Their bytes", usage.map(|usage| usage.bytes)),
        (
            "partial_files",
            "Files of which a part is kept",
            usage.map(|usage| usage.partial_files),
        ),
        (
            "usable_bytes",
            "Bytes that may still be stored, beyond what is never filled",
            usage.map(|usage| usage.free_bytes),
        ),
        (
            "store_limit_bytes",
            "store.max_size; missing when it is unlimited",
            usage.and_then(|usage| usage.max_bytes),
        ),
        (
            "damaged_files",
            "Files that were found damaged and are not healed yet",
            damaged.map(|damaged| damaged.len() as u64),
        ),
    ] {
        page.known(name, help, of(figure));
    }
    page.counter(
        "disk_faults_total",
        "Writes, reads and fsyncs that the disk refused",
        DISK_FAULTS.get(),
    );
}

fn of_the_session(page: &mut Page, rpc: &ControlRpc) {
    let (link, session) = (rpc.link.state(), rpc.sessions.current());
    let record = session.as_ref().map(|session| &session.record);
    let seconds = |time: jiff::Timestamp| time.as_millisecond() as f64 / 1000.0;
    page.gauge("logged_in", "1 while there is a session", record.is_some().into());
    page.gauge(
        "directory_reachable",
        "1 while pings are answered",
        (record.is_some() && link.reachable).into(),
    );
    for (name, help, time) in [
        (
            "session_expiry_timestamp_seconds",
            "When the session ends, since 1970",
            record.map(|record| record.session_expires_at),
        ),
        (
            "certificate_expiry_timestamp_seconds",
            "When this peer's certificate ends, since 1970",
            record.map(|record| record.certificate_expires_at),
        ),
        (
            "last_ping_timestamp_seconds",
            "When a ping was last answered, since 1970",
            link.last_ping_at,
        ),
    ] {
        page.known(name, help, time.map(seconds));
    }
    let online = link.peers_online.filter(|_| link.reachable && record.is_some());
    page.known(
        "peers_online",
        "Peers that are online, this one too, as the directory says",
        online.map(|online| online as f64),
    );
    page.family(
        "pings_total",
        Kind::Counter,
        "Pings to the directory, by outcome",
        [
            (vec![("outcome", "answered")], PINGS_ANSWERED.get() as f64),
            (vec![("outcome", "failed")], PINGS_FAILED.get() as f64),
        ],
    );
}

fn of_connections(page: &mut Page) {
    page.gauge(
        "connections",
        "Connections of peers that are open",
        CONNECTIONS.get(),
    );
    let too_many = TOO_MANY.get() + PEERS_TOO_MANY.get();
    page.family(
        "connections_refused_total",
        Kind::Counter,
        "Connections of peers that were refused, by reason",
        [
            (vec![("reason", "too_many")], too_many as f64),
            (vec![("reason", "handshake")], HANDSHAKES_FAILED.get() as f64),
            (vec![("reason", "not_allowed")], PEERS_REFUSED.get() as f64),
        ],
    );
}

/// The line for `systemctl status`.
pub fn status_line(rpc: &ControlRpc) -> String {
    let transfers = count(rpc.transfers.active().into(), "transfer");
    let rate = |bytes: u64| match bytes {
        0 => "0".to_owned(),
        bytes => format!("{}/s", ByteCount(bytes)),
    };
    let (down, up) = (rate(rpc.transfers.download_rate()), rate(rpc.sent.rate()));
    let link = rpc.link.state();
    let network = match (rpc.sessions.current(), link.peers_online) {
        (None, _) => "not logged in".to_owned(),
        (Some(_), _) if !link.reachable => "directory away".to_owned(),
        (Some(_), Some(online)) => format!("{} online", count(online, "peer")),
        (Some(_), None) => "logged in".to_owned(),
    };
    format!("{network}; {transfers}; down {down}, up {up}")
}
