//! What every verb has at hand: the output, the socket, the deadline, and whether the user wants to stop. Tasks listen
//! for signals as long as the program runs; nothing here outlives it.

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
    signals: watch::Receiver<Signals>,
    /// So many interruptions were meant for what ran before.
    earlier: u64,
}

/// What the user or the system sent so far.
#[derive(Clone, Copy, Debug, Default)]
struct Signals {
    /// Ctrl-C: stop what runs now.
    interrupts: u64,
    /// The program shall end.
    end: bool,
}

impl Context {
    /// Starts to listen for signals; call it inside the runtime.
    pub(crate) fn new(cli: &Cli) -> Self {
        let (sender, signals) = watch::channel(Signals::default());
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
                    while stream.recv().await.is_some() {
                        sender.send_modify(|signals| match kind == SignalKind::interrupt() {
                            true => signals.interrupts += 1,
                            false => signals.end = true,
                        });
                    }
                });
            }
        }
        Self {
            out: Output::new(cli),
            socket: connect::socket_path(cli.globals.socket.as_deref()),
            timeout: cli.globals.timeout.map(|t| (t, Instant::now() + t)),
            signals,
            earlier: 0,
        }
    }

    /// The same for the next thing to do: interruptions so far do not count, and the deadline begins anew.
    pub(crate) fn again(&self) -> Self {
        Self {
            out: self.out,
            socket: self.socket.clone(),
            timeout: self
                .timeout
                .map(|(timeout, _)| (timeout, Instant::now() + timeout)),
            signals: self.signals.clone(),
            earlier: self.signals.borrow().interrupts,
        }
    }

    /// The program shall end, whatever it does.
    pub(crate) fn shall_end(&self) -> bool {
        self.signals.borrow().end
    }

    /// A connection to the daemon.
    pub(crate) async fn connect(&self) -> Result<Daemon, Failure> {
        self.out
            .detail(format_args!("dialling {}", self.socket.display()));
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
            why = self.interrupted() => why,
            timeout = expired => timed_out(timeout),
        }
    }

    /// Ends when the user wants it; a person who is asked has no deadline.
    pub(crate) async fn interrupted(&self) -> Failure {
        let mut signals = self.signals.clone();
        let stop = |signals: &Signals| signals.end || signals.interrupts > self.earlier;
        if signals.wait_for(stop).await.is_err() {
            std::future::pending::<()>().await;
        }
        Failure::new(FailureKind::Interrupted, "Interrupted")
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
    async fn an_interruption_is_for_what_runs() {
        let cli = Cli::try_parse_from(["p2pctl", "status"]).unwrap();
        let (sender, signals) = watch::channel(Signals::default());
        let context = Context {
            signals,
            ..Context::new(&cli)
        };
        sender.send_modify(|signals| signals.interrupts += 1);
        assert_eq!(context.stopped().await.kind, FailureKind::Interrupted);
        let next = context.again();
        let ran = next.guard(async { Ok::<_, Failure>(42) }).await.unwrap();
        assert_eq!(ran, 42);
        sender.send_modify(|signals| signals.end = true);
        assert!(next.shall_end());
        assert_eq!(next.again().stopped().await.kind, FailureKind::Interrupted);
    }

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
