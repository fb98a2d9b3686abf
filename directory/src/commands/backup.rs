//! `backup FILE`: the database and the keys in one archive. It reads the database's file itself, as only root and the
//! service's user can, and not through the running directory: so it works also when that is stopped, writes FILE with the
//! rights of whoever asks, and lets no key leave through a socket. `VACUUM INTO` copies one moment; writers go on meanwhile,
//! since in a write-ahead log readers hold up nobody.
//!
//! FILE is new and whole, or not there: it gets its name when all of it is on disk. The copy of the database is made in the
//! state folder, where it is as safe as the database itself. A signal or an error removes both; a crash leaves a file
//! `.p2p-directory-backup…` beside FILE, which is of no use, and a folder `.backup…` in the state folder, which the next
//! backup removes.

mod tar;

use std::{
    fs::{self, File, Permissions},
    io::{self, BufWriter},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use nix::unistd::{Gid, Group, Uid, User};
use p2p_proto::{ByteCount, Failure, FailureKind};
use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::signal::unix::{self, SignalKind};

use self::tar::{Archive, Owner};
use super::{Outcome, failed, runtime};
use crate::config::Config;

/// What has to be there beside the database. The server's own certificate is not: it is made anew.
const KEYS: [&str; 3] = ["ca.key", "ca.pem", "grant.key"];

/// How the database is called in the archive.
const DATABASE: &str = "directory.db";

/// How a folder for a copy begins; so many letters and digits follow.
const COPIES: (&str, usize) = (".backup", 6);

/// SQLite's code for a full disk.
const SQLITE_FULL: &str = "13";

pub(super) fn run(config: &Config, file: &Path) -> Result<Outcome, Failure> {
    let folder = &config.state_dir;
    for name in KEYS.iter().copied().chain([DATABASE]) {
        let path = folder.join(name);
        File::open(&path).map_err(|error| unreadable(&path, &error))?;
    }
    if file.symlink_metadata().is_ok() {
        return Err(unwritable(file, &io::ErrorKind::AlreadyExists.into()));
    }
    let runtime = runtime()?;
    let made = runtime.block_on(async {
        let signal = signal().map_err(|error| failed(&error.into()))?;
        tokio::select! {
            made = make(config, file) => made,
            () = signal => Err(Failure::new(FailureKind::Interrupted, "Interrupted")),
        }
    });
    // What a thread still writes has no name any more.
    runtime.shutdown_background();
    let bytes = made?;
    Ok(Outcome {
        command: "backup",
        text: format!(
            "{}: {}, with the CA's key: keep it as safe as the directory itself.\n",
            file.display(),
            ByteCount(bytes)
        ),
        json: json!({ "file": file.to_string_lossy(), "bytes": bytes }),
    })
}

/// Waits for SIGINT or SIGTERM, which end nothing by themselves from now on.
fn signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = unix::signal(SignalKind::interrupt())?;
    let mut terminate = unix::signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
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
        _ if is_full(error) => (FailureKind::DiskFull, error.to_string()),
        _ => (FailureKind::Internal, error.to_string()),
    };
    Failure::new(kind, format!("{}: {what}", path.display()))
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The failure of a backup that was begun.
fn broken(error: &anyhow::Error) -> Failure {
    let full = error.chain().any(|cause| {
        let by_system = cause.downcast_ref::<io::Error>().is_some_and(is_full);
        let by_sqlite = cause
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error)
            .and_then(sqlx::error::DatabaseError::code);
        by_system || by_sqlite.as_deref() == Some(SQLITE_FULL)
    });
    let kind = if full {
        FailureKind::DiskFull
    } else {
        FailureKind::Internal
    };
    Failure::new(kind, format!("{error:#}"))
}

/// Makes FILE; its bytes.
async fn make(config: &Config, file: &Path) -> Result<u64, Failure> {
    let beside = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let archive = tempfile::Builder::new()
        .prefix(".p2p-directory-backup")
        .tempfile_in(beside)
        .map_err(|error| unwritable(file, &error))?;
    let out = archive.as_file().try_clone();
    let out = out.map_err(|error| unwritable(file, &error))?;
    let bytes = write(config, out).await.map_err(|error| broken(&error))?;
    archive
        .persist_noclobber(file)
        .map_err(|error| unwritable(file, &error.error))?;
    File::open(beside)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| unwritable(file, &error))?;
    Ok(bytes)
}

/// Writes the archive; its bytes.
async fn write(config: &Config, out: File) -> anyhow::Result<u64> {
    let state = config.state_dir.clone();
    let _under_way = under_way(&state).with_context(|| state.display().to_string())?;
    let folder = tempfile::Builder::new()
        .prefix(COPIES.0)
        .rand_bytes(COPIES.1)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&state)?;
    let copy = folder.path().join(DATABASE);
    copy_database(&config.database_file(), &copy).await?;
    let owner = owner_of(&config.database_file())?;
    tokio::task::spawn_blocking(move || pack(&state, &copy, owner, out)).await?
}

/// Says that a backup is under way, while it is held. Removes what earlier ones left when no other one is.
fn under_way(state: &Path) -> io::Result<File> {
    let lock = File::open(state)?;
    // Not every file system locks folders: there nothing is removed, since nobody knows whose it is.
    if lock.try_lock().is_ok() {
        // What cannot be removed is no reason to have no backup.
        let _ = remove_copies(state);
        lock.unlock()?;
    }
    // Who holds it alone is about to be done.
    let _ = lock.lock_shared();
    Ok(lock)
}

fn remove_copies(state: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(COPIES.0));
        let is_copy = random.is_some_and(|random| {
            random.len() == COPIES.1 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if is_copy && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Puts this database and the keys of the state folder in the archive; its bytes.
fn pack(state: &Path, database: &Path, owner: Owner, out: File) -> anyhow::Result<u64> {
    let mut tar = Archive::new(BufWriter::new(out), owner);
    tar.add(DATABASE, 0o600, &mut File::open(database)?)?;
    for name in KEYS {
        let path = state.join(name);
        let mode = if name == "ca.pem" { 0o644 } else { 0o600 };
        let mut key = File::open(&path).with_context(|| path.display().to_string())?;
        tar.add(name, mode, &mut key)?;
    }
    let out = tar
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    out.sync_all()?;
    Ok(out.metadata()?.len())
}

/// Copies one moment of the database into this file, which is not there yet, and checks the copy.
async fn copy_database(database: &Path, copy: &Path) -> anyhow::Result<()> {
    let target = copy
        .to_str()
        .context("the path of the state folder is a text in UTF-8")?;
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
    // A restored deny-list is another one than any that was given out since: its version is this time, as that of a change.
    sqlx::query("UPDATE meta SET value = max(CAST(value AS INTEGER) + 1, ?) WHERE key = 'deny_version'")
        .bind(Timestamp::now().as_millisecond())
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

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        ffi::{OsStr, OsString},
        os::unix::ffi::OsStrExt,
        sync::Arc,
    };

    use super::*;
    use crate::{
        clock::SystemClock,
        storage::{Sqlite, Storage},
    };

    /// A state folder, and one for backups.
    fn folders() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            state_dir: folder.path().join("state"),
            ..Config::default()
        };
        std::fs::create_dir(&config.state_dir).unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        for key in KEYS {
            std::fs::write(config.state_dir.join(key), key).unwrap();
        }
        runtime().unwrap().block_on(async {
            let made = Sqlite::open(&config.database_file(), Arc::new(SystemClock)).await;
            made.unwrap().close().await;
        });
        (folder, config)
    }

    fn names(folder: &Path) -> BTreeSet<OsString> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    /// Whether there is a copy of the database, or a part of one.
    fn has_copy(config: &Config) -> bool {
        let names = names(&config.state_dir);
        names.iter().any(|name| name.as_bytes().starts_with(b".backup"))
    }

    #[test]
    fn nothing_but_the_file_is_left_whatever_its_name() {
        let (folder, config) = folders();
        let out = folder.path().join("out");
        let name = OsStr::from_bytes(b"b\xff.tar");
        let outcome = run(&config, &out.join(name)).unwrap();
        assert!(outcome.json["file"].as_str().unwrap().contains("/out/b"));
        assert_eq!(names(&out), BTreeSet::from([name.to_owned()]));
        assert!(!has_copy(&config));
        let mode = out.join(name).metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = run(&config, &out.join(name)).map(|_| ()).unwrap_err();
        assert_eq!(again.kind, FailureKind::OutputExists);
    }

    #[test]
    fn the_deny_list_of_a_copy_is_another_one_than_the_databases() {
        let (_folder, config) = folders();
        let (database, copy) = (config.database_file(), config.state_dir.join("copy.db"));
        let version = async |file: &Path| {
            let options = SqliteConnectOptions::new().filename(file);
            let mut db = SqliteConnection::connect_with(&options).await.unwrap();
            let row = sqlx::query("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'deny_version'");
            row.fetch_one(&mut db).await.unwrap().get::<i64, _>(0)
        };
        runtime().unwrap().block_on(async {
            copy_database(&database, &copy).await.unwrap();
            assert!(version(&copy).await > version(&database).await);
        });
    }

    #[test]
    fn one_that_is_given_up_or_fails_leaves_nothing() {
        let (folder, config) = folders();
        let out = folder.path().join("out");
        runtime().unwrap().block_on(async {
            let file = out.join("b.tar");
            let making = make(&config, &file);
            // It is begun, and dropped.
            let begun = futures::future::select(Box::pin(making), std::future::ready(())).await;
            assert!(matches!(&begun, futures::future::Either::Right(_)));
            assert_eq!(names(&out).len(), 1, "a file without its name");
            assert!(has_copy(&config));
            drop(begun);
        });
        assert_eq!(names(&out), BTreeSet::new());
        assert!(!has_copy(&config));
        std::fs::write(config.database_file(), "no database").unwrap();
        run(&config, &out.join("b.tar")).map(|_| ()).unwrap_err();
        assert_eq!(names(&out), BTreeSet::new());
    }

    #[test]
    fn what_a_killed_one_left_goes_with_the_next_and_not_while_another_runs() {
        let (folder, config) = folders();
        let out = folder.path().join("out");
        let state = &config.state_dir;
        for name in [".backupAbC123", ".backup-of-mine", ".backup"] {
            std::fs::create_dir(state.join(name)).unwrap();
            std::fs::write(state.join(name).join(DATABASE), "half").unwrap();
        }
        std::fs::write(state.join(".backupFile12"), "a file").unwrap();
        let other = under_way(state).unwrap();
        assert!(!state.join(".backupAbC123").exists());
        // It may be the other one's.
        std::fs::create_dir(state.join(".backupAbC123")).unwrap();
        run(&config, &out.join("a.tar")).unwrap();
        assert!(state.join(".backupAbC123").exists());
        drop(other);
        run(&config, &out.join("b.tar")).unwrap();
        assert!(!state.join(".backupAbC123").exists());
        for name in [".backup-of-mine", ".backup", ".backupFile12"] {
            assert!(state.join(name).exists(), "{name}");
        }
    }

    #[test]
    fn a_full_disk_is_called_so() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(unwritable(Path::new("x"), &full).kind, FailureKind::DiskFull);
        let deep = anyhow::Error::from(full).context("copying");
        assert_eq!(broken(&deep).kind, FailureKind::DiskFull);
        assert_eq!(broken(&anyhow::anyhow!("else")).kind, FailureKind::Internal);
        runtime().unwrap().block_on(async {
            let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
            for sql in ["PRAGMA max_page_count = 1", "CREATE TABLE x (y)"] {
                if let Err(error) = sqlx::query(sql).execute(&mut db).await {
                    assert_eq!(broken(&error.into()).kind, FailureKind::DiskFull);
                    return;
                }
            }
            panic!("a table in no page");
        });
    }
}
