//! No line repeats itself without an end: of what is said at one place of the program, a few lines a minute are written
//! and the rest is counted. [`tell_floods`] says the count. In memory only.
//!
//! This is the bound on everything that others can provoke. What is done on the order of the account that is logged in
//! here, or of an administrator, is told each time: each line tells of another thing. Who says something of one source
//! says it once a minute ([`crate::once`]), so that a single one cannot use the lines up.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place in a [`WINDOW`]. The figure is for what an operator reads; debug and trace are not counted.
const MOST: u32 = 20;

/// A piece of information with one of these fields, if only an empty one, tells what was done on an own order: nobody else
/// can provoke it.
const OWN: [&str; 2] = ["own", "admin"];

/// After so long a place may speak again.
const WINDOW: Duration = Duration::from_secs(60);

/// How often what was left out is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The longest text that is repeated in a count, in characters.
const SHOWN: usize = 120;

static PLACES: LazyLock<Mutex<Places>> = LazyLock::new(Mutex::default);

/// A place of the program that logs is there as often as it was compiled: their number is bounded.
type Places = HashMap<Identifier, Said>;

struct Said {
    since: Instant,
    lines: u32,
    left_out: u64,
    level: Level,
    /// The first text that was left out.
    like: String,
}

fn places() -> MutexGuard<'static, Places> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a few lines of each place through.
pub(super) struct Flood;

impl<S: Subscriber> Filter<S> for Flood {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let level = *metadata.level();
        level > Level::INFO
            || metadata.target() == module_path!()
            || level == Level::INFO && OWN.iter().any(|own| metadata.fields().field(own).is_some())
            || may_say(&mut places(), event, level, Instant::now())
    }
}

fn may_say(places: &mut Places, event: &Event<'_>, level: Level, now: Instant) -> bool {
    let said = places.entry(event.metadata().callsite()).or_insert_with(|| Said {
        since: now,
        lines: 0,
        left_out: 0,
        level,
        like: String::new(),
    });
    // What was left out is told before the place speaks again.
    if now.duration_since(said.since) >= WINDOW && said.left_out == 0 {
        said.since = now;
        said.lines = 0;
    }
    if said.lines < MOST {
        said.lines += 1;
        return true;
    }
    if said.left_out == 0 {
        said.like = text_of(event);
    }
    said.left_out += 1;
    false
}

/// What was left out of each place whose window is over: how often, and what it was like.
fn over(places: &mut Places, now: Instant) -> Vec<(Level, u64, String)> {
    let ended = places
        .values_mut()
        .filter(|said| said.left_out > 0 && now.duration_since(said.since) >= WINDOW);
    ended
        .map(|said| {
            said.since = now;
            said.lines = 0;
            let left_out = std::mem::take(&mut said.left_out);
            (said.level, left_out, std::mem::take(&mut said.like))
        })
        .collect()
}

/// Until `stop`, and then once more: tells what was left out.
pub async fn tell_floods(stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(TELL_EVERY))
        .await
        .is_some()
    {
        tell(Instant::now());
    }
    // What is counted now would be told by nobody.
    tell(Instant::now() + WINDOW);
}

fn tell(now: Instant) {
    let ended = over(&mut places(), now);
    for (level, left_out, like) in ended {
        match level {
            Level::ERROR => tracing::error!("and {left_out} more like it: {like}"),
            Level::WARN => tracing::warn!("and {left_out} more like it: {like}"),
            _ => tracing::info!("and {left_out} more like it: {like}"),
        }
    }
}

fn text_of(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                // Writing to a text does not fail.
                let _ = write!(self.0, "{value:?}");
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{Layer, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        /// It gets what is logged in this thread, until the answer is dropped.
        fn listens(&self) -> tracing::subscriber::DefaultGuard {
            let written = self.clone();
            let lines = tracing_subscriber::fmt::layer()
                .with_writer(move || written.clone())
                .with_filter(Flood);
            tracing::subscriber::set_default(tracing_subscriber::registry().with(lines))
        }
    }

    #[test]
    fn a_flood_is_a_few_lines_and_a_count() {
        let sink = Sink::default();
        let _log = sink.listens();
        let flood = |count| {
            for number in 0..count {
                tracing::warn!("a guest knocks, number {number}");
            }
        };
        let said = |part: &str| {
            let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            text.lines().filter(|line| line.contains(part)).count()
        };
        flood(MOST + 312);
        tracing::warn!("another thing");
        assert_eq!(
            (said("a guest knocks"), said("another thing")),
            (MOST as usize, 1)
        );
        tell(Instant::now());
        assert_eq!(said("more like it"), 0);
        tell(Instant::now() + WINDOW);
        let count = format!("and 312 more like it: a guest knocks, number {MOST}");
        assert_eq!((said(&count), said("more like it")), (1, 1));
        // And then it may be said again.
        flood(1);
        assert_eq!(said("a guest knocks, number 0"), 2);
    }

    #[test]
    fn what_was_done_on_an_own_order_is_told_each_time() {
        let sink = Sink::default();
        let _log = sink.listens();
        for number in 0..100 {
            tracing::info!(
                own = tracing::field::Empty,
                ACCOUNT = "ana",
                "published ana/file-{number}@1"
            );
            tracing::info!(admin = true, "account user-{number} added");
            tracing::info!(ACCOUNT = "ana", "logged in from elsewhere, number {number}");
            tracing::warn!(ACCOUNT = "ana", "a trouble, number {number}");
        }
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let said = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!((said("published ana/"), said(" added")), (100, 100));
        assert!(!text.contains("own"), "{text}");
        assert_eq!(
            (said("from elsewhere"), said("a trouble")),
            (MOST as usize, MOST as usize)
        );
    }

    #[test]
    fn what_a_developer_asks_for_is_not_cut() {
        let sink = Sink::default();
        let written = sink.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || written.clone())
            .with_filter(Flood);
        let subscriber = tracing_subscriber::registry().with(lines);
        let _log = tracing::subscriber::set_default(subscriber);
        for _ in 0..100 {
            tracing::debug!("a step");
        }
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 100);
    }
}
