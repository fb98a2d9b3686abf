//! Import and export.

use std::{
    os::{fd::OwnedFd, unix::fs::FileExt},
    sync::Mutex,
};

use tokio_util::bytes::Bytes;

use super::*;

#[tokio::test]
async fn what_comes_in_goes_out_the_same() {
    let home = Home::new();
    let store = home.open().await;
    for (id, size) in SIZES.into_iter().enumerate() {
        let bytes = data(id as u64, size);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let progress: ProgressSink = Arc::new(move |done| sink.lock().unwrap().push(done));
        let imported = store
            .import_file(passed(&bytes), Purpose::Nothing, progress.clone(), &never())
            .await
            .unwrap();
        assert_eq!(
            imported,
            Imported {
                hash: ContentHash::of(&bytes),
                size: size as u64
            }
        );
        assert_eq!(seen.lock().unwrap().last().copied().unwrap_or(0), size as u64);
        store.add_hold(&publication(id as u128, imported)).await.unwrap();
        assert_eq!(read_all(&store, imported.hash).await, bytes, "{size}");

        let (target, file) = output();
        seen.lock().unwrap().clear();
        assert_eq!(
            store.export(imported.hash, target, progress).await.unwrap(),
            size as u64
        );
        assert_eq!(bytes_of(&file), bytes, "{size}");
        assert_eq!(seen.lock().unwrap().last().copied().unwrap_or(0), size as u64);
    }
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(home.files("content").len(), SIZES.len());
    let with_layer = SIZES.iter().filter(|&&size| size > GROUP_LEN).count();
    assert_eq!(home.files("layer").len(), with_layer);
    let usage = store.usage().await.unwrap();
    assert_eq!(
        (usage.files, usage.bytes),
        (SIZES.len() as u64, SIZES.iter().sum::<usize>() as u64)
    );
    assert_eq!((usage.max_bytes, usage.path), (None, home.path()));
}

#[tokio::test]
async fn nobody_else_may_look() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, &data(1, GROUP_LEN + 1)).await;
    for folder in ["", "content", "layer", "partial", "tmp", "content/00"] {
        assert_eq!(mode(&home.path().join(folder)), 0o700, "{folder}");
    }
    assert_eq!(mode(&home.content_path(imported.hash)), 0o600);
    for file in home.files("") {
        assert_eq!(mode(&home.path().join(&file)), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn the_same_bytes_are_kept_once() {
    let home = Home::new();
    let store = home.open().await;
    let bytes = data(1, BUFFER_LEN);
    let (one, two) = tokio::join!(import(&store, &bytes), import(&store, &bytes));
    assert_eq!(one, two);
    assert_eq!((home.files("content").len(), home.files("layer").len()), (1, 1));
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(store.usage().await.unwrap().bytes, one.size);
}

#[tokio::test]
async fn a_copy_that_somebody_removed_is_mended_by_the_next_import() {
    let home = Home::new();
    let store = home.open().await;
    let bytes = data(1, BUFFER_LEN);
    let imported = import(&store, &bytes).await;
    fs::remove_file(home.content_path(imported.hash)).unwrap();
    assert!(matches!(
        store.content(imported.hash).await,
        Err(StoreError::Damaged { .. })
    ));
    import(&store, &bytes).await;
    assert_eq!(read_all(&store, imported.hash).await, bytes);
    assert_eq!(store.usage().await.unwrap().bytes, imported.size);
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused() {
    let home = Home::new();
    let store = home.open().await;
    let (pipe, _writer) = std::io::pipe().unwrap();
    let folder = File::open(home.path()).unwrap();
    let device = File::open("/dev/zero").unwrap();
    for source in [OwnedFd::from(pipe).into(), folder.into(), device.into()] {
        assert!(matches!(
            store
                .import_file(source, Purpose::Nothing, quiet(), &never())
                .await,
            Err(StoreError::NotRegular)
        ));
    }
    let imported = import(&store, b"x").await;
    let appending = tempfile::NamedTempFile::new().unwrap();
    let appending = File::options().append(true).open(appending.path()).unwrap();
    assert!(matches!(
        store.export(imported.hash, appending.into(), quiet()).await,
        Err(StoreError::Io { .. })
    ));
    let (_reader, pipe) = std::io::pipe().unwrap();
    assert!(matches!(
        store
            .export(imported.hash, OwnedFd::from(pipe).into(), quiet())
            .await,
        Err(StoreError::NotRegular)
    ));
    assert!(matches!(
        store.export(imported.hash, passed(b"y"), quiet()).await,
        Err(StoreError::NotEmpty)
    ));
    let other = ContentHash::of(b"other");
    assert!(
        matches!(store.export(other, output().0, quiet()).await, Err(StoreError::NotStored { hash }) if hash == other)
    );
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
}

/// Imports while the first progress report lets `change` at the source.
async fn import_changed(
    store: &Store,
    change: impl Fn(&File) + Send + Sync + 'static,
) -> Result<Imported, StoreError> {
    // In memory: on another file system than the store, so that it is copied and not reflinked. A clone is of one
    // instant, and later changes are none of its business.
    let source = rustix::fs::memfd_create("source", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let source = File::from(source);
    source.write_all_at(&data(1, 3 * BUFFER_LEN), 0).unwrap();
    let handle = Mutex::new(Some(source.try_clone().unwrap()));
    let progress: ProgressSink = Arc::new(move |_| {
        if let Some(file) = handle.lock().unwrap().take() {
            change(&file);
        }
    });
    store
        .import_file(source.into(), Purpose::Nothing, progress, &never())
        .await
}

#[tokio::test]
async fn a_source_that_changes_is_refused() {
    let home = Home::new();
    let store = home.open().await;
    let grown = import_changed(&store, |file| {
        file.write_all_at(b"more", 3 * BUFFER_LEN as u64).unwrap();
    })
    .await;
    let shrunk = import_changed(&store, |file| file.set_len(BUFFER_LEN as u64 + 5).unwrap()).await;
    let touched = import_changed(&store, |file| {
        file.write_all_at(b"x", 0).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    });
    for result in [grown, shrunk, touched.await] {
        assert!(matches!(result, Err(StoreError::SourceChanged)), "{result:?}");
    }
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(home.files("content"), Vec::<PathBuf>::new());
    assert_eq!(store.usage().await.unwrap().files, 0);
}

#[tokio::test]
async fn a_stream_is_kept_when_it_is_finished() {
    let home = Home::new();
    let store = home.open().await;
    for size in SIZES {
        let bytes = data(9, size);
        let mut stream = store.import_stream().await.unwrap();
        for run in bytes.chunks(70_001) {
            stream.push(Bytes::copy_from_slice(run)).await.unwrap();
        }
        assert_eq!(stream.size(), size as u64);
        let imported = stream.finish(Purpose::Nothing).await.unwrap();
        assert_eq!(imported.hash, ContentHash::of(&bytes), "{size}");
        assert_eq!(read_all(&store, imported.hash).await, bytes);
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_leaves_nothing() {
    let home = Home::new();
    let quota = 3 * BUFFER_LEN as u64;
    let store = home.open_limited(Some(quota), 0).await;
    let mut stream = store.import_stream().await.unwrap();
    stream.push(data(1, 2 * BUFFER_LEN + 1).into()).await.unwrap();
    assert_eq!(home.files("tmp").len(), 1);
    assert_eq!(store.usage().await.unwrap().free_bytes, BUFFER_LEN as u64);
    drop(stream);
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(
        store.usage().await.unwrap().free_bytes,
        quota,
        "the room is given back"
    );
    assert_eq!(home.files("content"), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_full_disk_is_refused_before_the_first_byte() {
    let home = Home::new();
    let store = home.open_limited(None, 1 << 60).await;
    let refused = store
        .import_file(passed(b"1234567"), Purpose::Nothing, quiet(), &never())
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, StoreError::NoSpace { needed: 7, usable: 0, path } if *path == home.path()),
        "{refused}"
    );
    assert!(matches!(
        store.begin(ContentHash::of(b"x"), 1).await,
        Err(StoreError::NoSpace { needed: 1, .. })
    ));
    let mut stream = store.import_stream().await.unwrap();
    stream.push(Bytes::from_static(b"1234567")).await.unwrap();
    assert!(matches!(
        stream.finish(Purpose::Nothing).await,
        Err(StoreError::NoSpace { needed: 7, .. })
    ));
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(store.usage().await.unwrap().free_bytes, 0);
}

#[tokio::test]
async fn the_quota_counts_what_is_stored_and_what_is_promised() {
    let home = Home::new();
    let store = home.open_limited(Some(1000), 0).await;
    let small = import(&store, &data(1, 400)).await;
    assert_eq!(store.usage().await.unwrap().free_bytes, 600);
    let fetch = store.begin(ContentHash::of(b"y"), 500).await.unwrap();
    assert_eq!(store.usage().await.unwrap().free_bytes, 100);
    let refused = store
        .import_file(passed(&data(2, 101)), Purpose::Nothing, quiet(), &never())
        .await;
    assert!(matches!(
        refused,
        Err(StoreError::NoSpace {
            needed: 101,
            usable: 100,
            ..
        })
    ));
    drop(fetch);
    assert_eq!(store.usage().await.unwrap().free_bytes, 600);
    let mut stream = store.import_stream().await.unwrap();
    stream.push(data(3, BUFFER_LEN - 1).into()).await.unwrap();
    assert!(matches!(
        stream.push(data(3, 1).into()).await,
        Err(StoreError::NoSpace { usable: 600, .. })
    ));
    assert!(matches!(
        stream.push(data(3, 1).into()).await,
        Err(StoreError::Poisoned)
    ));
    assert_eq!(store.forget_unheld(small.hash).await.unwrap(), 400);
    assert_eq!(store.usage().await.unwrap().free_bytes, 1000);
    import(&store, &data(1, 1000)).await;
    assert_eq!(store.usage().await.unwrap().free_bytes, 0);
}

#[tokio::test]
async fn damaged_bytes_are_not_delivered() {
    let home = Home::new();
    let store = home.open().await;
    for size in [1, GROUP_LEN, 3 * GROUP_LEN + 5] {
        let imported = import(&store, &data(1, size)).await;
        let path = home.content_path(imported.hash);
        let mut rotten = fs::read(&path).unwrap();
        rotten[size - 1] ^= 1;
        fs::write(&path, rotten).unwrap();
        let (target, file) = output();
        let refused = store.export(imported.hash, target, quiet()).await;
        assert!(
            matches!(refused, Err(StoreError::Damaged { hash }) if hash == imported.hash),
            "{size}"
        );
        assert_eq!(file.metadata().unwrap().len(), 0, "not a byte of it stays");
    }
}
