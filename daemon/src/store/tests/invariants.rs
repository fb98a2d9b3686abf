//! What must be true of a store at any time, after any failure and after any loss of power.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use p2p_proto::{
    index::{Hold, HoldState, IndexDigest},
    rest::index::HoldChange,
};

use super::{
    super::sys::{Sys, power::Image},
    kept::{Parts, goes_on},
    world::{Promises, QUOTA, open, quick_folder},
    *,
};

/// What is not as it must be.
pub(super) type Checked = Result<(), String>;

macro_rules! ensure {
    ($true:expr, $($message:tt)+) => {
        if !$true {
            return Err(format!($($message)+));
        }
    };
}

pub(super) fn failed<E: Display>(doing: &str) -> impl Fn(E) -> String {
    move |error| format!("{doing}: {error}")
}

/// What the store calls complete is there, what was promised is held, what is advertised has its bytes, and the books
/// are right.
pub(super) async fn sound(store: &Store, promises: &Promises) -> Checked {
    let contents = store
        .inner
        .metadata
        .contents()
        .await
        .map_err(failed("list the contents"))?;
    for &(hash, size) in contents
        .iter()
        .filter(|content| !promises.rotten.contains(&content.0))
    {
        let content = store.content(hash).await.map_err(failed("open a content"))?;
        let content = content.ok_or("a row without a content")?;
        let mut bytes = vec![0; size as usize];
        content.read_at(0, &mut bytes).map_err(failed("read a content"))?;
        ensure!(
            ContentHash::of(&bytes) == hash,
            "{size} bytes are called complete and are not {hash}"
        );
    }
    let held = store.holds().await.map_err(failed("list the holds"))?;
    let parts = Parts::of(store).await?;
    parts.are_true(store, &contents, promises)?;
    for hold in &held {
        let hash = hold.publication.hash;
        let whole = contents.contains(&(hash, hold.stored_bytes));
        let right = match hold.state {
            HoldState::Complete => whole && hold.damaged.is_none(),
            HoldState::Partial => hold.damaged.is_some() && hold.stored_bytes == parts.good_bytes(hash),
        };
        ensure!(right, "a hold without its bytes");
    }
    for publication in &promises.held {
        ensure!(
            held.iter().any(|held| held.publication == *publication),
            "{} was acknowledged and is not held",
            publication.name
        );
    }
    let noted = store
        .unpublished()
        .await
        .map_err(failed("list what is unpublished"))?;
    for id in &promises.noted {
        ensure!(
            noted.iter().any(|noted| noted.id == *id),
            "{id} was about to be published and is forgotten"
        );
    }
    for Unpublished { id, content, .. } in noted {
        ensure!(
            contents.contains(&(content.hash, content.size)) || promises.rotten.contains(&content.hash),
            "{id} is about to be published without its bytes"
        );
    }
    for id in &promises.dropped {
        ensure!(
            held.iter().all(|held| held.publication.id != *id),
            "{id} was dropped and is held"
        );
    }
    advertised(store, &held).await?;
    let usage = store.usage().await.map_err(failed("ask for the usage"))?;
    let sum = contents.iter().map(|&(_, size)| size).sum::<u64>();
    ensure!(
        (usage.files, usage.bytes) == (contents.len() as u64, sum),
        "the usage is {usage:?}"
    );
    ensure!(
        usage.partial_files == parts.fetches.len() as u64,
        "the usage is {usage:?}"
    );
    let taken = sum + parts.bytes();
    ensure!(
        usage.free_bytes == QUOTA - taken,
        "the books have {} bytes free of {QUOTA} with {taken} taken",
        usage.free_bytes
    );
    Ok(())
}

/// What the directory is told is what is held.
async fn advertised(store: &Store, held: &[HeldFile]) -> Checked {
    let holds: Vec<_> = held
        .iter()
        .map(|held| Hold {
            publication: held.publication.id,
            state: held.state,
        })
        .collect();
    let head = store.index_state().await.map_err(failed("read the index"))?;
    ensure!(
        head.digest == IndexDigest::of(&holds),
        "the index is not of what is held"
    );
    let log = store
        .index_changes(0, usize::MAX)
        .await
        .map_err(failed("read the log"))?;
    let log = log.ok_or("the log does not begin at its begin")?;
    ensure!(
        log.last().map_or(0, |last| last.seq) == head.seq,
        "the log ends elsewhere than the index"
    );
    let mut told = BTreeMap::new();
    for entry in log {
        match entry.change {
            HoldChange::Held(hold) => told.insert(hold.publication, hold.state),
            HoldChange::Dropped(id) => told.remove(&id),
        };
    }
    ensure!(
        told == holds.iter().map(|hold| (hold.publication, hold.state)).collect(),
        "the log leads elsewhere than to what is held"
    );
    Ok(())
}

/// In the folder is what the database knows, and nothing else.
pub(super) async fn tidy(store: &Store) -> Checked {
    let root = store.inner.disk.root().to_owned();
    let contents = store
        .inner
        .metadata
        .contents()
        .await
        .map_err(failed("list the contents"))?;
    let named = |layer: bool| -> BTreeSet<String> {
        let counts = |size| !layer || Layer::group_count(size) > 0;
        contents
            .iter()
            .filter(|(_, size)| counts(*size))
            .map(|(hash, _)| hash.to_string())
            .collect()
    };
    ensure!(names(&root, "tmp").is_empty(), "something is left in tmp");
    let parts = Parts::of(store).await?.names();
    for (folder, known) in [
        ("content", named(false)),
        ("layer", named(true)),
        ("partial", parts),
    ] {
        let found = names(&root, folder);
        ensure!(found == known, "in {folder} are {found:?}, known are {known:?}");
    }
    Ok(())
}

fn names(root: &Path, folder: &str) -> BTreeSet<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files_below(&root.join(folder))
        .iter()
        .map(|path| name(path))
        .collect()
}

/// Descriptors of this process below the folder, but for the database and the lock.
pub(super) fn descriptors(base: &Path) -> Vec<PathBuf> {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let kept = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        path.starts_with(base) && name != "lock" && !name.starts_with("metadata.db")
    };
    targets.filter(kept).collect()
}

/// Starts again on what a loss of power left, and looks.
pub(super) async fn after_power_loss(image: &Image, promises: &Promises) -> Checked {
    for bytes in &promises.delivered {
        ensure!(
            image.passed.contains(bytes),
            "a delivered file has lost its bytes"
        );
    }
    let bench = Bench::with(image);
    let store = open(bench.folder.path(), Sys::default())
        .await
        .map_err(failed("open after the loss"))?;
    let checked = async {
        sound(&store, promises).await?;
        tidy(&store).await?;
        goes_on(&store, promises).await
    };
    let checked = checked.await;
    settled(&store).await;
    store.close().await;
    bench.put_back();
    checked
}

/// A folder in which one image after the other is started: most have the same folders.
struct Bench {
    folder: TempDir,
    folders: BTreeSet<PathBuf>,
}

thread_local! {
    static FREE: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

impl Bench {
    fn with(image: &Image) -> Self {
        let folders = image.folders();
        let free = FREE.take().filter(|bench| bench.folders == folders);
        let bench = free.unwrap_or_else(|| {
            let folder = quick_folder();
            for path in &folders {
                fs::create_dir(folder.path().join(path)).unwrap();
            }
            Self { folder, folders }
        });
        for (path, bytes) in image.files() {
            fs::write(bench.folder.path().join(path), bytes).unwrap();
        }
        bench
    }

    /// Without its files. With folders that the start made it is of no use.
    fn put_back(self) {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    let path = entry.path();
                    found.insert(path.strip_prefix(self.folder.path()).unwrap().to_owned());
                    folders.push(path);
                } else {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
        }
        if found == self.folders {
            FREE.set(Some(self));
        }
    }
}
