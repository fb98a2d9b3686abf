//! What every verb has at hand: the output, the socket, the deadline, and whether the user wants to stop. A task
//! listens for signals as long as the program runs; nothing here outlives it.

use std::{future::Future, path::PathBuf, time::Duration};

use p2p_proto::{Failure, FailureKind};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::Instant,
};

use crate::{
    cli::Cli,
    connect::{self, Daemon},
    exit::Stop,
    output::Output,
};

/// What every verb has at hand.
pub(crate) struct Context {
    pub(crate) out: Output,
    socket: PathBuf,
    timeout: Option<(Duration, Instant)>,
    interrupted: watch::Receiver<bool>,
}

impl Context {
    /// Starts to listen for signals; call it inside the runtime.
    pub(crate) fn new(cli: &Cli) -> Self {
        let (sender, interrupted) = watch::channel(false);
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            // What was ignored before this program began (nohup, a background job) stays so. Without a handler the
            // kernel ends the program.
            if !is_ignored(kind)
                && let Ok(mut stream) = signal(kind)
            {
                let sender = sender.clone();
                tokio::spawn(async move {
                    stream.recv().await;
                    sender.send_replace(true);
                });
            }
        }
        Self {
            out: Output::new(cli),
            socket: connect::socket_path(cli.globals.socket.as_deref()),
            timeout: cli.globals.timeout.map(|t| (t, Instant::now() + t)),
            interrupted,
        }
    }

    /// A connection to the daemon.
    pub(crate) async fn connect(&self) -> Result<Daemon, Failure> {
        let daemon = connect::connect(&self.socket).await?;
        self.out.detail(format_args!(
            "connected to {}, where user id {} answers",
            self.socket.display(),
            daemon.peer_uid()
        ));
        Ok(daemon)
    }

    /// Ends when the user or the deadline wants the work to stop; says which.
    pub(crate) async fn stopped(&self) -> Failure {
        let mut interrupted = self.interrupted.clone();
        let signalled = async {
            if interrupted.wait_for(|&yes| yes).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let expired = async {
            match self.timeout {
                Some((timeout, deadline)) => {
                    tokio::time::sleep_until(deadline).await;
                    timeout
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = signalled => Failure::new(FailureKind::Interrupted, "Interrupted"),
            timeout = expired => timed_out(timeout),
        }
    }

    /// The work's result, unless the user or the deadline stops it first.
    pub(crate) async fn guard<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Stop>
    where
        Stop: From<E>,
    {
        tokio::select! {
            biased;
            why = self.stopped() => Err(why.into()),
            result = work => Ok(result?),
        }
    }
}

/// Whether the signal was ignored when this program began.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or_default();
    mask.unwrap_or_default() >> bit & 1 == 1
}

fn timed_out(timeout: Duration) -> Failure {
    let message = match timeout.as_millis() {
        ms if ms % 1000 == 0 => format!("not done within {} s", ms / 1000),
        ms => format!("not done within {ms} ms"),
    };
    Failure::new(FailureKind::TimedOut, message).hint("To allow more: --timeout DURATION")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[tokio::test]
    async fn the_deadline_stops_what_hangs() {
        let cli =
            Cli::try_parse_from(["p2pctl", "--timeout", "20ms", "--socket", "/nowhere", "status"]).unwrap();
        let context = Context::new(&cli);
        let stop = context
            .guard(std::future::pending::<Result<(), Failure>>())
            .await
            .unwrap_err();
        let Stop::Failure(failure) = stop else {
            panic!("a failure");
        };
        assert_eq!(failure.kind, FailureKind::TimedOut);
        assert_eq!(failure.message, "not done within 20 ms");
    }
}
