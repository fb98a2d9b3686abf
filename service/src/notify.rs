//! What systemd is told (sd_notify). Nothing happens where no service manager listens.

use std::{env, time::Duration};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// The status line changes at most so often.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// No watchdog hears more often.
const SHORTEST: Duration = Duration::from_millis(10);

/// Every listener is up.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// The configuration is read again; [`ready`] must follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("systemd was not told of the reload: {error}"),
    }
}

/// The stop has begun.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// The program is alive: the watchdog waits anew.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// How often the service manager's watchdog is to hear of this program: three times in the time after which it ends it.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let limit = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())?;
    env::var_os("NOTIFY_SOCKET").map(|_| (limit / 3).max(SHORTEST))
}

/// A service manager started this program and waits for [`ready`], or will end it.
#[must_use]
pub fn is_managed() -> bool {
    ["NOTIFY_SOCKET", "INVOCATION_ID"]
        .iter()
        .any(|variable| env::var_os(variable).is_some_and(|value| !value.is_empty()))
}

/// Keeps the status line current until `stop`: looks every two seconds, and tells what has changed. Without a service
/// manager it ends at once.
pub async fn keep_status<F>(stop: CancellationToken, mut line: impl FnMut() -> F)
where
    F: Future<Output = Option<String>>,
{
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let mut told = String::new();
    let look = async {
        loop {
            if let Some(now) = line().await
                && now != told
            {
                status(&now);
                told = now;
            }
            tokio::time::sleep(STATUS_EVERY).await;
        }
    };
    stop.run_until_cancelled(look).await;
}

/// A number of things: `1 file`, `3 files`.
#[must_use]
pub fn count(number: u64, thing: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{many}")
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd was not told: {error}");
    }
}
