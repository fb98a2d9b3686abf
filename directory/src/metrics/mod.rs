//! This directory in numbers: for Prometheus (`[metrics] listen`, and `GET /metrics` on the admin socket) and in one line
//! for `systemctl status`. docs/metrics.md lists every figure. Counters are in memory, from the start; what is stored is
//! counted when somebody looks, and for the line now and then.

mod requests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::header, response::IntoResponse, routing::get};
use p2p_service::{
    metrics::{CONNECTIONS, CONTENT_TYPE, HANDSHAKES_FAILED, Kind, Page, TOO_MANY, unix_seconds},
    notify::count,
};
use tokio::sync::watch;

pub use self::requests::{Requests, count_requests};
use crate::{
    state::State,
    storage::{Figures, Overview},
};

/// The least time between two counts for the status line.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A count may take this part of the time at most.
const PART: u32 = 50;

/// Peers online, for the answers to pings; [`UNKNOWN`] before the first count.
static PEERS_ONLINE: AtomicU64 = AtomicU64::new(UNKNOWN);

const UNKNOWN: u64 = u64::MAX;

/// Peers online as of the last count.
#[must_use]
pub fn peers_online() -> Option<u64> {
    Some(PEERS_ONLINE.load(Ordering::Relaxed)).filter(|online| *online != UNKNOWN)
}

/// Everything that is counted.
#[derive(Clone)]
pub struct Metrics {
    state: Arc<State>,
    requests: Arc<Requests>,
    /// Seconds since 1970.
    started: f64,
    overview: watch::Sender<Option<Overview>>,
}

impl Metrics {
    /// Of this directory, which starts now.
    #[must_use]
    pub fn new(state: Arc<State>) -> Self {
        Self {
            state,
            requests: Arc::default(),
            started: unix_seconds(),
            overview: watch::Sender::new(None),
        }
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Arc<Requests> {
        self.requests.clone()
    }

    /// `GET /metrics`, for the admin socket.
    pub fn router(&self) -> Router {
        let metrics = self.clone();
        let page = move || {
            let metrics = metrics.clone();
            async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.page().await).into_response() }
        };
        Router::new().route("/metrics", get(page))
    }

    /// The page for a collector.
    pub async fn page(&self) -> String {
        let mut page = Page::new("p2p_directory", env!("CARGO_PKG_VERSION"));
        page.one(
            "start_time_seconds",
            Kind::Gauge,
            "When it was started, since 1970",
            self.started,
        );
        // What the database cannot say is left out rather than told wrong.
        let figures = self.state.storage.figures().await;
        if let Err(error) = &figures {
            tracing::warn!("the database does not say what it has: {error}");
        }
        of_storage(&mut page, figures.ok().as_ref());
        self.requests.write(&mut page);
        page.gauge(
            "connections",
            "Connections of peers that are open",
            CONNECTIONS.get(),
        );
        page.family(
            "connections_refused_total",
            Kind::Counter,
            "Connections that were refused, by reason",
            [
                (vec![("reason", "too_many")], TOO_MANY.get() as f64),
                (vec![("reason", "handshake")], HANDSHAKES_FAILED.get() as f64),
            ],
        );
        page.into_text()
    }

    /// The line for `systemctl status`, once something is counted.
    #[must_use]
    pub fn status_line(&self) -> Option<String> {
        let overview = (*self.overview.borrow())?;
        Some(format!(
            "{} online; {}; {}",
            count(overview.peers_online, "peer"),
            count(overview.accounts, "account"),
            count(overview.files, "file")
        ))
    }

    /// Counts now and then, less often when it takes long.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn count_task(self) -> anyhow::Result<()> {
        loop {
            let begun = Instant::now();
            match self.state.storage.overview().await {
                Ok(overview) => {
                    PEERS_ONLINE.store(overview.peers_online, Ordering::Relaxed);
                    self.overview.send_replace(Some(overview));
                }
                Err(error) => tracing::debug!("not counted: {error}"),
            }
            tokio::time::sleep(LOOK_EVERY.max(begun.elapsed() * PART)).await;
        }
    }
}

fn of_storage(page: &mut Page, figures: Option<&Figures>) {
    let of = |figure: fn(&Figures) -> u64| figures.map(|figures| figure(figures) as f64);
    for (name, help, figure) in [
        ("accounts", "Accounts", of(|figures| figures.accounts)),
        (
            "sessions",
            "Sessions that have not ended",
            of(|figures| figures.sessions),
        ),
        (
            "peers",
            "Peers that were ever logged in",
            of(|figures| figures.peers_known),
        ),
        (
            "peers_online",
            "Peers whose lease lasts",
            of(|figures| figures.peers_online),
        ),
        ("files", "Names that are published", of(|figures| figures.files)),
        (
            "publications",
            "Versions of them",
            of(|figures| figures.publications),
        ),
        (
            "holds",
            "Copies on peers, complete or not, online or not",
            of(|figures| figures.holds),
        ),
        ("events", "Events that are kept", of(|figures| figures.events)),
    ] {
        page.known(name, help, figure);
    }
}
