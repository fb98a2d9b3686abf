//! `upload`: opens each file with the user's rights and passes it to the daemon, or streams stdin. A cut stream
//! publishes nothing; an interrupted import leaves nothing here.

mod stream;

use std::{
    fs::File,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Instant,
};

use p2p_proto::{
    Failure, FailureKind, FileName, Visibility,
    v1::{SlotPurpose, UploadDone, UploadHeader, UploadRequest, WhoamiRequest, upload_event::Event},
};
use rustix::fs::{Mode, OFlags};

use super::incomplete;
use crate::{
    cli::UploadArgs,
    connect::Daemon,
    context::Context,
    descriptors,
    exit::{Stop, io_failure, sentence},
    output::{
        Output, full_name, host, json,
        progress::{self, Progress, Step},
        short_hash,
    },
};

/// One thing to publish.
struct Input {
    path: PathBuf,
    name: Result<FileName, Failure>,
}

/// Publishes each input. One that fails does not stop the others.
pub(crate) async fn run(ctx: &Context, args: UploadArgs) -> Result<(), Stop> {
    let inputs = inputs(args.paths, args.name)?;
    let several = inputs.len() > 1;
    let mut uploader = Uploader {
        ctx,
        visibility: args.visibility,
        daemon: None,
        directory: None,
    };
    let mut answer = json::Upload::default();
    let mut failed = false;
    for input in inputs {
        let path = input.path.clone();
        let done = match uploader.upload(input).await {
            Ok(done) => done,
            // Without a daemon the others fail the same way.
            Err(failure) if !several || uploader.daemon.is_none() && is_unreachable(&failure) => {
                return Err(failure.into());
            }
            Err(failure) => {
                failed = true;
                if ctx.out.is_json() {
                    answer.errors.push(json::InputError::new(&path, failure));
                } else {
                    ctx.out.error(&sentence(&about(&path, failure)));
                }
                continue;
            }
        };
        if ctx.out.is_json() {
            let publication = done.publication.unwrap_or_default();
            answer.files.push(json::Uploaded::new(publication, done.copies));
        } else {
            uploader.published(&done).await?;
        }
    }
    if ctx.out.is_json() {
        ctx.out.json("upload", &answer)?;
    }
    if failed {
        return Err(Stop::Told(FailureKind::Partial));
    }
    Ok(())
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

fn is_unreachable(failure: &Failure) -> bool {
    failure.kind == FailureKind::DaemonUnreachable
}

/// The inputs with their names, checked before anything is sent.
fn inputs(paths: Vec<PathBuf>, name: Option<FileName>) -> Result<Vec<Input>, Failure> {
    let usage = |message: &str, hint: &str| Err(Failure::new(FailureKind::Usage, message).hint(hint));
    let several = paths.len() > 1;
    if several && paths.iter().any(|path| is_stdin(path)) {
        return usage("stdin goes alone", "p2pctl upload - --name NAME");
    }
    match name {
        Some(_) if several => usage(
            "--name names one file, and there are several",
            "p2pctl upload --help",
        ),
        None if is_stdin(&paths[0]) => usage("stdin has no name", "p2pctl upload - --name NAME"),
        Some(name) => {
            let named = |path| Input {
                path,
                name: Ok(name.clone()),
            };
            Ok(paths.into_iter().map(named).collect())
        }
        None => {
            let own = |path: PathBuf| Input {
                name: own_name(&path),
                path,
            };
            Ok(paths.into_iter().map(own).collect())
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name under which a file goes when none is given: its own.
fn own_name(path: &Path) -> Result<FileName, Failure> {
    let usage =
        |message: String| Failure::new(FailureKind::Usage, message).hint("To give another one: --name NAME");
    let Some(name) = path
        .file_name()
        .filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"))
    else {
        return Err(folder(path));
    };
    let name = name
        .to_str()
        .ok_or_else(|| usage(format!("{}: the name is not UTF-8", path.display())))?;
    name.parse()
        .map_err(|error: p2p_proto::name::BadName| usage(format!("{}: {error}", path.display())))
}

fn folder(path: &Path) -> Failure {
    let message = format!(
        "{}: folders come later: upload the files one by one",
        path.display()
    );
    Failure::new(FailureKind::Usage, message)
}

/// Opens a regular file for reading, and waits for nothing.
fn open(path: &Path) -> Result<File, Failure> {
    let failed = |error: std::io::Error| io_failure(&path.display().to_string(), &error);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let file = File::from(file);
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(folder(path));
    }
    if !kind.is_file() {
        let shown = path.display();
        let message = format!("{shown} is no regular file");
        let hint = format!("To send what comes out of it: p2pctl upload - --name NAME < {shown}");
        return Err(Failure::new(FailureKind::Usage, message).hint(hint));
    }
    Ok(file)
}

struct Uploader<'a> {
    ctx: &'a Context,
    visibility: Visibility,
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
            };
            let out = self.ctx.out;
            return stream::stream(self.daemon().await?, header, tokio::io::stdin(), &out).await;
        }
        let file = open(&input.path)?;
        let visibility = self.visibility.to_string();
        let out = self.ctx.out;
        let daemon = self.daemon().await?;
        let slot = descriptors::pass_to(daemon, &file, SlotPurpose::Read).await?;
        let request = UploadRequest {
            slot: slot.into(),
            name: name.into(),
            visibility,
        };
        import(daemon, request, &out).await
    }

    async fn daemon(&mut self) -> Result<&mut Daemon, Failure> {
        if self.daemon.is_none() {
            self.daemon = Some(self.ctx.connect().await?);
        }
        self.daemon.as_mut().ok_or_else(|| incomplete("a connection"))
    }

    /// `Published  ana/scan.tar@1  5c0a91e7…  public: every user of dir.lab can find it`.
    async fn published(&mut self, done: &UploadDone) -> Result<(), Stop> {
        let publication = done.publication.clone().unwrap_or_default();
        let who = match publication.visibility.as_str() {
            "private" => format!("private: only {} can find it", publication.owner),
            _ => format!("public: every user of {} can find it", self.directory().await),
        };
        let (name, hash) = (full_name(&publication), short_hash(&publication.hash));
        self.ctx
            .out
            .line(format_args!("Published  {name}  {hash}  {who}"))
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

/// Follows the import of a passed file.
async fn import(daemon: &mut Daemon, request: UploadRequest, out: &Output) -> Result<UploadDone, Failure> {
    let begin = Instant::now();
    let line = Progress::new(out);
    let answer = daemon.client.upload(request).await;
    let mut events = answer.map_err(|status| daemon.failure(status))?.into_inner();
    while let Some(event) = events.message().await.map_err(|status| daemon.failure(status))? {
        match event.event {
            Some(Event::Progress(progress)) => line.show(|| {
                let step = Step {
                    done: progress.done_bytes,
                    total: Some(progress.total_bytes),
                    rate: progress::average(progress.done_bytes, begin.elapsed()),
                };
                step.line("Importing")
            }),
            Some(Event::Done(done)) => {
                line.clear();
                return imported(done, begin, out);
            }
            None => {}
        }
    }
    let message = "p2pd ended the import without saying that it is done";
    Err(Failure::new(FailureKind::Unreachable, message))
}

fn imported(done: UploadDone, begin: Instant, out: &Output) -> Result<UploadDone, Failure> {
    let publication = done
        .publication
        .as_ref()
        .ok_or_else(|| incomplete("a publication"))?;
    let (size, seconds) = (publication.size, begin.elapsed().as_secs_f64());
    out.note(progress::finished("Importing", size, size, seconds));
    Ok(done)
}

#[cfg(test)]
mod tests;
