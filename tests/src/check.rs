//! Looking at what the programs printed; and what a test says that cannot look.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::wait;

/// Says loudly that this machine cannot run a test. Where none may be left out (`CI` is set) that is a failure.
///
/// # Panics
/// There.
pub fn not_tested(why: &str) {
    let all = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!all, "NOT TESTED, and CI is set: {why}");
    eprintln!("NOT TESTED: {why}");
}

/// The page of figures that a program with `[metrics] listen` on this port gives.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn figures(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the figures");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .expect("a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    page
}

/// The object has all these fields, `null` or not.
///
/// # Panics
/// When one is missing.
pub fn has_fields(object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(object.get(field).is_some(), "no {field} in {object}");
    }
}

/// The schema of an answer.
///
/// # Panics
/// When it is another one.
pub fn has_schema(answer: &Value, command: &str) {
    assert_eq!(answer["schema"], format!("p2pctl.{command}/1"));
}

/// The element of a list whose field has this value.
#[must_use]
pub fn entry<'a>(list: &'a Value, field: &str, value: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|entry| entry[field] == value)
}

/// The bytes that each source gave, by name.
///
/// # Panics
/// When the answer has no sources.
#[must_use]
pub fn sources(download: &Value) -> Vec<(String, u64)> {
    let sources = download["sources"].as_array().expect("sources");
    let one = |source: &Value| {
        (
            source["peer"].as_str().map(str::to_owned),
            source["bytes"].as_u64(),
        )
    };
    let mut all: Vec<_> = sources
        .iter()
        .map(one)
        .map(|(peer, bytes)| (peer.expect("a name"), bytes.expect("a number")))
        .collect();
    all.sort();
    all
}

/// A time as RFC 3339 in UTC.
///
/// # Panics
/// When it is something else.
pub fn is_time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let shape = text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    assert!(shape, "{value} is no time");
}

/// Waits until a peer is, or is not, online in another's list of peers.
///
/// # Panics
/// When that takes longer than anything should.
pub fn until_online(asked: &crate::Peer, name: &str, online: bool) {
    wait::until("the list of peers to change", wait::SOON, || {
        let peers = asked.json(&["peers"]);
        let found = entry(&peers["peers"], "name", name)?;
        (found["online"] == online).then_some(())
    });
}
