//! What the menu asks before it runs a command. Owns no state.

use std::path::PathBuf;

use p2p_proto::{Failure, FailureKind, Visibility};

use crate::{
    ask::{Terminal, Wanted, path_of},
    cli::{Command, CopiesArgs, DownloadArgs, OnConflict, SearchArgs, UploadArgs},
    context::Context,
    output::one_line,
};

const COPIES: u32 = 2;
const MOST_COPIES: u32 = 64;

/// Why there is no answer.
pub(super) enum Question {
    /// The person wants something else.
    GivenUp,
    Failed(Failure),
}

impl From<Failure> for Question {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What to download, and where to.
pub(super) async fn download(ctx: &Context, terminal: &mut Terminal) -> Result<DownloadArgs, Question> {
    let reference = needed(ctx, terminal, "Name or hash: ", Wanted::Text).await?;
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let question = format!("Where to [{}]: ", one_line(&here.to_string_lossy()));
    let output = asked(ctx, terminal, &question, Wanted::Path).await?;
    Ok(DownloadArgs {
        reference: reference.trim().to_owned(),
        output: (!output.trim().is_empty()).then(|| file(&output)),
        on_conflict: OnConflict::Fail,
        wait: false,
        no_keep: false,
    })
}

/// What to upload, and how many copies there shall be.
pub(super) async fn upload(ctx: &Context, terminal: &mut Terminal) -> Result<Command, Question> {
    let path = needed(ctx, terminal, "File: ", Wanted::Path).await?;
    let question = format!("Copies [{COPIES}]: ");
    let copies = loop {
        let typed = asked(ctx, terminal, &question, Wanted::Text).await?;
        match copies(&typed) {
            Some(copies) => break copies,
            None => terminal.say(&format!("Write a number from 1 to {MOST_COPIES}."))?,
        }
    };
    Ok(Command::Upload(UploadArgs {
        paths: vec![file(&path)],
        name: None,
        visibility: Visibility::Public,
        copies: CopiesArgs {
            copies: Some(copies),
            to: Vec::new(),
        },
        no_wait: false,
    }))
}

/// What to search for.
pub(super) async fn search(ctx: &Context, terminal: &mut Terminal) -> Result<Command, Question> {
    let query = asked(ctx, terminal, "Part of the name [all]: ", Wanted::Text).await?;
    Ok(Command::Search(SearchArgs {
        query: Some(query.trim().to_owned()).filter(|query| !query.is_empty()),
        owner: None,
        limit: None,
    }))
}

/// Where a download failed for want of a flag: which one the person wants, if any.
pub(super) async fn instead(
    ctx: &Context,
    terminal: &mut Terminal,
    kind: FailureKind,
    args: &mut DownloadArgs,
) -> Result<bool, Question> {
    let question = match kind {
        FailureKind::OutputExists => "Overwrite it, or rename the new one? [o/r/N] ",
        FailureKind::NoHolderOnline => "Wait for a holder? [y/N] ",
        _ => return Ok(false),
    };
    let answer = asked(ctx, terminal, question, Wanted::Text).await?;
    match (kind, answer.trim().to_lowercase().as_str()) {
        (FailureKind::OutputExists, "o" | "overwrite") => args.on_conflict = OnConflict::Overwrite,
        (FailureKind::OutputExists, "r" | "rename") => args.on_conflict = OnConflict::Rename,
        (FailureKind::NoHolderOnline, "y" | "yes") => args.wait = true,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn asked(
    ctx: &Context,
    terminal: &mut Terminal,
    question: &str,
    wanted: Wanted,
) -> Result<String, Question> {
    let answer = terminal.ask(ctx, question, wanted).await?;
    answer
        .map(|text| text.as_str().to_owned())
        .ok_or(Question::GivenUp)
}

/// The same; nothing typed is nothing wanted.
async fn needed(
    ctx: &Context,
    terminal: &mut Terminal,
    question: &str,
    wanted: Wanted,
) -> Result<String, Question> {
    let answer = asked(ctx, terminal, question, wanted).await?;
    match answer.trim().is_empty() {
        true => Err(Question::GivenUp),
        false => Ok(answer),
    }
}

/// A path; never stdin or stdout.
fn file(typed: &str) -> PathBuf {
    match path_of(typed) {
        path if path.as_os_str() == "-" => PathBuf::from("./-"),
        path => path,
    }
}

fn copies(typed: &str) -> Option<u32> {
    match typed.trim() {
        "" => Some(COPIES),
        typed => typed
            .parse()
            .ok()
            .filter(|count| (1..=MOST_COPIES).contains(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_two_unless_said_otherwise() {
        for (typed, count) in [
            ("", Some(2)),
            (" 3 ", Some(3)),
            ("64", Some(64)),
            ("0", None),
            ("65", None),
            ("x", None),
        ] {
            assert_eq!(copies(typed), count);
        }
    }

    #[test]
    fn a_dash_is_a_file() {
        assert_eq!(file("-"), PathBuf::from("./-"));
    }
}
