//! What is not given up: the last good bytes of something, and what somebody still waits for.

use super::*;

/// Longer than a partial is kept that nobody wants.
const LONG_AGO: i64 = 0;

async fn cut(store: &Store, bytes: &[u8], groups: &[usize]) -> ContentHash {
    let layer = layer_of(bytes);
    let hash = layer.hash();
    let fetch = store.begin(hash, layer.size()).await.unwrap();
    let _ = fetch.set_layer(layer);
    for &group in groups {
        write_group(&fetch, bytes, group);
    }
    fetch.checkpoint().await.unwrap();
    hash
}

async fn resumes(store: &Store, bytes: &[u8]) -> u64 {
    let fetch = store.begin(ContentHash::of(bytes), bytes.len() as u64).await;
    fetch.unwrap().resumed_bytes()
}

#[tokio::test]
async fn what_is_good_of_a_damaged_content_is_not_discarded() {
    let bytes = data(1, 3 * GROUP_LEN);
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, &bytes).await;
    store.add_hold(&publication(1, imported)).await.unwrap();
    let path = home.content_path(imported.hash);
    let file = File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"rot", 5).unwrap();
    let verdict = store.verify(imported.hash, None, quiet()).await.unwrap();
    assert!(matches!(verdict, Verdict::Damaged { .. }), "{verdict:?}");
    assert_eq!(store.discard(imported.hash).await.unwrap(), 0);
    assert_eq!(resumes(&store, &bytes).await, 2 * GROUP);
    // Of what is not damaged it is removed.
    let other = cut(&store, &data(2, 3 * GROUP_LEN), &[1]).await;
    assert!(store.discard(other).await.unwrap() >= GROUP);
    assert_eq!(resumes(&store, &data(2, 3 * GROUP_LEN)).await, 0);
}

#[tokio::test]
async fn what_a_transfer_waits_for_does_not_expire() {
    let (wanted, forgotten, ended) = (
        data(1, 3 * GROUP_LEN),
        data(2, 3 * GROUP_LEN),
        data(3, 3 * GROUP_LEN),
    );
    let home = Home::new();
    let store = home.open().await;
    let rows = [(&wanted, true), (&ended, false)]
        .into_iter()
        .zip(1..)
        .map(|((bytes, live), id)| TransferRow {
            id,
            live,
            content: Some(ContentHash::of(bytes)),
            record: String::new(),
        });
    store.write_transfers(rows.collect(), 10).await.unwrap();
    for bytes in [&wanted, &forgotten, &ended] {
        cut(&store, bytes, &[0, 2]).await;
    }
    let mut writer = store.inner.metadata.writer().await.unwrap();
    sqlx::query("UPDATE partials SET changed_at = ?")
        .bind(LONG_AGO)
        .execute(&mut *writer)
        .await
        .unwrap();
    drop(writer);
    stop(store).await;
    let store = home.open().await;
    assert_eq!(resumes(&store, &wanted).await, 2 * GROUP);
    assert_eq!(resumes(&store, &forgotten).await, 0);
    assert_eq!(resumes(&store, &ended).await, 0);
}

#[tokio::test]
async fn contents_without_their_metadata_are_left_alone() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, b"the only copy").await;
    store.add_hold(&publication(1, imported)).await.unwrap();
    stop(store).await;
    let aside = home.path().with_file_name("aside");
    fs::create_dir(&aside).unwrap();
    let move_all = |from: &Path, to: &Path| {
        for name in ["metadata.db", "metadata.db-wal", "metadata.db-shm"] {
            if from.join(name).exists() {
                fs::rename(from.join(name), to.join(name)).unwrap();
            }
        }
    };
    move_all(&home.path(), &aside);
    let refused = home.try_open().await.err().unwrap();
    assert!(
        matches!(&refused, StoreError::MetadataLost { path } if *path == home.path()),
        "{refused}"
    );
    assert!(!home.path().join("metadata.db").exists());
    move_all(&aside, &home.path());
    assert_eq!(
        read_all(&home.open().await, imported.hash).await,
        b"the only copy"
    );
}

#[tokio::test]
async fn kept_bytes_that_rotted_are_not_handed_out() {
    let bytes = data(1, 3 * GROUP_LEN);
    let home = Home::new();
    let store = home.open().await;
    let hash = cut(&store, &bytes, &[0, 1]).await;
    let path = home.path().join("partial").join(hash.to_string());
    let file = File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"rot", GROUP + 7).unwrap();
    let fetch = store.begin(hash, 3 * GROUP).await.unwrap();
    assert_eq!(fetch.resumed_bytes(), 2 * GROUP);
    let mut read = vec![0; GROUP_LEN - 10];
    fetch.read_sound(5, &mut read).unwrap();
    assert_eq!(read, bytes[5..GROUP_LEN - 5]);
    let refused = fetch.read_sound(GROUP - 1, &mut read).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    settled(&store).await;
    let written = fetch.write_piece(2 * GROUP, &bytes[2 * GROUP_LEN..]);
    assert!(matches!(written, Err(StoreError::Poisoned)), "{written:?}");
    assert_eq!(store.faults().len(), 1);
    drop(fetch);
    assert_eq!(resumes(&store, &bytes).await, 0, "nothing of it is believed");
}
