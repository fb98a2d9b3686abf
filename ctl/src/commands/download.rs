//! `download`: finds the publication, makes an empty file with the user's rights, lets the daemon fill it, and gives it
//! its name; or streams the bytes to stdout. What a stop leaves: nothing in the folder, and a fetch that goes on into
//! the store.

use std::path::Path;

use p2p_proto::{
    ContentHash, Failure, FailureKind, FileName,
    v1::{
        DownloadDone, DownloadRequest, Publication, ResolveRequest, SlotPurpose, download_request::Delivery,
    },
};
use tokio::io::AsyncWriteExt;

use super::transfer::{NoBytes, Sink, Transfer, summary};
use crate::{
    cli::{DownloadArgs, OnConflict},
    connect::Daemon,
    context::Context,
    delivery::{Draft, Placed, Plan, Target},
    descriptors,
    exit::{Stop, io_failure},
    output::{json, one_line, short_hash},
};

/// Downloads to a file or to stdout.
pub(crate) async fn run(ctx: &Context, args: DownloadArgs) -> Result<(), Stop> {
    let transfer = Transfer::default();
    tokio::select! {
        biased;
        why = ctx.stopped() => {
            let why = if args.streams() || args.no_keep {
                why
            } else {
                transfer.goes_on(why, Some(format!("To place the file: {}", again(&args))))
            };
            Err(why.into())
        }
        result = download(ctx, &args, &transfer) => result,
    }
}

async fn download(ctx: &Context, args: &DownloadArgs, transfer: &Transfer) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = ResolveRequest {
        r#ref: args.reference.clone(),
    };
    let answer = daemon.client.resolve(request).await;
    let publication = answer.map_err(|status| daemon.failure(status))?.into_inner();
    let (name, hash) = checked(&publication)?;
    if args.streams() {
        return to_stdout(ctx, args, daemon, publication, transfer).await;
    }
    let target = Target::choose(args.output.as_deref(), &name)?;
    let (size, on_conflict) = (publication.size, args.on_conflict);
    match blocking(move || target.plan(size, &hash, on_conflict)).await? {
        Plan::Skip(path) => skipped(ctx, publication, &path),
        Plan::Deliver(target) => to_file(ctx, args, daemon, publication, target, transfer).await,
    }
}

/// The name and the hash, checked again: a directory may send anything.
fn checked(publication: &Publication) -> Result<(FileName, ContentHash), Failure> {
    let bad = |why: String| {
        let message =
            format!("the directory sent a publication that cannot be delivered: {why}. Nothing was written");
        Failure::new(FailureKind::Internal, message)
    };
    let name = publication.name.parse();
    let name = name.map_err(|error: p2p_proto::name::BadName| bad(error.to_string()))?;
    let hash = publication.hash.parse();
    let hash = hash.map_err(|error: p2p_proto::hash::BadHash| bad(error.to_string()))?;
    Ok((name, hash))
}

async fn to_file(
    ctx: &Context,
    args: &DownloadArgs,
    mut daemon: Daemon,
    publication: Publication,
    target: Target,
    transfer: &Transfer,
) -> Result<(), Stop> {
    let draft = Draft::create(target)?;
    let slot = descriptors::pass_to(&mut daemon, draft.file(), SlotPurpose::Write).await?;
    let delivery = Delivery::Slot(slot.into());
    let done = receive(
        ctx,
        args,
        &mut daemon,
        &publication,
        delivery,
        transfer,
        &mut NoBytes,
    )
    .await?;
    let settled = blocking(draft.settle(publication.size)).await?;
    match draft.place(settled, args.on_conflict)? {
        Placed::Skipped(path) => skipped(ctx, publication, &path),
        Placed::At(path) => {
            if ctx.out.is_json() {
                let body = json::Download::done(publication, Some(&path), done);
                return ctx.out.json("download", &body);
            }
            ctx.out.note(summary(&publication, &done));
            verified(ctx, &path, &publication)
        }
    }
}

async fn to_stdout(
    ctx: &Context,
    args: &DownloadArgs,
    mut daemon: Daemon,
    publication: Publication,
    transfer: &Transfer,
) -> Result<(), Stop> {
    let mut stdout = Stdout {
        inner: tokio::io::stdout(),
        written: 0,
    };
    let delivery = Delivery::Stream(true);
    let done = receive(
        ctx,
        args,
        &mut daemon,
        &publication,
        delivery,
        transfer,
        &mut stdout,
    )
    .await?;
    stdout.inner.flush().await.map_err(|error| Stop::stdout(&error))?;
    if stdout.written != publication.size {
        let (name, size) = (&publication.name, publication.size);
        let message = format!("{name} broke off after {} of {size} bytes", stdout.written);
        return Err(Failure::new(FailureKind::Unreachable, message).into());
    }
    if ctx.out.is_json() {
        return ctx
            .out
            .json("download", &json::Download::done(publication, None, done));
    }
    ctx.out.note(summary(&publication, &done));
    Ok(())
}

async fn receive(
    ctx: &Context,
    args: &DownloadArgs,
    daemon: &mut Daemon,
    publication: &Publication,
    delivery: Delivery,
    transfer: &Transfer,
    sink: &mut impl Sink,
) -> Result<DownloadDone, Stop> {
    let request = DownloadRequest {
        publication_id: publication.id.clone(),
        delivery: Some(delivery),
        no_keep: args.no_keep,
        wait: args.wait,
    };
    let answer = daemon.client.download(request).await;
    let events = answer.map_err(|status| daemon.failure(status))?.into_inner();
    let (_, done) = transfer.follow(daemon, events, &ctx.out, sink).await?;
    Ok(done)
}

struct Stdout {
    inner: tokio::io::Stdout,
    written: u64,
}

impl Sink for Stdout {
    async fn take(&mut self, data: &[u8]) -> Result<(), Stop> {
        self.inner
            .write_all(data)
            .await
            .map_err(|error| Stop::stdout(&error))?;
        self.written += data.len() as u64;
        Ok(())
    }
}

fn skipped(ctx: &Context, publication: Publication, path: &Path) -> Result<(), Stop> {
    if ctx.out.is_json() {
        return ctx
            .out
            .json("download", &json::Download::skipped(publication, path));
    }
    ctx.out.note(format_args!(
        "{} is there already: skipped",
        one_line(&path.to_string_lossy())
    ));
    Ok(())
}

fn verified(ctx: &Context, path: &Path, publication: &Publication) -> Result<(), Stop> {
    let path = one_line(&path.to_string_lossy());
    ctx.out
        .line(format_args!("{path}  verified {}", short_hash(&publication.hash)))
}

/// File work that may take as long as the file is large, away from the connection.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io_failure("the file could not be placed", &error.into())))
}

/// The command that places the file after all.
fn again(args: &DownloadArgs) -> String {
    let mut command = format!("p2pctl download {}", quoted(&args.reference));
    if let Some(output) = &args.output {
        command.push_str(&format!(" -o {}", quoted(&output.to_string_lossy())));
    }
    let rule = match args.on_conflict {
        OnConflict::Fail => return command,
        OnConflict::Skip => "skip",
        OnConflict::Overwrite => "overwrite",
        OnConflict::Rename => "rename",
    };
    command.push_str(&format!(" --on-conflict {rule}"));
    command
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_./@:%+=,-".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_bad_name_from_the_directory_is_not_delivered() {
        let mut publication = Publication {
            hash: ContentHash::of(b"x").to_string(),
            ..Publication::default()
        };
        for bad in ["../x", ".", "a/b", "a\u{1b}", "a\u{202e}b", ""] {
            publication.name = bad.into();
            let failure = checked(&publication).unwrap_err();
            assert_eq!(failure.kind.exit_code(), 1);
            assert!(
                failure.message.ends_with("Nothing was written"),
                "{}",
                failure.message
            );
        }
        publication.name = "x".into();
        checked(&publication).unwrap();
        publication.hash = "12".into();
        assert!(checked(&publication).is_err());
    }

    #[test]
    fn the_command_to_go_on_can_be_pasted() {
        let args = |reference: &str, output: Option<&str>, on_conflict| DownloadArgs {
            reference: reference.into(),
            output: output.map(PathBuf::from),
            on_conflict,
            wait: false,
            no_keep: false,
        };
        assert_eq!(
            again(&args("scan.tar", Some("/data/"), OnConflict::Fail)),
            "p2pctl download scan.tar -o /data/"
        );
        assert_eq!(
            again(&args("ana/it's here", None, OnConflict::Rename)),
            "p2pctl download 'ana/it'\\''s here' --on-conflict rename"
        );
    }
}
