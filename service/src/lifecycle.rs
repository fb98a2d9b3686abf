//! How a program runs and ends. Every task belongs to one tracker. A stop has two steps: soft (take nothing new, finish
//! what runs) and, when the time for that is over or a second signal comes, hard (end now). A service task that dies
//! stops the program, and the program says so with its exit code.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::notify;

/// What a hard stop may take.
const HARD: Duration = Duration::from_secs(2);

/// The life of one program. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tracker: TaskTracker,
    failed: Arc<AtomicBool>,
}

impl Lifecycle {
    /// Running.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the stop begins.
    #[must_use]
    pub const fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when the time to finish is over.
    #[must_use]
    pub const fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Every task.
    #[must_use]
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// A service task: its error or panic stops the program with failure.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let life = self.clone();
        let running = tokio::spawn(task);
        self.tracker.spawn(async move {
            match running.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::error!("{name} failed: {error:#}"),
                Err(error) => tracing::error!("{name} died: {error}"),
            }
            life.failed.store(true, Ordering::Relaxed);
            life.stop();
        });
    }

    /// A task of one connection or request: its panic is logged and harms nothing else. Ends with the hard stop.
    pub fn spawn_request<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = self.hard.clone();
        let running = tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = hard.cancelled() => {}
            }
        });
        self.tracker.spawn(async move {
            if let Err(error) = running.await {
                tracing::error!("a request died: {error}");
            }
        });
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// A service task died.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits for SIGTERM, SIGINT or [`Self::stop`], then drains: what runs has `drain` to finish. SIGHUP calls
    /// `on_reload`, which tells systemd when it begins and ends. Signals that came since they were caught count.
    ///
    /// # Errors
    /// When a service task died.
    pub async fn run(
        &self,
        mut signals: Signals,
        drain: Duration,
        mut on_reload: impl FnMut(),
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = self.soft.cancelled() => break,
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.reload.recv() => on_reload(),
            }
        }
        notify::stopping();
        self.soft.cancel();
        self.tracker.close();
        tokio::select! {
            _ = timeout(drain, self.tracker.wait()) => {}
            () = signals.stop() => tracing::info!("second signal: stopping now"),
        }
        self.hard.cancel();
        if timeout(HARD, self.tracker.wait()).await.is_err() {
            tracing::warn!("{} tasks did not end in time", self.tracker.len());
        }
        anyhow::ensure!(!self.failed(), "a part of the program failed; the log says which");
        Ok(())
    }
}

/// The signals that a program answers to. Until they are caught each of them kills it, so they are caught before it can be
/// seen: whoever finds its socket may stop it, and it stops in order.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    /// Catches them from now on; inside the runtime.
    ///
    /// # Errors
    /// When the system has no place for a handler.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_failed_task_stops_the_program_with_failure() {
        let life = Lifecycle::new();
        life.spawn("bad", async { anyhow::bail!("broken") });
        assert!(life.run(Signals::catch().unwrap(), LONG, || ()).await.is_err());
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_too() {
        let life = Lifecycle::new();
        life.spawn("bad", async { panic!("on purpose") });
        assert!(life.run(Signals::catch().unwrap(), LONG, || ()).await.is_err());
    }

    #[tokio::test]
    async fn a_request_may_die_alone() {
        let life = Lifecycle::new();
        life.spawn_request(async { panic!("on purpose") });
        let soft = life.soft().clone();
        life.spawn("good", async move {
            soft.cancelled().await;
            Ok(())
        });
        life.stop();
        life.run(Signals::catch().unwrap(), LONG, || ()).await.unwrap();
    }

    #[tokio::test]
    async fn what_does_not_drain_is_ended() {
        let life = Lifecycle::new();
        life.spawn_request(std::future::pending());
        life.stop();
        life.run(Signals::catch().unwrap(), Duration::from_millis(1), || ())
            .await
            .unwrap();
        assert!(life.tracker().is_empty());
    }

    #[tokio::test]
    async fn a_signal_that_comes_early_counts() {
        let signals = Signals::catch().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        let life = Lifecycle::new();
        life.run(signals, LONG, || ()).await.unwrap();
        assert!(life.soft().is_cancelled());
    }
}
