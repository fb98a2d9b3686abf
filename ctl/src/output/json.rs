//! The JSON that scripts read: one typed object per command, `"schema": "p2pctl.COMMAND/1"` first. Fields are only
//! ever added; what is unknown is `null`. Owns no state.

mod copies;
mod files;
mod managing;
mod session;
mod tasks;
mod transfers;

pub(crate) use copies::{Copy, Replicate, Verify};
pub(crate) use files::{Held, Info, List, Peers, Rm, Search};
pub(crate) use managing::{Completions, Event, Limit, Passwd};
use p2p_proto::{Failure, FailureKind};
use serde::Serialize;
pub(crate) use session::{Login, Logout, Status, Whoami};
pub(crate) use tasks::{Transfer, Transfers};
pub(crate) use transfers::{Download, InputError, Upload, Uploaded};

/// The object as one line.
pub(crate) fn text<T: Serialize>(command: &str, body: &T) -> String {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        schema: String,
        #[serde(flatten)]
        body: &'a T,
    }
    let envelope = Envelope {
        schema: format!("p2pctl.{command}/1"),
        body,
    };
    serde_json::to_string(&envelope).expect("structs of text, numbers and lists always serialise")
}

/// An empty text of the wire means "never" or "unknown".
fn known(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// `p2pctl.error/1`.
#[derive(Serialize)]
pub(crate) struct Error<'a> {
    code: u8,
    kind: FailureKind,
    message: &'a str,
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    candidates: &'a [String],
}

impl<'a> From<&'a Failure> for Error<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            code: failure.kind.exit_code(),
            kind: failure.kind,
            message: &failure.message,
            hint: failure.hint.as_deref(),
            candidates: &failure.candidates,
        }
    }
}

#[cfg(test)]
mod tests;
