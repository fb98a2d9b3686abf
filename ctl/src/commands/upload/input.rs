//! The inputs of an upload: which there are, under which names, and how each is opened with the user's rights.

use std::{
    fs::File,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use p2p_proto::{Failure, FailureKind, FileName};
use rustix::fs::{Mode, OFlags};

use crate::exit::io_failure;

/// One thing to publish.
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) name: Result<FileName, Failure>,
}

/// The inputs with their names, checked before anything is sent.
pub(super) fn inputs(paths: Vec<PathBuf>, name: Option<FileName>) -> Result<Vec<Input>, Failure> {
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

pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name under which a file goes when none is given: its own.
pub(super) fn own_name(path: &Path) -> Result<FileName, Failure> {
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
pub(super) fn open(path: &Path) -> Result<File, Failure> {
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
