//! The text format: families one after the other, each with `# HELP` and `# TYPE` before its samples.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write};

use super::{BOUNDS, Durations};

/// The content type of a [`Page`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of figures a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rises only; its name ends with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A page of figures.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    prefix: &'static str,
}

impl Page {
    /// Names on this page begin with `prefix` and an underscore. The first figure is which build this is.
    #[must_use]
    pub fn new(prefix: &'static str, version: &str) -> Self {
        let mut page = Self {
            text: String::new(),
            prefix,
        };
        let build = [(vec![("version", version)], 1.0)];
        page.family("build_info", Kind::Gauge, "Which build this is; always 1", build);
        page
    }

    /// A figure without labels.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<f64>) {
        self.family(name, kind, help, [(Vec::new(), value.into())]);
    }

    /// A count without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.one(name, Kind::Counter, help, value as f64);
    }

    /// A number of things without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.one(name, Kind::Gauge, help, value as f64);
    }

    /// A gauge that may be unknown: it is left out then.
    pub fn known(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.family(name, Kind::Gauge, help, value.map(|value| (Vec::new(), value)));
    }

    /// Figures that differ in their labels.
    pub fn family<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
    ) {
        debug_assert!((kind == Kind::Counter) == name.ends_with("_total"), "{name}");
        self.head(name, kind, help);
        for (labels, value) in samples {
            self.sample(name, "", &labels, value);
        }
    }

    /// Histograms that differ in one label.
    pub fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'a str, &'a Durations)>,
    ) {
        self.head(name, Kind::Histogram, help);
        for (word, durations) in samples {
            let mut so_far = 0;
            for (place, count) in durations.counts.iter().enumerate() {
                so_far += count;
                let bound = BOUNDS.get(place).map_or("+Inf".to_owned(), ToString::to_string);
                self.sample(name, "_bucket", &[(label, word), ("le", &bound)], so_far as f64);
            }
            let labels = [(label, word)];
            self.sample(name, "_sum", &labels, durations.sum.as_secs_f64());
            self.sample(name, "_count", &labels, so_far as f64);
        }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let prefix = self.prefix;
        self.write(format_args!("# HELP {prefix}_{name} {}\n", escaped(help, false)));
        self.write(format_args!("# TYPE {prefix}_{name} {}\n", kind.word()));
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let prefix = self.prefix;
        self.write(format_args!("{prefix}_{name}{suffix}"));
        for (place, (label, word)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            self.write(format_args!("{before}{label}=\"{}\"", escaped(word, true)));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{after} {value}\n"));
    }

    fn write(&mut self, text: impl Display) {
        // Writing to a text does not fail.
        let _ = write!(self.text, "{text}");
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page_reads_as_the_format_says() {
        let mut page = Page::new("x", "1.0");
        page.counter("bytes_total", "Bytes", 3);
        page.family(
            "odd",
            Kind::Gauge,
            "A \\ and\na line",
            [(vec![("a", "q\"q"), ("b", "\\")], 0.5)],
        );
        page.known("unknown", "Nothing", None);
        let mut durations = Durations::default();
        durations.add(Duration::from_millis(4));
        page.histograms("wait_seconds", "Waits", "route", [("/", &durations)]);
        let text = page.into_text();
        for line in [
            "x_build_info{version=\"1.0\"} 1",
            "# TYPE x_bytes_total counter",
            "x_bytes_total 3",
            "# HELP x_odd A \\\\ and\\na line",
            "x_odd{a=\"q\\\"q\",b=\"\\\\\"} 0.5",
            "# TYPE x_unknown gauge",
            "x_wait_seconds_bucket{route=\"/\",le=\"0.0025\"} 0",
            "x_wait_seconds_bucket{route=\"/\",le=\"0.005\"} 1",
            "x_wait_seconds_bucket{route=\"/\",le=\"+Inf\"} 1",
            "x_wait_seconds_sum{route=\"/\"} 0.004",
            "x_wait_seconds_count{route=\"/\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
