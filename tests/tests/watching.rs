//! `p2pctl watch` beside a real p2pd: each event is a line, a restart loses and repeats none, and what ends it has its
//! exit code.

use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, ChildStdout, Stdio},
    sync::mpsc::{Receiver, channel},
};

use p2p_tests::{Peer, Terminal, World, check, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A watch that runs.
struct Watch {
    tool: Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
}

impl Watch {
    fn start(peer: &Peer, args: &[&str]) -> Self {
        let args = [&["watch", "--json"], args].concat();
        let mut tool = peer
            .command(&args)
            .stderr(Stdio::piped())
            .spawn()
            .expect("p2pctl");
        let lines = lines(tool.stdout.take().expect("a pipe"));
        Self {
            tool,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for an event about this file.
    fn sees(&mut self, name: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(wait::SOON);
            let line = line.unwrap_or_else(|_| panic!("no event about {name} after {:?}", self.seen));
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            check::has_schema(&event, "watch");
            check::has_fields(
                &event,
                &[
                    "id",
                    "type",
                    "message",
                    "file",
                    "transfer_id",
                    "peer",
                    "user",
                    "reason",
                ],
            );
            check::is_time(&event["at"]);
            self.seen.push(event.clone());
            if event["file"]["name"] == name {
                return event;
            }
        }
    }

    /// Ends it by Ctrl-C; the exit code and what it said on stderr.
    fn ends(mut self) -> (i32, String) {
        let id = Pid::from_child(&self.tool);
        kill_process(id, Signal::INT).expect("a running program");
        let mut said = String::new();
        let mut stderr = self.tool.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut said).expect("text");
        let status = self.tool.wait().expect("a program that ends");
        (status.code().unwrap_or(-1), said)
    }
}

fn lines(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn events_go_on_after_a_restart_and_none_comes_twice() {
    let mut world = World::start(&["a"]);
    let (one, _) = world.file("one.txt", 1, 1000);
    let (two, _) = world.file("two.txt", 2, 1000);
    let a = &mut world.peers[0];
    let mut watch = Watch::start(a, &[]);
    // Whatever comes first, the watch is there by then.
    wait::until("the first event", wait::SOON, || {
        a.upload(&one);
        let line = watch.lines.try_recv().ok()?;
        watch.seen.push(serde_json::from_str(&line).expect("an object"));
        a.json(&["rm", "one.txt", "--force"]);
        Some(())
    });
    for _ in 0..2 {
        assert_eq!(a.process.stop(), Some(0));
        a.restart();
    }
    a.upload(&two);
    watch.sees("two.txt");
    let mut ids: Vec<String> = watch.seen.iter().map(|event| event["id"].to_string()).collect();
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "{:?}", watch.seen);
    let (code, said) = watch.ends();
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("; the watch goes on when it is back."), "{said}");
    assert!(said.lines().count() <= 2, "{said}");
}

#[test]
fn a_watch_that_saw_nothing_yet_misses_nothing_over_a_restart() {
    let mut world = World::start(&["a"]);
    let (one, _) = world.file("one.txt", 1, 1000);
    let a = &mut world.peers[0];
    let mut tool = a
        .command(&["watch", "--verbose"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("p2pctl");
    let mut said = BufReader::new(tool.stderr.take().expect("a pipe")).lines();
    let is_open = |line: io::Result<String>| line.expect("text").contains("watching after event ");
    assert!(said.any(is_open), "the stream is open");
    let id = Pid::from_child(&tool);
    // It looks again only when all of this is over.
    kill_process(id, Signal::STOP).expect("a running program");
    a.process.kill();
    a.restart();
    a.upload(&one);
    kill_process(id, Signal::CONT).expect("a running program");
    let lines = lines(tool.stdout.take().expect("a pipe"));
    let about = || lines.recv_timeout(wait::SOON).expect("an event about one.txt");
    while !about().contains("one.txt") {}
    kill_process(id, Signal::INT).expect("a running program");
    assert_eq!(tool.wait().expect("a program that ends").code(), Some(130));
}

#[test]
fn a_person_sees_a_line_for_each_event() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let mut terminal = Terminal::start(&a.command(&["watch"]), (80, 24));
    let (source, _) = world.file("scan.tar", 1, 1000);
    let there = wait::often(wait::SOON, || {
        a.upload(&source);
        terminal.text().contains("scan.tar").then_some(())
    });
    assert!(there.is_some(), "{}", terminal.text());
    let text = terminal.text();
    let first = text.lines().next().unwrap_or_default();
    assert!(
        first.len() > 10 && &first[2..3] == ":" && &first[5..6] == ":",
        "{text}"
    );
    terminal.types("\x03");
    assert_eq!(terminal.ends().0, 130);
}

#[test]
fn what_ends_a_watch_has_its_code() {
    let mut world = World::start(&["a"]);
    let a = &mut world.peers[0];
    assert!(
        a.says(12, &["watch", "--timeout", "300ms"])
            .starts_with("p2pctl: not done within 300 ms")
    );
    assert_eq!(a.fails(12, &["watch", "--timeout", "300ms"])["kind"], "timed_out");
    a.process.stop();
    assert!(a.says(3, &["watch"]).contains("no such file. Is it running?"));
}
