//! What an upload takes and refuses.

use std::{io, path::PathBuf};

use p2p_proto::{
    MAX_DATA_CHUNK,
    v1::{UploadHeader, upload_stream_request::Part},
};
use tokio::sync::mpsc;

use super::{input::own_name, stream::feed, *};
use crate::output::{Output, progress::Progress};

fn quiet() -> Progress {
    Progress::new(&Output::for_usage(true, false))
}

fn header() -> UploadHeader {
    UploadHeader {
        name: "x".into(),
        visibility: "public".into(),
        copies: None,
    }
}

#[test]
fn names_are_checked_before_anything_is_sent() {
    for (path, good) in [
        ("dir/scan.tar", true),
        ("./A\u{308}", true),
        ("a\u{202e}b", false),
        ("x\n", false),
    ] {
        assert_eq!(own_name(Path::new(path)).is_ok(), good, "{path:?}");
    }
    for folder in ["..", ".", "/", "a/"] {
        let failure = own_name(Path::new(folder)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Usage);
        assert!(
            failure
                .message
                .ends_with("folders come later: upload the files one by one"),
            "{}",
            failure.message
        );
    }
}

#[test]
fn stdin_goes_alone_and_needs_a_name() {
    let name = || Some("x".parse().unwrap());
    for (paths, name, good) in [
        (vec!["-"], name(), true),
        (vec!["-"], None, false),
        (vec!["-", "a"], None, false),
        (vec!["a", "b"], name(), false),
        (vec!["a", "b"], None, true),
        (vec!["a"], name(), true),
    ] {
        let result = inputs(paths.iter().map(PathBuf::from).collect(), name);
        assert_eq!(result.is_ok(), good, "{paths:?}");
        if let Err(failure) = result {
            assert_eq!(failure.kind, FailureKind::Usage);
        }
    }
}

#[test]
fn a_failure_names_its_input_once() {
    let about =
        |message: &str| about(Path::new("a.txt"), Failure::new(FailureKind::Internal, message)).message;
    assert_eq!(about("not logged in"), "a.txt: not logged in");
    assert_eq!(about("a.txt: no such file"), "a.txt: no such file");
}

#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "x").unwrap();
    nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    open(&path("file")).unwrap();
    assert_eq!(open(&path("none")).unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(open(folder.path()).unwrap_err().kind, FailureKind::Usage);
    // Nobody writes to it: opening must not wait.
    let failure = open(&path("fifo")).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Usage);
    assert!(failure.hint.unwrap().contains("p2pctl upload - --name NAME < "));
}

async fn fed(input: impl tokio::io::AsyncRead + Unpin) -> (Result<(), Failure>, Vec<Part>) {
    let (sender, mut receiver) = mpsc::channel(64);
    let result = feed(sender, header(), input, quiet()).await;
    let mut parts = Vec::new();
    while let Some(message) = receiver.recv().await {
        parts.push(message.part.unwrap());
    }
    (result, parts)
}

#[tokio::test]
async fn a_pipe_is_cut_into_bounded_messages_with_an_end() {
    for size in [
        0,
        1,
        MAX_DATA_CHUNK - 1,
        MAX_DATA_CHUNK,
        MAX_DATA_CHUNK + 1,
        3 * MAX_DATA_CHUNK,
    ] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let (result, parts) = fed(&content[..]).await;
        result.unwrap();
        assert_eq!(parts.first(), Some(&Part::Header(header())));
        assert_eq!(parts.last(), Some(&Part::End(size as u64)));
        let mut sent = Vec::new();
        for part in &parts[1..parts.len() - 1] {
            let Part::Data(data) = part else {
                panic!("data between header and end");
            };
            assert!((1..=MAX_DATA_CHUNK).contains(&data.len()));
            sent.extend_from_slice(data);
        }
        assert_eq!(sent, content);
    }
}

/// Gives some bytes, then fails.
struct Broken(bool);

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if self.0 {
            return std::task::Poll::Ready(Err(io::Error::other("cut")));
        }
        self.0 = true;
        buffer.put_slice(b"some");
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_broken_pipe_has_no_end_message() {
    let (result, parts) = fed(Broken(false)).await;
    assert_eq!(result.unwrap_err().message, "stdin: cut");
    assert!(!parts.iter().any(|part| matches!(part, Part::End(_))));
}

#[test]
fn copies_that_fail_leave_the_file_published() {
    let kind = |kind| in_part(Failure::new(kind, "x")).kind;
    for told in [
        FailureKind::NotFound,
        FailureKind::Unreachable,
        FailureKind::NotLoggedIn,
        FailureKind::Partial,
    ] {
        assert_eq!(kind(told), FailureKind::Partial);
    }
    assert_eq!(
        kind(FailureKind::DaemonUnreachable),
        FailureKind::DaemonUnreachable
    );
}
