//! Imports that were cut: the same source, unchanged, goes on.

use std::sync::mpsc;

use super::*;

/// A file to import, and where its imports were when they told of it first.
struct Source {
    file: tempfile::NamedTempFile,
    bytes: Vec<u8>,
}

impl Source {
    fn new(seed: u64, size: usize) -> Self {
        let bytes = data(seed, size);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        Self { file, bytes }
    }

    fn open(&self) -> UserFile {
        File::open(self.file.path()).unwrap().into()
    }

    /// Imports it whole; the bytes that were done when the first buffer was.
    async fn import(&self, store: &Store) -> u64 {
        let first = Arc::new(Mutex::new(None));
        let sink = first.clone();
        let progress: ProgressSink = Arc::new(move |done| {
            sink.lock().unwrap().get_or_insert(done);
        });
        let imported = store
            .import_file(self.open(), Purpose::Nothing, progress, &never())
            .await
            .unwrap();
        assert_eq!(read_all(store, imported.hash).await, self.bytes);
        assert_eq!(imported.hash, ContentHash::of(&self.bytes));
        first.lock().unwrap().unwrap()
    }

    /// Imports it up to `stop_at`, where a checkpoint has been made; `then` is called while it stands still there.
    async fn import_until<T>(&self, store: &Store, stop_at: u64, then: impl AsyncFnOnce() -> T) -> T {
        let (reached, (go, wait)) = (Arc::new(Notify::new()), mpsc::channel::<()>());
        let (tell, wait) = (reached.clone(), Mutex::new(wait));
        let progress: ProgressSink = Arc::new(move |done| {
            if done >= stop_at {
                tell.notify_one();
                // Until the other end is dropped.
                let _ = wait.lock().unwrap().recv();
            }
        });
        let (importer, source) = (store.clone(), self.open());
        let import = tokio::spawn(async move {
            importer
                .import_file(source, Purpose::Nothing, progress, &never())
                .await
        });
        reached.notified().await;
        while imports(store).await.is_empty() {
            tokio::task::yield_now().await;
        }
        let result = then().await;
        import.abort();
        assert!(import.await.unwrap_err().is_cancelled());
        drop(go);
        settled(store).await;
        result
    }
}

async fn imports(store: &Store) -> Vec<(String, u64)> {
    let mut reader = store.inner.metadata.reader().acquire().await.unwrap();
    let rows = cut_imports::all(&mut reader).await.unwrap();
    rows.into_iter().map(|row| (row.name, row.done)).collect()
}

const BUFFER: u64 = BUFFER_LEN as u64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_goes_on_at_its_checkpoint() {
    let home = Home::new();
    let source = Source::new(20, 7 * BUFFER_LEN + 77);
    let store = home.open_eager(None, 2 * BUFFER).await;
    let killed = source
        .import_until(&store, 5 * BUFFER, async || home.killed())
        .await;
    let (_, done) = imports(&store).await.remove(0);
    assert!(done > 0 && done.is_multiple_of(GROUP));
    assert_eq!(home.files("partial").len(), 2);
    assert_eq!(
        source.import(&store).await,
        done + BUFFER,
        "only what comes after is read"
    );
    assert!(imports(&store).await.is_empty());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());

    let store = killed.open_limited(Some(8 * BUFFER), 0).await;
    let (_, done) = imports(&store).await.remove(0);
    assert_eq!(store.usage().await.unwrap().free_bytes, 8 * BUFFER - done);
    assert_eq!(source.import(&store).await, done + BUFFER);
    assert_eq!(killed.files("partial"), Vec::<PathBuf>::new());
    let size = source.bytes.len() as u64;
    assert_eq!(store.usage().await.unwrap().free_bytes, 8 * BUFFER - size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_named_and_not_registered_goes_on() {
    let home = Home::new();
    let source = Source::new(24, 7 * BUFFER_LEN + 77);
    let hash = ContentHash::of(&source.bytes);
    let store = home.open_eager(None, 2 * BUFFER).await;
    let killed = source
        .import_until(&store, 5 * BUFFER, async || home.killed())
        .await;
    let store = killed.open().await;
    let (name, done) = imports(&store).await.remove(0);
    cut_imports::will_be(&store.inner, &name, hash).await.unwrap();
    stop(store).await;
    let copy = killed.path().join("partial").join(name);
    fs::rename(copy, killed.content_path(hash)).unwrap();
    let store = killed.open().await;
    assert_eq!(source.import(&store).await, done + BUFFER);
    assert_eq!(killed.files("partial"), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_whose_files_are_short_begins_anew() {
    let home = Home::new();
    let source = Source::new(21, 7 * BUFFER_LEN);
    let store = home.open_eager(None, 2 * BUFFER).await;
    let (one, two) = source
        .import_until(&store, 5 * BUFFER, async || (home.killed(), home.killed()))
        .await;
    let (name, done) = imports(&store).await.remove(0);
    let short = |home: &Home, name: &str, len| {
        let file = File::options()
            .write(true)
            .open(home.path().join("partial").join(name));
        file.unwrap().set_len(len).unwrap();
    };
    short(&one, &name, GROUP);
    short(&two, &format!("{name}.layer"), 32);
    for home in [one, two] {
        let store = home.open().await;
        assert!(imports(&store).await.is_empty());
        assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
        assert_eq!(source.import(&store).await, BUFFER);
    }
    short(&home, &name, done - 1);
    assert_eq!(source.import(&store).await, BUFFER, "found when it is wanted");
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_source_is_another_one() {
    let home = Home::new();
    let mut source = Source::new(22, 6 * BUFFER_LEN);
    let store = home.open_eager(None, 2 * BUFFER).await;
    source.import_until(&store, 4 * BUFFER, async || ()).await;
    source.bytes[100] ^= 1;
    let file = File::options().write(true).open(source.file.path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &source.bytes[100..101], 100).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(source.import(&store).await, BUFFER);
    // Changed on the way, after a checkpoint: nothing is left of that.
    let other = Source::new(23, 6 * BUFFER_LEN);
    let handle = File::options().write(true).open(other.file.path()).unwrap();
    let progress: ProgressSink = Arc::new(move |done| {
        if done == 5 * BUFFER {
            handle.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    });
    let before = imports(&store).await.len();
    let refused = store
        .import_file(other.open(), Purpose::Nothing, progress, &never())
        .await;
    assert!(matches!(refused, Err(StoreError::SourceChanged)), "{refused:?}");
    assert_eq!(imports(&store).await.len(), before);
    assert_eq!(home.files("partial").len(), 2 * before);
}
