//! `upload`: opens each file with the user's rights and passes it to the daemon, or streams stdin; then follows the
//! copies that were asked for. A cut stream publishes nothing; an interrupted import leaves nothing here; once a file
//! is published, the daemon places its copies without us.

mod import;
mod input;
mod stream;

use std::path::Path;

use import::import;
use input::{Input, inputs, is_stdin, open};
use p2p_proto::{
    Failure, FailureKind, Visibility,
    v1::{
        CopiesWanted, Copy, Publication, ReplicateRequest, SlotPurpose, UploadDone, UploadHeader,
        UploadRequest, WhoamiRequest,
    },
};

use super::{
    incomplete,
    placing::{self, Begun, Placing},
};
use crate::{
    cli::UploadArgs,
    connect::Daemon,
    context::Context,
    descriptors,
    exit::{Stop, sentence},
    output::{full_name, host, json, one_line, short_hash},
};

/// Publishes each input, and places its copies. One that fails does not stop the others.
pub(crate) async fn run(ctx: &Context, args: UploadArgs) -> Result<(), Stop> {
    let placing = Placing::default();
    tokio::select! {
        biased;
        why = ctx.stopped() => Err(placing.goes_on(why).into()),
        result = upload(ctx, args, &placing) => result,
    }
}

async fn upload(ctx: &Context, args: UploadArgs, placing: &Placing) -> Result<(), Stop> {
    let inputs = inputs(args.paths, args.name)?;
    let several = inputs.len() > 1;
    let mut uploader = Uploader {
        ctx,
        visibility: args.visibility,
        copies: args.copies.wanted(),
        no_wait: args.no_wait,
        placing,
        daemon: None,
        directory: None,
    };
    let mut answer = json::Upload {
        transfer_ids: args.no_wait.then(Vec::new),
        ..json::Upload::default()
    };
    let mut failed = None;
    for input in inputs {
        let path = input.path.clone();
        let done = uploader.upload(input).await;
        let failure = match done {
            // Without a daemon the others fail the same way.
            Err(failure) if !several || uploader.daemon.is_none() && is_unreachable(&failure) => {
                return Err(failure.into());
            }
            Err(failure) => failure,
            Ok(done) => match uploader.published(done, &mut answer).await? {
                Ok(()) => continue,
                Err(failure) if !several && !ctx.out.is_json() => return Err(failure.into()),
                Err(failure) => failure,
            },
        };
        failed = Some(if several {
            FailureKind::Partial
        } else {
            failure.kind
        });
        if ctx.out.is_json() {
            answer.errors.push(json::InputError::new(&path, failure));
        } else {
            ctx.out.error(&sentence(&about(&path, failure)));
        }
    }
    if ctx.out.is_json() {
        ctx.out.json("upload", &answer)?;
    }
    failed.map_or(Ok(()), |kind| Err(Stop::Told(kind)))
}

/// The same failure, saying which of several inputs it is about.
fn about(path: &Path, failure: Failure) -> Failure {
    let shown = path.display().to_string();
    let message = match failure.message.starts_with(&shown) {
        true => failure.message,
        false => format!("{shown}: {}", failure.message),
    };
    Failure { message, ..failure }
}

/// Of what is published already, whatever keeps copies from being placed leaves a part done.
fn in_part(failure: Failure) -> Failure {
    let kind = match failure.kind {
        FailureKind::DaemonUnreachable => failure.kind,
        _ => FailureKind::Partial,
    };
    Failure { kind, ..failure }
}

fn is_unreachable(failure: &Failure) -> bool {
    failure.kind == FailureKind::DaemonUnreachable
}

struct Uploader<'a> {
    ctx: &'a Context,
    visibility: Visibility,
    /// What was asked for beyond the copy here.
    copies: Option<CopiesWanted>,
    no_wait: bool,
    placing: &'a Placing,
    /// Made when the first input is ready: wrong usage needs no daemon.
    daemon: Option<Daemon>,
    /// The directory's host, once asked.
    directory: Option<String>,
}

impl Uploader<'_> {
    async fn upload(&mut self, input: Input) -> Result<UploadDone, Failure> {
        let name = input.name?;
        if is_stdin(&input.path) {
            let header = UploadHeader {
                name: name.into(),
                visibility: self.visibility.to_string(),
                copies: self.copies.clone(),
            };
            let out = self.ctx.out;
            return stream::stream(self.daemon().await?, header, tokio::io::stdin(), &out).await;
        }
        let file = open(&input.path)?;
        let visibility = self.visibility.to_string();
        let copies = self.copies.clone();
        let out = self.ctx.out;
        let daemon = self.daemon().await?;
        let slot = descriptors::pass_to(daemon, &file, SlotPurpose::Read).await?;
        let request = UploadRequest {
            slot: slot.into(),
            name: name.into(),
            visibility,
            copies,
        };
        import(daemon, request, &out).await
    }

    async fn daemon(&mut self) -> Result<&mut Daemon, Failure> {
        if self.daemon.is_none() {
            self.daemon = Some(self.ctx.connect().await?);
        }
        self.daemon.as_mut().ok_or_else(|| incomplete("a connection"))
    }

    /// Tells what was published, and has its copies placed. Within: why there are fewer of them than asked.
    async fn published(
        &mut self,
        done: UploadDone,
        answer: &mut json::Upload,
    ) -> Result<Result<(), Failure>, Stop> {
        let publication = done.publication.unwrap_or_default();
        self.ctx
            .out
            .detail(format_args!("publication {}", one_line(&publication.id)));
        if self.copies.is_some() {
            self.placing.begun(&publication.name);
        }
        if !self.ctx.out.is_json() {
            self.tell(&publication).await?;
        }
        let mut copies = done.copies;
        let placed = self.place(&publication, &mut copies, answer).await;
        self.placing.ended();
        if self.ctx.out.is_json() {
            answer.files.push(json::Uploaded::new(publication, copies));
        }
        match placed {
            Ok(Some(line)) if !self.ctx.out.is_json() => self.ctx.out.line(line)?,
            Ok(_) => {}
            Err(failure) => return Ok(Err(in_part(failure))),
        }
        Ok(Ok(()))
    }

    /// Has the copies placed that were asked for; a line that says how it ended. `copies` becomes what is known of them.
    async fn place(
        &mut self,
        publication: &Publication,
        copies: &mut Vec<Copy>,
        answer: &mut json::Upload,
    ) -> Result<Option<String>, Failure> {
        let Some(wanted) = self.copies.clone() else {
            return Ok(None);
        };
        let request = ReplicateRequest {
            r#ref: format!("id:{}", publication.id),
            copies: Some(wanted),
        };
        let (out, placing, no_wait) = (self.ctx.out, self.placing, self.no_wait);
        let daemon = self.daemon().await?;
        let begun = match no_wait {
            true => placing::begin(daemon, request).await?,
            false => Begun::Done(placing.follow(daemon, request, &publication.name, &out).await?),
        };
        match begun {
            Begun::Done(done) => {
                let verdict = placing::verdict(&done);
                *copies = done.copies;
                verdict.map(Some)
            }
            Begun::Placing(placements) => {
                let line = placing::left_alone(&placements);
                for placement in placements {
                    let known = answer.transfer_ids.get_or_insert_default();
                    if !placement.transfer_id.is_empty() && !known.contains(&placement.transfer_id) {
                        known.push(placement.transfer_id);
                    }
                    if !copies.iter().any(|copy| copy.peer == placement.peer) {
                        copies.push(Copy {
                            peer: placement.peer,
                            state: "placing".to_owned(),
                            reason: String::new(),
                        });
                    }
                }
                Ok(Some(line))
            }
        }
    }

    /// `Published  ana/scan.tar@1  5c0a91e7…  public: every user of dir.lab can find it`.
    async fn tell(&mut self, publication: &Publication) -> Result<(), Stop> {
        let who = match publication.visibility.as_str() {
            "private" => format!("private: only {} can find it", publication.owner),
            group if group.starts_with("group:") => format!("{group}: only its members can find it"),
            _ => format!("public: every user of {} can find it", self.directory().await),
        };
        let (name, hash) = (full_name(publication), short_hash(&publication.hash));
        self.ctx
            .out
            .line(format_args!("Published  {name}  {hash}  {}", one_line(&who)))
    }

    async fn directory(&mut self) -> String {
        if self.directory.is_none() {
            self.directory = Some(match &mut self.daemon {
                Some(daemon) => match daemon.client.whoami(WhoamiRequest {}).await {
                    Ok(answer) => host(&answer.into_inner().session.unwrap_or_default().directory),
                    // Logged out in this moment: the sentence needs no name.
                    Err(_) => String::new(),
                },
                None => String::new(),
            });
        }
        let host = self.directory.clone().unwrap_or_default();
        if host.is_empty() {
            "the directory".to_owned()
        } else {
            host
        }
    }
}

#[cfg(test)]
mod tests;
