//! The figures of both programs: the format is right, what docs/metrics.md says is there and nothing else, and they move.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use p2p_tests::{World, process::free_port, wait};

/// A page of figures that was read strictly.
#[derive(Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    labels: BTreeMap<String, BTreeSet<String>>,
    series: BTreeMap<String, f64>,
}

impl Page {
    /// Reads the text format, and complains of whatever a collector would refuse or mislike.
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut page = Self::default();
        let mut helped = BTreeSet::new();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help");
                assert!(is_name(name) && !help.trim().is_empty(), "{line}");
                assert!(helped.insert(name.to_owned()), "helped twice: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(helped.contains(name), "a type before its help: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let twice = page.kinds.insert(name.to_owned(), kind.to_owned());
                assert!(twice.is_none(), "typed twice: {line}");
                name.clone_into(&mut family);
            } else {
                page.sample(line, &family);
            }
        }
        assert_eq!(helped.len(), page.kinds.len());
        page.histograms_hold();
        page
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect("a brace")),
            None => (series, ""),
        };
        // All samples of a family stand together, after its head.
        let own = match self.kinds.get(family).map(String::as_str) {
            Some("histogram") => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| name == format!("{family}{end}")),
            _ => name == family,
        };
        assert!(own, "{line} stands among {family}");
        if self.kinds[family] != "gauge" {
            assert!(value >= 0.0, "{line}");
        }
        let known = self.labels.entry(family.to_owned()).or_default();
        for (label, _) in pairs(labels).into_iter().filter(|(label, _)| label != "le") {
            known.insert(label);
        }
        let twice = self.series.insert(series.to_owned(), value);
        assert!(twice.is_none(), "twice: {line}");
    }

    /// Buckets rise, and the last one is the count.
    fn histograms_hold(&self) {
        let histograms = self.kinds.iter().filter(|(_, kind)| *kind == "histogram");
        for (name, _) in histograms {
            let mut last: BTreeMap<String, (f64, f64)> = BTreeMap::new();
            let mut buckets: Vec<(String, f64, f64)> = Vec::new();
            for (series, value) in &self.series {
                let Some(labels) = series.strip_prefix(&format!("{name}_bucket{{")) else {
                    continue;
                };
                let (mut rest, mut bound) = (String::new(), f64::NAN);
                for (label, word) in pairs(labels.strip_suffix('}').expect("a brace")) {
                    if label == "le" {
                        bound = word.replace("+Inf", "inf").parse().expect("a bound");
                    } else {
                        rest = format!("{label}=\"{word}\"");
                    }
                }
                buckets.push((rest, bound, *value));
            }
            buckets.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            for (rest, bound, value) in buckets {
                let (_, before) = last.get(&rest).copied().unwrap_or((0.0, 0.0));
                assert!(value >= before, "{name} {rest} falls at {bound}");
                last.insert(rest, (bound, value));
            }
            for (rest, (bound, value)) in last {
                assert_eq!(bound, f64::INFINITY, "{name} {rest}");
                assert_eq!(
                    self.series[&format!("{name}_count{{{rest}}}")],
                    value,
                    "{name} {rest}"
                );
                assert!(
                    self.series.contains_key(&format!("{name}_sum{{{rest}}}")),
                    "{name} {rest}"
                );
            }
        }
    }

    fn get(&self, series: &str) -> f64 {
        *self
            .series
            .get(series)
            .unwrap_or_else(|| panic!("no {series} in {:?}", self.series.keys()))
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !text.contains("__")
}

/// `a="b",c="d"`, with what is escaped in the words.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect("a label");
        assert!(is_name(label), "{text}");
        let (mut word, mut end, mut escaped) = (String::new(), None, false);
        for (at, c) in after.char_indices() {
            match c {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                '"' if !escaped => {
                    end = Some(at);
                    break;
                }
                'n' if escaped => word.push('\n'),
                c => word.push(c),
            }
            escaped = false;
        }
        rest = &after[end.expect("the end of a word") + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
        pairs.push((label.to_owned(), word));
    }
    pairs
}

fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.to_lowercase()
            .contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    body
}

const ASK: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn ask(mut stream: impl Read + Write) -> String {
    stream.write_all(ASK).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn page(port: u16) -> Page {
    let answer = ask(TcpStream::connect(("127.0.0.1", port)).expect("the figures"));
    Page::read(body(&answer))
}

/// What docs/metrics.md says of a program: name → kind and labels.
fn documented(heading: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = include_str!("../../docs/metrics.md");
    let part = text
        .split("\n## ")
        .find(|part| part.starts_with(heading))
        .expect("a heading");
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        let words = |cell: &str| -> BTreeSet<String> {
            let words = cell.split('`').skip(1).step_by(2);
            words.map(str::to_owned).collect()
        };
        let name = words(cells[0]).pop_first().expect("a name");
        (name, (cells[1].to_owned(), words(cells[2])))
    })
    .collect()
}

/// Every documented figure is there with its kind and labels, and every figure is documented. Some are there only when
/// they are known.
fn is_as_documented(page: &Page, heading: &str) {
    let documented = documented(heading);
    let there: BTreeSet<&String> = page.kinds.keys().collect();
    assert_eq!(there, documented.keys().collect());
    for (name, (kind, labels)) in &documented {
        assert_eq!(&page.kinds[name], kind, "{name}");
        if let Some(found) = page.labels.get(name) {
            assert_eq!(found, labels, "{name}");
        }
    }
}

#[test]
fn the_figures_of_p2pd_are_as_documented_and_move() {
    let world = World::start(&["b"]);
    let port = free_port();
    let a = world.peer("a", &format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n"));
    let first = page(port);
    is_as_documented(&first, "p2pd");
    assert_eq!(first.get("p2pd_logged_in"), 0.0);
    assert!(!first.series.contains_key("p2pd_session_expiry_timestamp_seconds"));
    a.login(&world.directory, &world.ana);
    let (file, _) = world.file("scan.tar", 1, 3 << 20);
    world.peers[0].upload(&file);
    a.json(&["download", "scan.tar"]);
    let now = jiff::Timestamp::now().as_second() as f64;
    let after = wait::until("peers and pings", wait::SOON, || {
        let after = page(port);
        let known = after.series.get("p2pd_peers_online") == Some(&2.0);
        (known && after.get("p2pd_pings_total{outcome=\"answered\"}") > 0.0).then_some(after)
    });
    is_as_documented(&after, "p2pd");
    for (series, value) in [
        ("p2pd_logged_in", 1.0),
        ("p2pd_directory_reachable", 1.0),
        ("p2pd_received_bytes_total", f64::from(3 << 20)),
        ("p2pd_stored_files", 1.0),
        ("p2pd_stored_bytes", f64::from(3 << 20)),
        ("p2pd_transfers_ended_total{outcome=\"done\"}", 1.0),
        ("p2pd_transfers{state=\"transferring\"}", 0.0),
        ("p2pd_damaged_files", 0.0),
        ("p2pd_disk_faults_total", 0.0),
    ] {
        assert_eq!(after.get(series), value, "{series}");
    }
    assert!(after.get("p2pd_session_expiry_timestamp_seconds") > now);
    assert!(after.get("p2pd_certificate_expiry_timestamp_seconds") > now);
    assert!(after.get("p2pd_usable_bytes") > 0.0);
    // What a sends is counted too; and what is not TLS is refused.
    let c = world.peer("c", "");
    c.login(&world.directory, &world.ana);
    world.peers[0].json(&["rm", "scan.tar", "--force"]);
    c.json(&["download", "scan.tar"]);
    let mut stranger = TcpStream::connect(("127.0.0.1", a.port)).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    // How it is closed does not matter here.
    let _ = stranger.read_to_end(&mut heard);
    wait::until("the bytes and the refusal", wait::SOON, || {
        let page = page(port);
        let sent = page.get("p2pd_sent_bytes_total") == f64::from(3 << 20);
        let refused = page.get("p2pd_connections_refused_total{reason=\"handshake\"}") == 1.0;
        (sent && refused).then_some(())
    });
}

#[test]
fn what_fails_and_what_is_given_up_is_counted() {
    let mut world = World::start(&["b"]);
    let port = free_port();
    let a = world.peer("a", &format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n"));
    a.login(&world.directory, &world.ana);
    let (file, _) = world.file("scan.tar", 1, 1 << 20);
    world.peers[0].upload(&file);
    assert_eq!(world.peers[0].process.stop(), Some(0));
    let _ = a.fails(7, &["fetch", "scan.tar"]);
    let waiting = a.begin(&["fetch", "scan.tar", "--wait"]);
    let id = a.until_download("scan.tar", "waiting", wait::SOON)["id"].clone();
    a.json(&["cancel", id.as_str().expect("an id")]);
    let _ = waiting.end();
    world.directory.process.kill();
    wait::until("what failed", wait::SOON, || {
        let page = page(port);
        let ended = |how: &str| page.get(&format!("p2pd_transfers_ended_total{{outcome=\"{how}\"}}"));
        let pings = page.get("p2pd_pings_total{outcome=\"failed\"}");
        ((ended("done"), ended("failed"), ended("cancelled")) == (0.0, 1.0, 1.0) && pings > 0.0).then_some(())
    });
}

#[test]
fn the_figures_of_the_directory_are_as_documented_and_move() {
    let port = free_port();
    let metrics = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    let mut world = World::with_directory(&["a"], &metrics);
    let (file, _) = world.file("scan.tar", 1, 1 << 20);
    world.peers[0].upload(&file);
    let wrong = p2p_tests::Account {
        name: "ana".to_owned(),
        password: "a password that is wrong".to_owned(),
    };
    let b = world.peer("b", "");
    assert_eq!(
        b.try_login(&world.directory.url, &world.directory.fingerprint, &wrong)
            .code,
        4
    );
    let after = wait::until("the hold", wait::SOON, || {
        let page = page(port);
        (page.get("p2p_directory_holds") == 1.0).then_some(page)
    });
    is_as_documented(&after, "p2p-directory");
    for (series, value) in [
        ("p2p_directory_accounts", 1.0),
        ("p2p_directory_sessions", 1.0),
        ("p2p_directory_peers", 1.0),
        ("p2p_directory_peers_online", 1.0),
        ("p2p_directory_files", 1.0),
        ("p2p_directory_publications", 1.0),
        ("p2p_directory_logins_refused_total", 1.0),
        ("p2p_directory_rate_limited_total", 0.0),
        (
            "p2p_directory_requests_total{route=\"/api/v1/publications\",method=\"POST\",status=\"2xx\"}",
            1.0,
        ),
        (
            "p2p_directory_requests_total{route=\"/api/v1/login\",method=\"POST\",status=\"4xx\"}",
            1.0,
        ),
        (
            "p2p_directory_request_duration_seconds_count{route=\"/api/v1/publications\"}",
            1.0,
        ),
    ] {
        assert_eq!(after.get(series), value, "{series}");
    }
    // The same on the admin socket, for whoever may open it.
    let socket = world.folder.path().join("directory/run/admin.sock");
    let answer = ask(UnixStream::connect(&socket).unwrap());
    let admin = Page::read(body(&answer));
    is_as_documented(&admin, "p2p-directory");
    assert_eq!(admin.get("p2p_directory_files"), 1.0);
    // Paths that somebody makes up make no series.
    let series = page(port).series.len();
    for path in ["/nope", "/api/v1/files/nope", "/api/v1/nope?x=y"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    let now = page(port);
    assert_eq!(
        now.get("p2p_directory_requests_total{route=\"other\",method=\"GET\",status=\"4xx\"}"),
        3.0
    );
    // One for the count, and those of one histogram.
    assert!(
        now.series.len() <= series + 32,
        "{} after {series}",
        now.series.len()
    );
    world.peers[0].process.stop();
    wait::until("the peer to be gone", wait::SOON, || {
        (page(port).get("p2p_directory_peers_online") == 0.0).then_some(())
    });
}

#[test]
fn without_the_key_nothing_listens() {
    let world = World::start(&["a"]);
    assert_eq!(world.peers[0].process.said("metrics at"), 0);
    let address = world.peers[0].json(&["status"])["daemon"]["listen"].to_string();
    assert_eq!(address.matches(':').count(), 1, "{address}");
}
