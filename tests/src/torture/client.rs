//! A running p2pctl and what it answers, success or not: nothing here panics because a daemon is gone.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use serde_json::Value;

use super::{Complaint, scene::BOUND};
use crate::{Answer, wait};

/// What a peer says that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) hash: String,
    pub(super) size: u64,
    pub(super) complete: bool,
}

/// By name.
pub(super) type Listed = BTreeMap<String, Held>;

/// A running p2pctl.
pub(super) struct Client(Child);

impl Client {
    /// Starts it with `--json`, and with this file as its standard input.
    pub(super) fn start(mut command: Command, stdin: Option<&Path>) -> Self {
        command.arg("--json");
        if let Some(path) = stdin {
            command.stdin(fs::File::open(path).expect("a test file"));
        }
        Self(command.spawn().expect("p2pctl"))
    }

    /// It has not ended.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end; a code of −1 when that took too long.
    pub(super) fn end(mut self, limit: Duration) -> Answer {
        let ended = wait::closely(limit, || (!self.runs()).then_some(()));
        if ended.is_none() {
            let _ = self.0.kill();
        }
        let output = self.0.wait_with_output().expect("p2pctl");
        Answer {
            code: match ended {
                Some(()) => output.status.code().unwrap_or(-1),
                None => -1,
            },
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What an answer says, if it is one of success.
pub(super) fn ok(answer: &Answer) -> Result<Value, Complaint> {
    match answer.code {
        0 => serde_json::from_slice(&answer.out).map_err(|error| format!("{error} in {answer:?}")),
        -1 => Err(format!("no answer in {BOUND:?}")),
        code => Err(format!("exit {code}: {}", told(answer))),
    }
}

/// The sentence of a failure.
pub(super) fn told(answer: &Answer) -> String {
    let error: Option<Value> = serde_json::from_slice(&answer.out).ok();
    let message = error.and_then(|error| Some(error["message"].as_str()?.to_owned()));
    message.unwrap_or_else(|| format!("{} {}", answer.text().trim(), answer.err.trim()))
}

/// What an answer of `list` says.
pub(super) fn listed(answer: &Value) -> Result<Listed, Complaint> {
    let files = answer["files"].as_array().ok_or("list has no files")?;
    let one = |file: &Value| {
        let held = Held {
            hash: file["hash"].as_str()?.to_owned(),
            size: file["size"].as_u64()?,
            complete: file["state"] == "complete",
        };
        Some((file["name"].as_str()?.to_owned(), held))
    };
    let all: Option<Listed> = files.iter().map(one).collect();
    all.ok_or_else(|| format!("list is not what was promised: {answer}"))
}
