//! The heartbeat: one ping each interval keeps the lease, carries the index, and brings the deny-list and the grant keys.
//! It also renews the certificate. When the directory does not answer, pings come less often, with jitter.

use std::{sync::Arc, time::Duration};

use p2p_proto::{Failure, FailureKind, rest::session::PingRequest};
use tokio_util::sync::CancellationToken;

use super::{happenings, index::Announcer, link::Link};
use crate::{
    config::Live,
    events::{Bus, What},
    identity::{
        address, renew,
        session::{Session, Sessions},
    },
    metrics,
    store::Store,
    transfer::Transfers,
};

/// The longest pause between two pings, whatever failed.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What a ping may take, and the last one of a stop.
const FAREWELL: Duration = Duration::from_secs(3);

/// Everything a ping tells.
#[derive(Clone)]
pub struct Pinger {
    /// Configuration: what to advertise.
    pub config: Live,
    /// The peer port's addresses.
    pub listening: Vec<std::net::SocketAddr>,
    /// The session.
    pub sessions: Arc<Sessions>,
    /// What is stored.
    pub store: Store,
    /// Sends the index.
    pub announcer: Announcer,
    /// Remembers how it went.
    pub link: Link,
    /// What runs.
    pub transfers: Transfers,
    /// What happens.
    pub bus: Bus,
}

/// Pings until `soft`, then says goodbye: the lease ends at once, the session stays.
///
/// # Errors
/// None; the signature is that of a service task.
pub async fn pings_task(pinger: Pinger, soft: CancellationToken) -> anyhow::Result<()> {
    let mut sessions = pinger.sessions.subscribe();
    let mut failures = 0_u32;
    loop {
        sessions.borrow_and_update();
        let session = pinger.sessions.current();
        let pause = match &session {
            None => None,
            Some(session) => Some(pinger.beat(session, &mut failures).await),
        };
        tokio::select! {
            () = soft.cancelled() => break,
            _ = sessions.changed() => failures = 0,
            () = pinger.announcer.announced() => {}
            () = pause_for(pause) => {}
        }
    }
    if let Some(session) = pinger.sessions.current() {
        let farewell = pinger.ping(&session, true);
        if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
            tracing::info!("the directory was not told of the stop; the lease ends by itself");
        }
    }
    Ok(())
}

async fn pause_for(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

impl Pinger {
    /// One ping and what follows from it; how long to pause then.
    async fn beat(&self, session: &Arc<Session>, failures: &mut u32) -> Duration {
        let interval = Duration::from_millis(session.record.ping_interval_ms.clamp(100, 3_600_000));
        let outcome = match self.ping(session, false).await {
            Ok(()) => renew::renew_if_due(&self.sessions, session).await.map(drop),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => {
                *failures = 0;
                interval.min(renew::due_in(session).max(Duration::from_secs(1)))
            }
            Err(failure) if failure.kind == FailureKind::NotLoggedIn => {
                let told = failure.message.strip_prefix("not logged in: ");
                let reason = told.unwrap_or("the directory ended the session");
                tracing::warn!(ACCOUNT = %session.record.user, "the session has ended: {reason}");
                self.link.failed(&failure.message);
                if let Err(error) = self.sessions.end(session, reason) {
                    tracing::error!("{error}");
                }
                interval
            }
            Err(failure) => {
                if self.link.failed(&failure.message) || *failures == 0 {
                    tracing::info!("directory away: {failure}");
                    self.bus.tell(What::DirectoryAway {
                        directory: session.directory_host().to_owned(),
                        reason: failure.to_string(),
                    });
                }
                *failures = failures.saturating_add(1);
                backoff(interval, *failures)
            }
        }
    }

    async fn ping(&self, session: &Session, leaving: bool) -> Result<(), Failure> {
        let usage = self.store.usage().await?;
        let config = self.config.now();
        let request = PingRequest {
            addresses: address::advertised(&config.peer.advertise, &self.listening).await,
            index: self.store.index_state().await?,
            free_bytes: usage.free_bytes,
            files: usage.files,
            active_transfers: self.transfers.active(),
            deny_version: self.link.deny_version(session.record.cluster),
            leaving,
            accept_copies: config.store.accept_copies,
        };
        let answer = session.client.ping(&request).await;
        metrics::pinged(answer.is_ok());
        let answer = answer?;
        if leaving {
            return Ok(());
        }
        self.link.peers_online(answer.peers_online);
        if self
            .link
            .answered(session.record.cluster, answer.now, answer.deny)
        {
            tracing::info!("{} answers", session.directory_host());
            self.bus.tell(What::DirectoryBack {
                directory: session.directory_host().to_owned(),
            });
            self.transfers.look_again();
        }
        happenings::hear(&self.bus, session, answer.last_event).await;
        self.announcer.reconcile(session, answer.index).await
    }
}

/// Doubles with each failure up to [`MAX_PAUSE`], less up to a quarter by chance.
fn backoff(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.min(6).saturating_sub(1));
    let longest = doubled.min(MAX_PAUSE.max(interval));
    let mut random = [0; 1];
    let chance = match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random) {
        Ok(()) => u32::from(random[0]),
        Err(_) => 0,
    };
    longest - longest / 4 * chance / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let interval = Duration::from_secs(10);
        for failures in 1..100 {
            let pause = backoff(interval, failures);
            assert!(
                pause >= interval * 3 / 4 && pause <= MAX_PAUSE,
                "{failures}: {pause:?}"
            );
        }
        assert!(backoff(interval, 3) > backoff(interval, 1));
    }
}
