//! The service manager's watchdog: it ends a program from which it has heard nothing for a time of its choosing. Of this
//! one it hears three times as often, and only after every [part](Watchdog::over) of the program has answered.
//!
//! The parts are asked on the program's runtime, from a thread beside it: so a runtime that hangs can be told of. What
//! hangs is asked once and then waited for.

use std::{future::Future, io, sync::Arc, thread, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    runtime::{self, Handle},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::notify;

/// A part of the program that must answer.
struct Part {
    name: &'static str,
    ask: Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>,
}

/// What has to answer before the service manager hears anything.
pub struct Watchdog(Vec<Part>);

/// The service manager hears of the program until this is dropped.
#[derive(Debug)]
pub struct Watching(#[expect(dead_code, reason = "it acts when it is dropped")] DropGuard);

/// What came of the last round.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    /// Every part answered.
    All,
    /// This one did not, for this reason.
    Not(&'static str, Arc<str>),
}

impl Default for Watchdog {
    fn default() -> Self {
        Self(Vec::new())
            .over("the runtime", || async { Ok(()) })
            .over("the pool of threads that may block", || async {
                Ok(tokio::task::spawn_blocking(|| ()).await?)
            })
    }
}

impl Watchdog {
    /// This part of the program has to answer too. What it is asked must be cheap, and answered also by one that has much to
    /// do.
    #[must_use]
    pub fn over<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let ask = Box::new(move || ask().boxed());
        self.0.push(Part { name, ask });
        self
    }

    /// Begins, if the service manager wants to hear; inside the program's runtime.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(self) -> io::Result<Watching> {
        let stop = CancellationToken::new();
        if let Some(every) = notify::watchdog() {
            let (program, stopped) = (Handle::current(), stop.clone());
            let own = runtime::Builder::new_current_thread().enable_time().build()?;
            let watch = move || {
                let keeping = self.keep(&program, every, tell);
                own.block_on(stopped.run_until_cancelled(keeping));
            };
            thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        }
        Ok(Watching(stop.drop_guard()))
    }

    /// Asks every part, again and again, and tells what comes of it: each round in which all answered, and trouble once.
    async fn keep(&self, program: &Handle, every: Duration, mut tell: impl FnMut(&Heard, bool)) {
        let mut ill = None;
        loop {
            let begun = Instant::now();
            let mut trouble = |name, why: Arc<str>| {
                if ill.replace(name) != Some(name) {
                    tell(&Heard::Not(name, why), true);
                }
            };
            if self.all_answer(program, every, &mut trouble).await {
                tell(&Heard::All, ill.take().is_some());
            }
            sleep_until(begun + every).await;
        }
    }

    async fn all_answer(
        &self,
        program: &Handle,
        patience: Duration,
        trouble: &mut impl FnMut(&'static str, Arc<str>),
    ) -> bool {
        for part in &self.0 {
            let mut asked = program.spawn((part.ask)());
            let answer = match timeout(patience, &mut asked).await {
                Ok(answer) => answer,
                Err(_) => {
                    trouble(part.name, format!("no answer in {patience:?}").into());
                    // Another question would hang as this one does.
                    asked.await
                }
            };
            let why = match answer {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => format!("{error:#}"),
                Err(died) => died.to_string(),
            };
            trouble(part.name, why.into());
            return false;
        }
        true
    }
}

/// Tells the service manager, and the log what has changed.
fn tell(heard: &Heard, changed: bool) {
    match heard {
        Heard::All => {
            notify::alive();
            if changed {
                tracing::info!("every part of the program answers again");
            }
        }
        Heard::Not(name, why) => tracing::warn!(
            "{name} does not answer: {why}; unless it does, the service manager ends this program"
        ),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::*;

    /// How a part answers.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum As {
        Well,
        Failed,
        Hung,
    }

    type Told = mpsc::UnboundedReceiver<(Heard, bool)>;

    /// How long a part may take. A machine that is busy answers within it.
    const PATIENCE: Duration = Duration::from_millis(400);

    /// A watchdog over a part that answers as the sender says; how often it was asked, and what is told.
    fn over_one() -> (watch::Sender<As>, watch::Receiver<u64>, Told) {
        let (answers, given) = watch::channel(As::Well);
        let (count, counted) = watch::channel(0);
        let (tell, told) = mpsc::unbounded_channel();
        let ask = move || {
            let mut given = given.clone();
            count.send_modify(|asked| *asked += 1);
            async move {
                let answer = *given.wait_for(|answer| *answer != As::Hung).await?;
                anyhow::ensure!(answer == As::Well, "broken");
                Ok(())
            }
        };
        let program = Handle::current();
        tokio::spawn(async move {
            let dog = Watchdog::default().over("the part", ask);
            let tell = |heard: &Heard, changed| drop(tell.send((heard.clone(), changed)));
            dog.keep(&program, PATIENCE, tell).await;
        });
        (answers, counted, told)
    }

    /// Takes what is told until it is this. A machine that is busy may keep other parts waiting too.
    async fn until(told: &mut Told, is: impl Fn(&Heard) -> bool) -> (Heard, bool) {
        loop {
            let next = told.recv().await.unwrap();
            if is(&next.0) {
                return next;
            }
        }
    }

    fn is_trouble(heard: &Heard) -> bool {
        matches!(heard, Heard::Not("the part", _))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn while_a_part_fails_nothing_is_heard_of_the_program() {
        let (answers, mut asked, mut told) = over_one();
        until(&mut told, |heard| *heard == Heard::All).await;
        answers.send_replace(As::Failed);
        let (trouble, _) = until(&mut told, is_trouble).await;
        assert_eq!(trouble, Heard::Not("the part", "broken".into()));
        let before = *asked.borrow();
        asked.wait_for(|asked| *asked > before + 3).await.unwrap();
        let mut last = trouble;
        while let Ok((heard, _)) = told.try_recv() {
            assert!(heard != Heard::All && heard != last, "{heard:?}");
            last = heard;
        }
        answers.send_replace(As::Well);
        assert!(until(&mut told, |heard| *heard == Heard::All).await.1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_that_hangs_is_told_of_while_it_does_and_is_asked_once() {
        let (answers, asked, mut told) = over_one();
        answers.send_replace(As::Hung);
        let (trouble, _) = until(&mut told, is_trouble).await;
        assert_eq!(trouble, Heard::Not("the part", "no answer in 400ms".into()));
        let before = *asked.borrow();
        tokio::time::sleep(2 * PATIENCE).await;
        assert_eq!(*asked.borrow(), before);
        answers.send_replace(As::Well);
        assert!(until(&mut told, |heard| *heard == Heard::All).await.1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_runtime_that_is_blocked_is_told_of() {
        let (tell, told) = std::sync::mpsc::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let program = Handle::current();
        // The only worker does nothing else until it is told to.
        let (began, begun) = std::sync::mpsc::channel();
        let blocked = tokio::spawn(async move {
            began.send(()).unwrap();
            wait.recv()
        });
        begun.recv().unwrap();
        let own = thread::spawn(move || {
            let own = runtime::Builder::new_current_thread().enable_time().build();
            let tell = |heard: &Heard, _| drop(tell.send(heard.clone()));
            let dog = Watchdog::default();
            let keeping = dog.keep(&program, Duration::from_millis(5), tell);
            let stopped = async { timeout(Duration::from_millis(200), keeping).await };
            own.unwrap().block_on(stopped).unwrap_err();
        });
        own.join().unwrap();
        assert_eq!(
            told.recv().unwrap(),
            Heard::Not("the runtime", "no answer in 5ms".into())
        );
        go_on.send(()).unwrap();
        blocked.await.unwrap().unwrap();
    }
}
