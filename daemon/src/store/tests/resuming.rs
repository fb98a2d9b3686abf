//! Fetches and imports that were cut.

use std::{
    collections::BTreeSet,
    sync::{Mutex, mpsc},
    time::Duration,
};

use proptest::prelude::*;
use tokio::sync::Notify;

use super::*;

/// A fetch of `bytes` of which these groups are in the last checkpoint, and one more is not. Dropped.
async fn cut(store: &Store, bytes: &[u8], groups: &[usize], after: Option<usize>) -> ContentHash {
    let layer = layer_of(bytes);
    let (hash, size) = (layer.hash(), layer.size());
    let fetch = store.begin(hash, size).await.unwrap();
    let _ = fetch.set_layer(layer);
    for &group in groups {
        write_group(&fetch, bytes, group);
    }
    fetch.checkpoint().await.unwrap();
    if let Some(group) = after {
        write_group(&fetch, bytes, group);
    }
    hash
}

/// Fetches what is missing, and nothing else.
async fn complete(store: &Store, bytes: &[u8], resumed: &[usize]) {
    let hash = ContentHash::of(bytes);
    let fetch = store.begin(hash, bytes.len() as u64).await.unwrap();
    let groups: Vec<_> = bytes.chunks(GROUP_LEN).collect();
    let expected: usize = resumed.iter().map(|&group| groups[group].len()).sum();
    assert_eq!(fetch.resumed_bytes(), expected as u64);
    assert_eq!(
        fetch.layer().is_some(),
        !resumed.is_empty() || bytes.len() <= GROUP_LEN
    );
    let _ = fetch.set_layer(layer_of(bytes));
    for (index, group) in groups.iter().enumerate() {
        let (offset, len) = (index as u64 * GROUP, group.len() as u64);
        assert_eq!(fetch.has(offset, len), resumed.contains(&index), "group {index}");
        if !resumed.contains(&index) {
            assert!(fetch.write_piece(offset, group).unwrap());
        }
    }
    fetch.commit(Purpose::Nothing).await.unwrap();
    assert_eq!(read_all(store, hash).await, bytes);
    assert_eq!(store.usage().await.unwrap().partial_files, 0);
}

#[tokio::test]
async fn a_fetch_goes_on_at_its_checkpoint() {
    let bytes = data(1, 6 * GROUP_LEN + 5);
    let home = Home::new();
    let store = home.open().await;
    let hash = cut(&store, &bytes, &[6, 0, 3], Some(1)).await;
    assert_eq!(store.usage().await.unwrap().partial_files, 1);
    assert!(store.content(hash).await.unwrap().is_none());
    // The same store, and the next start.
    let killed = home.killed();
    complete(&store, &bytes, &[0, 3, 6]).await;
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    let store = killed.open().await;
    assert_eq!(killed.files("partial").len(), 2);
    // Cut once more.
    cut(&store, &bytes, &[5], None).await;
    stop(store).await;
    complete(&killed.open().await, &bytes, &[0, 3, 5, 6]).await;
}

#[tokio::test]
async fn a_kill_leaves_what_the_last_checkpoint_says() {
    let bytes = data(2, 5 * GROUP_LEN);
    let (home, layer) = (Home::new(), layer_of(&bytes));
    let store = home.open().await;
    let fetch = store.begin(layer.hash(), layer.size()).await.unwrap();
    fetch.set_layer(layer).unwrap();
    write_group(&fetch, &bytes, 4);
    let early = home.killed();
    fetch.checkpoint().await.unwrap();
    write_group(&fetch, &bytes, 2);
    fetch.checkpoint().await.unwrap();
    write_group(&fetch, &bytes, 0);
    let late = home.killed();
    complete(&late.open().await, &bytes, &[2, 4]).await;
    let store = early.open().await;
    assert_eq!(early.files("partial"), Vec::<PathBuf>::new());
    complete(&store, &bytes, &[]).await;
}

#[tokio::test]
async fn checkpoints_begin_by_themselves() {
    let bytes = data(3, 8 * GROUP_LEN);
    let (home, layer) = (Home::new(), layer_of(&bytes));
    let store = home.open_eager(None, 3 * GROUP).await;
    let fetch = store.begin(layer.hash(), layer.size()).await.unwrap();
    fetch.set_layer(layer).unwrap();
    for group in 0..2 {
        write_group(&fetch, &bytes, group);
    }
    settled(&store).await;
    assert_eq!(store.usage().await.unwrap().partial_files, 0, "too little came");
    for group in 2..4 {
        write_group(&fetch, &bytes, group);
    }
    // Dropped while the checkpoint may still run: the next fetch waits for it.
    drop(fetch);
    let fetch = store
        .begin(ContentHash::of(&bytes), bytes.len() as u64)
        .await
        .unwrap();
    assert!(fetch.resumed_bytes() >= 3 * GROUP, "{}", fetch.resumed_bytes());
    drop(fetch);
    stop(store).await;

    let config = StoreConfig {
        path: home.path(),
        max_size: None,
        reserve_free: 0,
    };
    let every = CheckpointEvery {
        bytes: u64::MAX,
        time: Duration::ZERO,
    };
    let store = Store::open_with(config, Sys::default(), every).await.unwrap();
    let fetch = store
        .begin(ContentHash::of(&bytes), bytes.len() as u64)
        .await
        .unwrap();
    write_group(&fetch, &bytes, 7);
    drop(fetch);
    let fetch = store
        .begin(ContentHash::of(&bytes), bytes.len() as u64)
        .await
        .unwrap();
    assert!(fetch.has(7 * GROUP, GROUP), "by time");
}

#[tokio::test]
async fn a_row_without_its_files_is_forgotten() {
    let bytes = data(4, 4 * GROUP_LEN);
    type Spoil = fn(&Path, &Path);
    fn cut_to(file: &Path, len: u64) {
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_len(len)
            .unwrap();
    }
    let spoils: [Spoil; 5] = [
        |file, _| fs::remove_file(file).unwrap(),
        |file, _| cut_to(file, GROUP),
        |_, layer| fs::remove_file(layer).unwrap(),
        |_, layer| fs::write(layer, [7; 4 * 32]).unwrap(),
        |_, layer| cut_to(layer, 32),
    ];
    for restart in [true, false] {
        for (case, spoil) in spoils.iter().enumerate() {
            let home = Home::new();
            let mut store = home.open_limited(Some(4 * GROUP), 0).await;
            let hash = cut(&store, &bytes, &[1, 2], None).await;
            let file = home.path().join("partial").join(hash.to_string());
            if restart {
                stop(store).await;
            } else {
                drop(store);
            }
            spoil(&file, &file.with_extension("layer"));
            store = home.open_limited(Some(4 * GROUP), 0).await;
            complete(&store, &bytes, &[]).await;
            assert_eq!(home.files("partial"), Vec::<PathBuf>::new(), "case {case}");
            assert_eq!(store.usage().await.unwrap().free_bytes, 0);
        }
    }
}

#[tokio::test]
async fn files_without_a_row_are_removed() {
    let home = Home::new();
    let store = home.open().await;
    let kept = cut(&store, &data(5, 2 * GROUP_LEN), &[0], None).await;
    stop(store).await;
    let other = ContentHash::of(b"other");
    for name in [other.to_string(), format!("{other}.layer"), "odd".into()] {
        fs::write(home.path().join("partial").join(name), b"?").unwrap();
    }
    let _store = home.open().await;
    let mut left = home.files("partial");
    left.sort();
    let name = PathBuf::from("partial").join(kept.to_string());
    assert_eq!(left, [name.clone(), name.with_extension("layer")]);
}

#[tokio::test]
async fn a_commit_that_did_not_come_to_its_row_is_taken_back() {
    let bytes = data(6, 4 * GROUP_LEN);
    for with_content in [false, true] {
        let home = Home::new();
        let store = home.open().await;
        let hash = cut(&store, &bytes, &[1, 3], Some(0)).await;
        stop(store).await;
        let file = home.path().join("partial").join(hash.to_string());
        fs::rename(file.with_extension("layer"), home.layer_path(hash)).unwrap();
        if with_content {
            fs::rename(&file, home.content_path(hash)).unwrap();
        }
        complete(&home.open().await, &bytes, &[1, 3]).await;
    }
}

#[tokio::test]
async fn a_partial_takes_room_until_it_is_discarded() {
    let bytes = data(7, 6 * GROUP_LEN);
    let home = Home::new();
    let quota = 12 * GROUP;
    let store = home.open_limited(Some(quota), 0).await;
    let free = async |store: &Store| store.usage().await.unwrap().free_bytes;
    let hash = cut(&store, &bytes, &[0], None).await;
    assert_eq!(free(&store).await, 6 * GROUP);
    assert!(matches!(
        store
            .import_file(
                passed(&data(8, 7 * GROUP_LEN)),
                Purpose::Nothing,
                quiet(),
                &never()
            )
            .await,
        Err(StoreError::NoSpace { .. })
    ));
    stop(store).await;
    let store = home.open_limited(Some(quota), 0).await;
    assert_eq!(free(&store).await, 6 * GROUP, "after a restart too");
    let fetch = store.begin(hash, 6 * GROUP).await.unwrap();
    assert_eq!(free(&store).await, 6 * GROUP, "not counted twice");
    assert!(matches!(store.discard(hash).await, Err(StoreError::Busy { .. })));
    drop(fetch);
    assert_eq!(free(&store).await, 6 * GROUP);
    assert!(store.discard(hash).await.unwrap() >= 6 * GROUP);
    assert_eq!(store.discard(hash).await.unwrap(), 0);
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(free(&store).await, quota);
    // What comes otherwise makes the partial useless.
    cut(&store, &bytes, &[0], None).await;
    import(&store, &bytes).await;
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(
        (free(&store).await, store.usage().await.unwrap().partial_files),
        (6 * GROUP, 0)
    );
}

#[tokio::test]
async fn a_partial_expires() {
    let bytes = data(9, 3 * GROUP_LEN);
    let home = Home::new();
    let store = home.open().await;
    let hash = cut(&store, &bytes, &[0], None).await;
    assert_eq!(store.expire_partials(Duration::from_secs(60)).await.unwrap(), 0);
    let fetch = store.begin(hash, 3 * GROUP).await.unwrap();
    assert_eq!(store.expire_partials(Duration::ZERO).await.unwrap(), 0, "in use");
    drop(fetch);
    assert!(store.expire_partials(Duration::ZERO).await.unwrap() >= 3 * GROUP);
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    cut(&store, &bytes, &[0], None).await;
    for (days, left) in [(6, 1), (8, 0)] {
        let mut writer = store.inner.metadata.writer().await.unwrap();
        sqlx::query("UPDATE partials SET changed_at = ?")
            .bind(partials::now() - days * 24 * 3_600_000)
            .execute(&mut *writer)
            .await
            .unwrap();
        drop(writer);
        let next = home.killed();
        let next = next.open().await;
        assert_eq!(next.usage().await.unwrap().partial_files, left, "{days} days");
    }
}

#[tokio::test]
async fn a_proven_size_is_not_forgotten_for_a_lie() {
    let bytes = data(10, 3 * GROUP_LEN);
    let home = Home::new();
    let store = home.open().await;
    let hash = cut(&store, &bytes, &[2], None).await;
    assert!(matches!(
        store.begin(hash, 3 * GROUP - 1).await,
        Err(StoreError::Mismatch { .. })
    ));
    complete(&store, &bytes, &[2]).await;
    let bytes = data(11, 3 * GROUP_LEN);
    let hash = cut(&store, &bytes, &[0], None).await;
    let other = store.begin(hash, 2 * GROUP).await.unwrap();
    assert_eq!(other.resumed_bytes(), 0, "nothing said which is true");
}

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

#[derive(Clone, Debug)]
enum Act {
    Piece(usize),
    Checkpoint,
    Drop,
    Kill,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..7_usize).prop_map(Act::Piece),
        2 => Just(Act::Checkpoint),
        1 => Just(Act::Drop),
        1 => Just(Act::Kill),
    ];
    prop::collection::vec(act, 1..16)
}

/// Does all of it and says how it ended: the durable groups never go, and what is there is the content's.
async fn play(bytes: &[u8], eager: bool, acts: &[Act]) {
    let groups: Vec<_> = bytes.chunks(GROUP_LEN).collect();
    let (layer, every) = (layer_of(bytes), if eager { GROUP } else { u64::MAX });
    let (hash, size) = (layer.hash(), layer.size());
    let mut home = Home::new();
    let mut store = home.open_eager(None, every).await;
    let mut fetch = store.begin(hash, size).await.unwrap();
    let (mut written, mut durable) = (BTreeSet::new(), BTreeSet::new());
    let _ = fetch.set_layer(layer.clone());
    for act in acts {
        match act {
            Act::Piece(index) => {
                let index = index % groups.len();
                write_group(&fetch, bytes, index);
                written.insert(index);
                continue;
            }
            Act::Checkpoint => {
                fetch.checkpoint().await.unwrap();
                durable.clone_from(&written);
                continue;
            }
            Act::Drop => drop(fetch),
            Act::Kill => {
                settled(&store).await;
                home = home.killed();
                drop(fetch);
                store = home.open_eager(None, every).await;
            }
        }
        fetch = store.begin(hash, size).await.unwrap();
        let _ = fetch.set_layer(layer.clone());
        let there = |index: &usize| fetch.has(*index as u64 * GROUP, groups[*index].len() as u64);
        let now: BTreeSet<_> = (0..groups.len()).filter(there).collect();
        assert!(now.is_superset(&durable), "{now:?} has not {durable:?}");
        assert!(now.is_subset(&written), "{now:?} is more than {written:?}");
        assert!(eager || now == durable, "{now:?} is not {durable:?}");
        for &index in &now {
            let mut read = vec![0; groups[index].len()];
            fetch.read_at(index as u64 * GROUP, &mut read).unwrap();
            assert!(read == groups[index], "group {index} is not the content's");
        }
        written.clone_from(&now);
        durable = now;
    }
    for index in 0..groups.len() {
        write_group(&fetch, bytes, index);
    }
    fetch.commit(Purpose::Nothing).await.unwrap();
    drop(fetch);
    assert_eq!(read_all(&store, hash).await, bytes);
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_checkpoint_is_lost_and_no_byte_is_wrong(
        size in prop_oneof![1..=GROUP_LEN, GROUP_LEN + 1..7 * GROUP_LEN], eager in any::<bool>(), acts in acts(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(play(&data(30, size), eager, &acts));
    }
}
