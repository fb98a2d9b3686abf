//! Fetches that were cut, here; imports and sequences in modules of their own.

mod imports;
mod play;

use std::{sync::Mutex, time::Duration};

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
