//! What the next start does with what a crash left, and who may start.

use super::*;

/// Puts files where a daemon that died could have left them.
fn leave(home: &Home, path: &str, bytes: &[u8]) {
    fs::write(home.path().join(path), bytes).unwrap();
}

#[tokio::test]
async fn leftovers_are_removed_and_nothing_else() {
    let home = Home::new();
    let store = home.open().await;
    let bytes = data(1, 2 * GROUP_LEN);
    let kept = import(&store, &bytes).await;
    let small = import(&store, b"small").await;
    store.add_hold(&publication(1, kept)).await.unwrap();
    store.add_hold(&publication(2, small)).await.unwrap();
    // Imported, and then the daemon died before anybody held it.
    let unheld = import(&store, &data(2, GROUP_LEN + 1)).await;
    stop(store).await;

    let hash = ContentHash::of(b"renamed, not registered");
    leave(&home, "tmp/half", b"half a file");
    leave(
        &home,
        &format!("content/{}/{hash}", &hash.to_string()[..2]),
        b"renamed, not registered",
    );
    leave(
        &home,
        &format!("layer/{}/{hash}", &hash.to_string()[..2]),
        &[7; 64],
    );
    leave(
        &home,
        &format!("layer/{}/{}", &small.hash.to_string()[..2], small.hash),
        b"a layer of no use",
    );
    leave(&home, "content/00/no-hash", b"?");

    let store = home.open().await;
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!((home.files("content").len(), home.files("layer").len()), (2, 1));
    assert!(store.content(unheld.hash).await.unwrap().is_none());
    assert!(store.content(hash).await.unwrap().is_none());
    assert_eq!(read_all(&store, kept.hash).await, bytes);
    assert_eq!(read_all(&store, small.hash).await, b"small");
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.files, usage.bytes), (2, kept.size + small.size));
}

#[tokio::test]
async fn a_store_that_was_just_dropped_opens_again() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, b"durable").await;
    store.add_hold(&publication(1, imported)).await.unwrap();
    let fetch = store.begin(ContentHash::of(b"abc"), 3).await.unwrap();
    assert!(fetch.write_piece(0, b"abc").unwrap());
    // No close, no commit: as if the process had gone.
    drop((store, fetch));
    let store = home.open().await;
    assert_eq!(read_all(&store, imported.hash).await, b"durable");
    assert!(store.content(ContentHash::of(b"abc")).await.unwrap().is_none());
}

#[tokio::test]
async fn one_daemon_at_a_time() {
    let home = Home::new();
    let store = home.open().await;
    let refused = home.try_open().await.err().unwrap();
    assert!(matches!(&refused, StoreError::InUse { path } if *path == home.path()));
    assert!(
        refused.to_string().contains(&home.path().display().to_string()),
        "{refused}"
    );
    let clone = store.clone();
    drop(store);
    assert!(home.try_open().await.is_err(), "a clone holds it");
    drop(clone);
    home.open().await;
}

#[tokio::test]
async fn newer_metadata_is_left_alone() {
    let home = Home::new();
    let store = home.open().await;
    let mut writer = store.inner.metadata.writer().await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&mut *writer)
        .await
        .unwrap();
    drop(writer);
    stop(store).await;
    leave(&home, "tmp/theirs", b"x");
    let refused = home.try_open().await.err().unwrap();
    assert!(
        matches!(
            refused,
            StoreError::Newer {
                found: 99,
                known: 5,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(home.files("tmp").len(), 1, "not ours to sweep");
}

#[tokio::test]
async fn a_commit_outlives_its_caller() {
    let home = Home::new();
    let store = home.open().await;
    let incoming = store.begin(ContentHash::of(b"abc"), 3).await.unwrap();
    assert!(incoming.write_piece(0, b"abc").unwrap());
    {
        let mut commit = std::pin::pin!(incoming.commit(Purpose::Nothing));
        // Polled once, so that it has begun, and then dropped.
        let _ = futures::poll!(&mut commit);
    }
    store.inner.tasks.close();
    store.inner.tasks.wait().await;
    assert_eq!(read_all(&store, ContentHash::of(b"abc")).await, b"abc");
}
