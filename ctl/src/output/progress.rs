//! The moving line on a terminal, and the last line that stays. Owns the one line of the terminal that it draws; a
//! crash leaves that line as it was.

use std::{
    cell::RefCell,
    io::{self, Write},
    time::{Duration, Instant},
};

use p2p_proto::{ByteCount, v1::SourceBytes};

use super::{
    Output, one_line,
    screen::Size,
    time,
    width::{cut, shorten, width},
};

/// A label keeps so many columns, however long the figures are.
const LEAST_LABEL: usize = 8;
/// So much of what comes after the figures stays in sight beside a long label.
const SOME_TAIL: usize = 20;

/// Within this time the line is drawn so often at most: no eye follows more.
const OFTEN: (Duration, u32) = (Duration::from_secs(1), 20);

/// One moving line on stderr; nothing where progress is not wanted.
pub(crate) struct Progress {
    drawn: Option<RefCell<Drawn>>,
}

/// What was drawn, and how often lately.
#[derive(Default)]
struct Drawn {
    text: String,
    since: Option<Instant>,
    times: u32,
}

impl Drawn {
    /// Whether it may be drawn now; counts it.
    fn may(&mut self, now: Instant) -> bool {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= OFTEN.0)
        {
            self.since = Some(now);
            self.times = 0;
        }
        self.times += 1;
        self.times <= OFTEN.1
    }
}

impl Progress {
    /// Draws only where [`Output::shows_progress`] says so.
    pub(crate) fn new(out: &Output) -> Self {
        Self {
            drawn: out.shows_progress().then(RefCell::default),
        }
    }

    /// Replaces the line.
    pub(crate) fn show(&self, line: impl FnOnce() -> Moving) {
        let Some(drawn) = &self.drawn else { return };
        let mut drawn = drawn.borrow_mut();
        if drawn.may(Instant::now()) {
            // The last column stays free: some terminals wrap there.
            let room = Size::of(io::stderr()).columns.saturating_sub(1);
            drawn.text = line().fitted(room);
            draw(&drawn.text);
        }
    }

    /// Does something that writes to the terminal, with the line out of its way.
    pub(crate) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(drawn) = &self.drawn else { return work() };
        let drawn = drawn.borrow();
        if drawn.text.is_empty() {
            return work();
        }
        draw("");
        let done = work();
        draw(&drawn.text);
        done
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        let drawn = self.drawn.as_ref().map(|drawn| drawn.take().text);
        if drawn.is_some_and(|text| !text.is_empty()) {
            draw("");
        }
    }
}

/// Over what the terminal's line has, with the cursor back where it begins: the `^C` that a terminal shows stands in this
/// line then and goes with it, however long it is.
fn draw(text: &str) {
    let mut stderr = io::stderr().lock();
    // A closed stderr shows nothing, as it should.
    let _ = write!(stderr, "\r{text}\x1b[K\r").and_then(|()| stderr.flush());
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A line that moves: what it is about, its figures, and what else there is to know.
#[derive(Clone, Debug)]
pub(crate) struct Moving {
    label: String,
    figures: String,
    tail: String,
}

impl Moving {
    /// Without figures.
    pub(crate) fn new(label: &str, tail: String) -> Self {
        Self {
            label: one_line(label),
            figures: String::new(),
            tail,
        }
    }

    /// With this after it.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.tail.push_str(more);
        self
    }

    /// The whole line.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        format!("{}{}{}", begin(&self.label), self.figures, self.tail)
    }

    /// In so many columns: a long label loses its middle, then the end is cut, and the figures stay.
    fn fitted(&self, room: usize) -> String {
        let figures = width(&self.figures) + width(&self.tail).min(SOME_TAIL) + 2;
        let label = shorten(&self.label, room.saturating_sub(figures).max(LEAST_LABEL));
        cut(&format!("{}{}{}", begin(&label), self.figures, self.tail), room)
    }
}

/// How far something is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    pub(crate) done: u64,
    /// `None`: not known before the end.
    pub(crate) total: Option<u64>,
    /// Bytes per second.
    pub(crate) rate: u64,
}

impl Step {
    /// Whole percent, rounded down; 100 only when all is done.
    pub(crate) fn percent(&self) -> Option<u64> {
        let total = self.total?;
        if self.done >= total {
            return Some(100);
        }
        Some((u128::from(self.done) * 100 / u128::from(total)) as u64)
    }

    /// Seconds to come at this rate.
    fn eta(&self) -> Option<u64> {
        let left = self.total?.checked_sub(self.done)?;
        left.checked_div(self.rate)
    }

    /// `scan.tar   61 %  2.5 GiB of 4.1 GiB  940 MiB/s  12 s left`.
    pub(crate) fn line(&self, label: &str) -> Moving {
        let mut line = String::new();
        if let (Some(percent), Some(total)) = (self.percent(), self.total) {
            line.push_str(&format!(
                "{percent:>3} %  {} of {}",
                ByteCount(self.done),
                ByteCount(total)
            ));
        } else {
            line.push_str(&ByteCount(self.done).to_string());
        }
        if self.rate > 0 {
            line.push_str(&format!("  {}", rate(self.rate)));
        }
        if let Some(eta) = self.eta().filter(|&eta| eta > 0) {
            line.push_str(&format!("  {} left", time::span(eta)));
        }
        Moving {
            label: one_line(label),
            figures: line,
            tail: String::new(),
        }
    }
}

/// The line that stays: `Importing  100 %  4.1 GiB  1.6 GiB/s`. `moved` bytes took `seconds`.
pub(crate) fn finished(label: &str, size: u64, moved: u64, seconds: f64) -> String {
    let mut line = format!("{}100 %  {}", begin(label), ByteCount(size));
    if let Some(per_second) = per_second(moved, seconds) {
        line.push_str(&format!("  {}", rate(per_second)));
    }
    line
}

/// The line that stays of one target: `Placing    gpu1 100 %`.
pub(crate) fn finished_at(label: &str, target: &str) -> String {
    format!("{}{} 100 %", begin(label), one_line(target))
}

/// `  from ws1, gpu1`; empty without sources.
pub(crate) fn from(sources: &[SourceBytes]) -> String {
    let names: Vec<_> = sources.iter().map(|source| one_line(&source.peer)).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("  from {}", names.join(", "))
    }
}

/// Bytes per second; `None` when nothing moved or no time went by.
pub(crate) fn per_second(bytes: u64, seconds: f64) -> Option<u64> {
    let rate = bytes as f64 / seconds;
    (seconds > 0.0 && rate.is_finite() && rate >= 1.0).then_some(rate as u64)
}

/// Bytes since the start, per second.
pub(crate) fn average(bytes: u64, elapsed: Duration) -> u64 {
    per_second(bytes, elapsed.as_secs_f64()).unwrap_or_default()
}

/// `92 MiB/s`; nothing moves: `0`.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    match bytes_per_second {
        0 => "0".to_owned(),
        bytes => format!("{}/s", ByteCount(bytes)),
    }
}

/// A label in a column of its own, 11 wide.
pub(crate) fn begin(label: &str) -> String {
    let label = one_line(label);
    let blank = 11_usize.saturating_sub(width(&label)).max(2);
    format!("{label}{}", " ".repeat(blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_as_promised() {
        let size = 4_402_341_478;
        assert_eq!(
            finished("Importing", size, 3 << 30, 2.0),
            "Importing  100 %  4.1 GiB  1.5 GiB/s"
        );
        let sources = ["ws1", "gpu1"].map(|peer| SourceBytes {
            peer: peer.into(),
            bytes: 1,
        });
        assert_eq!(
            format!("{}{}", finished("scan.tar", size, 940 << 20, 1.0), from(&sources)),
            "scan.tar   100 %  4.1 GiB  940 MiB/s  from ws1, gpu1"
        );
        assert_eq!(finished("empty", 0, 0, 0.0), "empty      100 %  0 B");
        assert_eq!(
            finished("a-rather-long-name.tar", 1, 0, 1.0),
            "a-rather-long-name.tar  100 %  1 B"
        );
    }

    #[test]
    fn the_moving_line_says_how_far_and_how_long() {
        let step = Step {
            done: 61 << 20,
            total: Some(100 << 20),
            rate: 13 << 20,
        };
        assert_eq!(
            step.line("scan.tar").text(),
            "scan.tar    61 %  61.0 MiB of 100 MiB  13.0 MiB/s  3 s left"
        );
        let unknown = Step {
            done: 1024,
            ..Step::default()
        };
        assert_eq!(unknown.line("Importing").text(), "Importing  1.0 KiB");
    }

    #[test]
    fn a_moving_line_fits_and_keeps_its_figures() {
        let step = Step {
            done: 61 << 20,
            total: Some(100 << 20),
            rate: 13 << 20,
        };
        let figures = " 61 %  61.0 MiB of 100 MiB  13.0 MiB/s  3 s left";
        let long = "a-rather-long-name-of-a-file-that-nobody-would-type.tar.zst";
        let line = step.line(long).and("  from ws1, gpu1");
        for room in [79, 100, 60] {
            let fitted = line.fitted(room);
            assert!(width(&fitted) <= room && fitted.contains(figures), "{fitted}");
            assert!(fitted.starts_with("a-"), "{fitted}");
        }
        assert!(line.fitted(79).contains("…") && line.fitted(79).ends_with("from ws1, gpu1"));
        assert_eq!(line.fitted(200), line.text());
    }

    #[test]
    fn it_is_drawn_a_few_times_a_second() {
        let mut drawn = Drawn::default();
        let begin = Instant::now();
        assert_eq!((0..100).filter(|_| drawn.may(begin)).count(), 20);
        assert!(drawn.may(begin + OFTEN.0));
    }

    #[test]
    fn percent_is_100_only_at_the_end() {
        let percent = |done, total| Step { done, total, rate: 0 }.percent();
        assert_eq!(percent(u64::MAX - 1, Some(u64::MAX)), Some(99));
        assert_eq!(percent(0, Some(0)), Some(100));
        assert_eq!(percent(5, None), None);
    }

    #[test]
    fn rates_of_nothing() {
        assert_eq!(per_second(5, 0.0), None);
        assert_eq!(per_second(0, 1.0), None);
        assert_eq!(rate(0), "0");
    }
}
