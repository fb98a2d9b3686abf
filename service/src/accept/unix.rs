//! Binds Unix sockets. A stale one is replaced, a live one never.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use nix::unistd::Group;
use rustix::fs::FlockOperation;
use tokio::net::UnixListener;

/// Binds the socket with this mode, owned by this group where that can be done. Nobody can connect before the rights are
/// set: the socket gets its name last. Two programs that begin at once cannot both find the same stale socket: whoever is
/// second finds the first one's. An empty `.lock` beside the socket stays for that.
///
/// # Errors
/// `AddrInUse` when a program listens there; those of the file system.
pub fn bind_unix(path: &Path, mode: u32, group: Option<&str>) -> io::Result<UnixListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let _alone = lock(path).map_err(named)?;
    remove_stale(path).map_err(named)?;
    let hidden = path.with_extension("new");
    let _ = fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden).map_err(named)?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(mode)).map_err(named)?;
    if let Some(group) = group {
        give_to_group(&hidden, path, group);
    }
    fs::rename(&hidden, path).map_err(named)?;
    Ok(listener)
}

/// A socket's name, for whoever bound it. When this is dropped the name goes, also when what served it was cut: who comes then
/// hears that nothing is there. A socket that another program has bound there meanwhile is left alone.
#[derive(Debug)]
pub struct SocketName {
    path: PathBuf,
    file: FileId,
}

impl SocketName {
    /// The socket that was bound there just now.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: file_at(path)?,
        })
    }

    fn unlink(&self) -> io::Result<()> {
        let _alone = lock(&self.path)?;
        match file_at(&self.path) {
            Ok(file) if file == self.file => fs::remove_file(&self.path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        if let Err(error) = self.unlink() {
            tracing::warn!("{} stays: {error}", self.path.display());
        }
    }
}

/// A file, told from a later one: inode numbers come back, the time of the last change does not.
type FileId = (u64, u64, i64, i64);

fn file_at(path: &Path) -> io::Result<FileId> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}

/// Held while one program looks and binds. Only this user may open it, so that nobody else can keep it.
fn lock(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(path.with_extension("lock"))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "exists and is no socket",
            ));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another program listens there",
        )),
    }
}

fn give_to_group(hidden: &Path, path: &Path, name: &str) {
    let group = match Group::from_name(name) {
        Ok(Some(group)) => group,
        Ok(None) => {
            tracing::warn!(
                "there is no group {name}: only root and this user can use {}",
                path.display()
            );
            return;
        }
        Err(error) => {
            tracing::warn!("group {name} cannot be looked up: {error}");
            return;
        }
    };
    // A sandbox may refuse even what changes nothing.
    let already = fs::metadata(hidden).is_ok_and(|made| made.gid() == group.gid.as_raw());
    if already {
        return;
    }
    if let Err(error) = std::os::unix::fs::chown(hidden, None, Some(group.gid.as_raw())) {
        tracing::warn!("{} cannot be given to group {name}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let live = bind_unix(&path, 0o600, None).unwrap();
        assert_eq!(
            bind_unix(&path, 0o600, None).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        UnixStream::connect(&path).unwrap();
        drop(live);
        bind_unix(&path, 0o660, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["x.lock", "x.sock"]);
    }

    #[tokio::test]
    async fn of_many_that_begin_at_once_one_is_bound() {
        const MANY: usize = 8;
        let runtime = tokio::runtime::Handle::current();
        // Each round is another order of steps; stale and missing sockets take turns.
        for round in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.sock");
            if round % 2 == 0 {
                drop(bind_unix(&path, 0o600, None).unwrap());
            }
            let together = std::sync::Barrier::new(MANY);
            let begin = || {
                let _inside = runtime.enter();
                together.wait();
                bind_unix(&path, 0o600, None)
            };
            let begun: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..MANY).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for error in begun.iter().filter_map(|one| one.as_ref().err()) {
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "round {round}: {error}");
            }
            assert_eq!(begun.iter().flatten().count(), 1, "round {round}");
            UnixStream::connect(&path).unwrap();
        }
    }

    #[tokio::test]
    async fn only_ones_own_name_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let first = bind_unix(&path, 0o600, None).unwrap();
        let name = SocketName::of(&path).unwrap();
        // The next program comes while the first one is ending.
        drop(first);
        let _second = bind_unix(&path, 0o600, None).unwrap();
        let seconds = SocketName::of(&path).unwrap();
        drop(name);
        UnixStream::connect(&path).unwrap();
        let serving = async move {
            let _name = seconds;
            std::future::pending::<()>().await;
        };
        let serving = tokio::spawn(serving);
        tokio::task::yield_now().await;
        assert!(path.exists());
        // As at a hard stop.
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        fs::write(&path, "mine").unwrap();
        let error = bind_unix(&path, 0o600, None).unwrap_err();
        assert!(error.to_string().contains("x.sock"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
