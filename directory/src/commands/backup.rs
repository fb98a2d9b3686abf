//! `backup FILE`: the database and the keys in one archive. It reads the database's file itself, as only root and the
//! service's user can, and not through the running directory: so it works also when that is stopped, writes FILE with the
//! rights of whoever asks, and lets no key leave through a socket. `VACUUM INTO` copies one moment; writers go on meanwhile,
//! since in a write-ahead log readers hold up nobody.
//!
//! FILE is new or nothing happens, and is removed again when something fails. A crash leaves a part of it, which `tar`
//! refuses, and perhaps a file `.p2p-directory-backup…` beside it.

mod tar;

use std::{
    fs::File,
    io::{self, BufWriter},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use nix::unistd::{Gid, Group, Uid, User};
use p2p_proto::{ByteCount, Failure, FailureKind};
use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::NamedTempFile;

use self::tar::{Archive, Owner};
use super::{Outcome, failed, runtime};
use crate::config::Config;

/// What has to be there beside the database. The server's own certificate is not: it is made anew.
const KEYS: [&str; 3] = ["ca.key", "ca.pem", "grant.key"];

/// How the database is called in the archive.
const DATABASE: &str = "directory.db";

/// A restored directory's deny-list must be another one than any that was given out since the backup.
const DENY_VERSIONS: i64 = 1_000_000;

pub(super) fn run(config: &Config, file: &Path) -> Result<Outcome, Failure> {
    let folder = &config.state_dir;
    for name in KEYS.iter().copied().chain([DATABASE]) {
        let path = folder.join(name);
        File::open(&path).map_err(|error| unreadable(&path, &error))?;
    }
    let archive = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| unwritable(file, &error))?;
    let written = runtime()?.block_on(write(config, file, archive));
    match written {
        Ok(bytes) => Ok(Outcome {
            command: "backup",
            text: format!(
                "{}: {}, with the CA's key: keep it as safe as the directory itself.\n",
                file.display(),
                ByteCount(bytes)
            ),
            json: json!({ "file": file, "bytes": bytes }),
        }),
        Err(error) => {
            // It was made here and is of no use.
            let _ = std::fs::remove_file(file);
            Err(failed(&error))
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(FailureKind::NotPermitted, message).hint("sudo p2p-directory backup FILE")
        }
        io::ErrorKind::NotFound => Failure::new(FailureKind::NotFound, message).hint("p2p-directory init"),
        _ => Failure::new(FailureKind::Internal, message),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let (kind, what) = match error.kind() {
        io::ErrorKind::AlreadyExists => (FailureKind::OutputExists, "it exists already".to_owned()),
        io::ErrorKind::PermissionDenied => (FailureKind::NotPermitted, error.to_string()),
        _ => (FailureKind::Internal, error.to_string()),
    };
    Failure::new(kind, format!("{}: {what}", path.display()))
}

/// Writes the archive; its bytes.
async fn write(config: &Config, file: &Path, archive: File) -> anyhow::Result<u64> {
    let beside = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let copy = tempfile::Builder::new()
        .prefix(".p2p-directory-backup")
        .tempfile_in(beside)
        .with_context(|| beside.display().to_string())?;
    copy_database(&config.database_file(), &copy).await?;
    let owner = owner_of(&config.database_file())?;
    let mut tar = Archive::new(BufWriter::new(archive), owner);
    tar.add(DATABASE, 0o600, &mut copy.reopen()?)?;
    for name in KEYS {
        let path = config.state_dir.join(name);
        let mode = if name == "ca.pem" { 0o644 } else { 0o600 };
        let mut key = File::open(&path).with_context(|| path.display().to_string())?;
        tar.add(name, mode, &mut key)?;
    }
    let archive = tar
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    archive.sync_all()?;
    File::open(beside)?.sync_all()?;
    Ok(archive.metadata()?.len())
}

/// Copies one moment of the database into this empty file, and checks the copy.
async fn copy_database(database: &Path, copy: &NamedTempFile) -> anyhow::Result<()> {
    let target = copy
        .path()
        .to_str()
        .context("the path of a backup is a text in UTF-8")?;
    let options = SqliteConnectOptions::new().filename(database);
    let mut source = SqliteConnection::connect_with(&options)
        .await
        .with_context(|| database.display().to_string())?;
    sqlx::query("VACUUM INTO ?")
        .bind(target)
        .execute(&mut source)
        .await?;
    source.close().await?;
    let mut copied = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(target)).await?;
    let checked = sqlx::query("PRAGMA integrity_check")
        .fetch_one(&mut copied)
        .await?;
    let found: String = checked.try_get(0)?;
    ensure!(found == "ok", "{} is damaged: {found}", database.display());
    sqlx::query("UPDATE meta SET value = CAST(value AS INTEGER) + ? WHERE key = 'deny_version'")
        .bind(DENY_VERSIONS)
        .execute(&mut copied)
        .await?;
    copied.close().await?;
    Ok(())
}

/// Whose the files are after a restore by root.
fn owner_of(path: &PathBuf) -> anyhow::Result<Owner> {
    let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    let user = User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten();
    Ok(Owner {
        uid: metadata.uid(),
        gid: metadata.gid(),
        user: user.map(|user| user.name).unwrap_or_default(),
        group: group.map(|group| group.name).unwrap_or_default(),
    })
}
