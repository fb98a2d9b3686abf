//! `verify`: has stored content hashed again, and says what was not as it should be.

use p2p_proto::{
    ByteCount, Failure, FailureKind,
    v1::{VerifiedFile, VerifyDone, VerifyRequest, verify_event::Event},
};

use crate::{
    cli::VerifyArgs,
    context::Context,
    exit::Stop,
    output::{
        json, one_line,
        progress::{self, Progress, Step},
    },
};

/// Verifies; what stays damaged is a failure.
pub(crate) async fn run(ctx: &Context, args: VerifyArgs) -> Result<(), Stop> {
    let (done, results) = follow(ctx, args).await?;
    let failure = damaged(&done);
    if ctx.out.is_json() {
        ctx.out.json("verify", &json::Verify::new(done, results))?;
        return match failure {
            Some(failure) => Err(Stop::Told(failure.kind)),
            None => Ok(()),
        };
    }
    ctx.out.line(summary(&done))?;
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// The sums, and with `--json` each result.
async fn follow(ctx: &Context, args: VerifyArgs) -> Result<(VerifyDone, Vec<VerifiedFile>), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = VerifyRequest {
        r#ref: args.reference.unwrap_or_default(),
    };
    let answer = daemon.client.verify(request).await;
    let mut events = answer.map_err(|status| daemon.failure(status))?.into_inner();
    let line = Progress::new(&ctx.out);
    let begin = std::time::Instant::now();
    let mut results = Vec::new();
    while let Some(event) = events.message().await.map_err(|status| daemon.failure(status))? {
        match event.event {
            Some(Event::Progress(progress)) => line.show(|| {
                let step = Step {
                    done: progress.done_bytes,
                    total: Some(progress.total_bytes),
                    rate: progress::average(progress.done_bytes, begin.elapsed()),
                };
                step.line("Verifying")
            }),
            Some(Event::File(file)) if ctx.out.is_json() => results.push(file),
            Some(Event::File(file)) => {
                if let Some(text) = found(&file) {
                    line.aside(|| ctx.out.line(text))?;
                }
            }
            Some(Event::Done(done)) => return Ok((done, results)),
            None => {}
        }
    }
    let message = "p2pd ended the verification without saying what it found";
    Err(Failure::new(FailureKind::Unreachable, message).into())
}

/// `scan.tar@1  damaged: 3 groups differ; no other peer has it`; nothing of a good one.
fn found(file: &VerifiedFile) -> Option<String> {
    let publication = file.publication.clone().unwrap_or_default();
    let state = file.state.as_str();
    let what = match file.reason.as_str() {
        _ if state == "good" => return None,
        "" => state.to_owned(),
        // "healed from gpu1" says it all.
        reason if reason.starts_with(state) => reason.to_owned(),
        reason => format!("{state}: {reason}"),
    };
    let name = format!("{}@{}", publication.name, publication.version);
    Some(format!("{}  {}", one_line(&name), one_line(&what)))
}

/// `12 files, 4.1 GiB verified; 1 healed, 0 damaged.`
fn summary(done: &VerifyDone) -> String {
    let bytes = ByteCount(done.bytes);
    let (healed, damaged) = (done.healed, done.damaged);
    format!(
        "{}, {bytes} verified; {healed} healed, {damaged} damaged.",
        files(done.files)
    )
}

fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

fn damaged(done: &VerifyDone) -> Option<Failure> {
    let which = match done.damaged {
        0 => return None,
        1 => "1 file stays damaged and is not served".to_owned(),
        count => format!("{count} files stay damaged and are not served"),
    };
    let hint = "Once another peer has the content: p2pctl verify";
    Some(Failure::new(FailureKind::HashMismatch, which).hint(hint))
}

#[cfg(test)]
mod tests {
    use p2p_proto::v1::Publication;

    use super::*;

    fn file(state: &str, reason: &str) -> VerifiedFile {
        VerifiedFile {
            publication: Some(Publication {
                owner: "ana".into(),
                name: "scan.tar".into(),
                version: 1,
                ..Publication::default()
            }),
            state: state.into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn only_what_is_not_good_has_a_line() {
        assert_eq!(found(&file("good", "")), None);
        for (state, reason, expected) in [
            (
                "damaged",
                "3 groups differ; no other peer has it",
                "scan.tar@1  damaged: 3 groups differ; no other peer has it",
            ),
            ("healed", "healed from gpu1", "scan.tar@1  healed from gpu1"),
            (
                "healed",
                "3 groups differed",
                "scan.tar@1  healed: 3 groups differed",
            ),
            ("damaged", "", "scan.tar@1  damaged"),
        ] {
            assert_eq!(found(&file(state, reason)).unwrap(), expected);
        }
    }

    #[test]
    fn the_last_line_counts() {
        let mut done = VerifyDone {
            files: 12,
            bytes: 4_402_341_478,
            healed: 1,
            damaged: 0,
        };
        assert_eq!(summary(&done), "12 files, 4.1 GiB verified; 1 healed, 0 damaged.");
        assert_eq!(damaged(&done), None);
        done = VerifyDone {
            files: 1,
            damaged: 1,
            ..VerifyDone::default()
        };
        assert_eq!(summary(&done), "1 file, 0 B verified; 0 healed, 1 damaged.");
        assert_eq!(damaged(&done).unwrap().kind.exit_code(), 10);
    }
}
