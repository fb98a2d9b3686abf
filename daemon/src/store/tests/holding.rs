//! Holds and the index log.

use p2p_proto::{
    index::{Hold, HoldState, IndexDigest},
    rest::index::HoldChange,
};

use super::{world::noted, *};

fn complete(id: u128) -> Hold {
    Hold {
        publication: Uuid::from_u128(id),
        state: HoldState::Complete,
    }
}

async fn digest_of_holds(store: &Store) -> IndexDigest {
    let holds = store.holds().await.unwrap();
    let holds: Vec<_> = holds
        .iter()
        .map(|held| Hold {
            publication: held.publication.id,
            state: held.state,
        })
        .collect();
    IndexDigest::of(&holds)
}

#[tokio::test]
async fn a_hold_says_what_was_published() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, &data(1, 100)).await;
    let first = publication(1, imported);
    store.add_hold(&first).await.unwrap();
    let held = store.hold(first.id).await.unwrap().unwrap();
    let expected = HeldFile {
        publication: first.clone(),
        stored_bytes: 100,
        state: HoldState::Complete,
        damaged: None,
        pinned: false,
    };
    assert_eq!(held, expected);
    assert_eq!(store.holds().await.unwrap(), std::slice::from_ref(&expected));
    assert_eq!(store.holds_of(imported.hash).await.unwrap(), [expected]);
    assert_eq!(store.holds_of(ContentHash::of(b"")).await.unwrap(), []);
    assert_eq!(store.hold(Uuid::nil()).await.unwrap(), None);
    stop(store).await;
    assert_eq!(
        home.open().await.holds().await.unwrap()[0].publication,
        first,
        "after a restart too"
    );
}

#[tokio::test]
async fn a_pin_stays_with_its_hold() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, &data(1, 100)).await;
    let (one, two) = (publication(1, imported), publication(2, imported));
    for file in [&one, &two] {
        store.add_hold(file).await.unwrap();
    }
    assert!(store.pin(one.id, true).await.unwrap());
    assert!(!store.pin(Uuid::nil(), true).await.unwrap(), "not held");
    // Told again, as after a fetch of what is here, it is the same hold.
    store.add_hold(&one).await.unwrap();
    stop(store).await;
    let store = home.open().await;
    let pinned = |held: Option<HeldFile>| held.map(|held| held.pinned);
    assert_eq!(pinned(store.hold(one.id).await.unwrap()), Some(true));
    assert_eq!(pinned(store.hold(two.id).await.unwrap()), Some(false));
    assert!(store.pin(one.id, false).await.unwrap());
    assert_eq!(pinned(store.hold(one.id).await.unwrap()), Some(false));
    store.pin(one.id, true).await.unwrap();
    assert_eq!(store.drop_unpinned(one.id).await.unwrap(), None);
    assert!(store.hold(one.id).await.unwrap().unwrap().pinned);
    store.drop_hold(one.id).await.unwrap();
    store.add_hold(&one).await.unwrap();
    assert_eq!(
        pinned(store.hold(one.id).await.unwrap()),
        Some(false),
        "another hold"
    );
}

#[tokio::test]
async fn only_a_stored_content_is_held() {
    let home = Home::new();
    let store = home.open().await;
    let absent = Imported {
        hash: ContentHash::of(b"absent"),
        size: 6,
    };
    assert!(matches!(
        store.add_hold(&publication(1, absent)).await,
        Err(StoreError::NotStored { .. })
    ));
    let imported = import(&store, b"one").await;
    let longer = Imported { size: 4, ..imported };
    assert!(matches!(
        store.add_hold(&publication(1, longer)).await,
        Err(StoreError::Mismatch { .. })
    ));
    store.add_hold(&publication(1, imported)).await.unwrap();
    let other = import(&store, b"two").await;
    assert!(matches!(
        store.add_hold(&publication(1, other)).await,
        Err(StoreError::Mismatch { .. })
    ));
    assert_eq!(
        store.index_state().await.unwrap().seq,
        1,
        "what is refused is not logged"
    );
}

#[tokio::test]
async fn the_content_goes_with_its_last_hold_and_readers_read_on() {
    let home = Home::new();
    let store = home.open().await;
    let bytes = data(1, 3 * GROUP_LEN);
    let imported = import(&store, &bytes).await;
    store.add_hold(&publication(1, imported)).await.unwrap();
    store.add_hold(&publication(2, imported)).await.unwrap();
    let reader = store.content(imported.hash).await.unwrap().unwrap();
    assert_eq!(store.drop_hold(Uuid::from_u128(1)).await.unwrap(), 0);
    assert_eq!(read_all(&store, imported.hash).await, bytes);
    assert_eq!(store.drop_hold(Uuid::from_u128(2)).await.unwrap(), imported.size);
    assert_eq!(
        store.drop_hold(Uuid::from_u128(2)).await.unwrap(),
        0,
        "again is harmless"
    );
    assert!(store.content(imported.hash).await.unwrap().is_none());
    assert_eq!((home.files("content").len(), home.files("layer").len()), (0, 0));
    let mut read = vec![0; bytes.len()];
    reader.read_at(0, &mut read).unwrap();
    assert_eq!(read, bytes);
    assert!(reader.layer().verify(0, &read));
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.files, usage.bytes), (0, 0));
    // And back again.
    import(&store, &bytes).await;
    assert_eq!(read_all(&store, imported.hash).await, bytes);
}

#[tokio::test]
async fn a_hold_that_goes_leaves_what_is_about_to_be_published() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, b"shared").await;
    store.add_hold(&publication(1, imported)).await.unwrap();
    let (noted, purpose) = noted();
    store
        .import_file(passed(b"shared"), purpose, quiet(), &never())
        .await
        .unwrap();
    assert_eq!(store.drop_hold(Uuid::from_u128(1)).await.unwrap(), 0);
    assert_eq!(store.forget_unheld(imported.hash).await.unwrap(), 0);
    store.add_hold(&publication(2, imported)).await.unwrap();
    store.published_or_not(noted).await.unwrap();
    assert_eq!(store.drop_hold(Uuid::from_u128(2)).await.unwrap(), 6);
}

#[tokio::test]
async fn what_was_not_published_is_forgotten() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, b"unpublished").await;
    assert_eq!(store.forget_unheld(imported.hash).await.unwrap(), 11);
    assert_eq!(home.files("content"), Vec::<PathBuf>::new());
    assert!(store.content(imported.hash).await.unwrap().is_none());
    let imported = import(&store, b"published").await;
    store.add_hold(&publication(1, imported)).await.unwrap();
    assert_eq!(
        store.forget_unheld(imported.hash).await.unwrap(),
        0,
        "a hold keeps it"
    );
}

#[tokio::test]
async fn every_change_is_logged_with_its_digest() {
    let home = Home::new();
    let store = home.open().await;
    let start = store.index_state().await.unwrap();
    assert_eq!((start.seq, start.digest), (0, IndexDigest::default()));
    assert_eq!(store.index_changes(0, 10).await.unwrap(), Some(vec![]));
    assert_eq!(store.index_changes(1, 10).await.unwrap(), None, "from the future");

    let imported = import(&store, b"content").await;
    for id in 1..=3 {
        store.add_hold(&publication(id, imported)).await.unwrap();
        store.add_hold(&publication(id, imported)).await.unwrap();
        let now = store.index_state().await.unwrap();
        assert_eq!(
            (u128::from(now.seq), now.digest),
            (id, digest_of_holds(&store).await)
        );
    }
    store.drop_hold(Uuid::from_u128(2)).await.unwrap();
    let now = store.index_state().await.unwrap();
    assert_eq!((now.index_id, now.seq), (start.index_id, 4));
    assert_eq!(now.digest, IndexDigest::of(&[complete(3), complete(1)]));

    let all = store.index_changes(0, 10).await.unwrap().unwrap();
    let changes: Vec<_> = all.iter().map(|entry| entry.change).collect();
    let held = |id| HoldChange::Held(complete(id));
    assert_eq!(
        changes,
        [held(1), held(2), held(3), HoldChange::Dropped(Uuid::from_u128(2))]
    );
    assert_eq!(
        all.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(all[1].digest, IndexDigest::of(&[complete(1), complete(2)]));
    assert_eq!(all[3].digest, now.digest);
    assert_eq!(store.index_changes(2, 1).await.unwrap().unwrap(), all[2..3]);
    assert_eq!(store.index_changes(4, 1).await.unwrap().unwrap(), []);
    stop(store).await;
    assert_eq!(
        home.open().await.index_state().await.unwrap(),
        now,
        "after a restart too"
    );
}

#[tokio::test]
async fn a_restarted_index_is_its_holds() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, b"content").await;
    for id in 1..=5 {
        store.add_hold(&publication(id, imported)).await.unwrap();
    }
    store.drop_hold(Uuid::from_u128(4)).await.unwrap();
    let before = store.index_state().await.unwrap();
    store.restart_index().await.unwrap();
    let after = store.index_state().await.unwrap();
    assert_ne!(after.index_id, before.index_id);
    assert_eq!((after.seq, after.digest), (4, before.digest));
    let log = store.index_changes(0, 10).await.unwrap().unwrap();
    let holds: Vec<_> = log
        .iter()
        .map(|entry| match entry.change {
            HoldChange::Held(hold) => hold,
            HoldChange::Dropped(id) => panic!("{id} is dropped in a new index"),
        })
        .collect();
    assert_eq!(IndexDigest::of(&holds), after.digest);
    assert_eq!(log.last().unwrap().digest, after.digest);
    store.drop_hold(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(store.index_state().await.unwrap().seq, 5);
}

#[tokio::test]
async fn a_pruned_log_asks_for_all() {
    let home = Home::new();
    let store = home.open().await;
    let imported = import(&store, b"content").await;
    store.add_hold(&publication(1, imported)).await.unwrap();
    store.add_hold(&publication(2, imported)).await.unwrap();
    for _ in 0..4 {
        store.drop_hold(Uuid::from_u128(2)).await.unwrap();
        store.add_hold(&publication(2, imported)).await.unwrap();
    }
    let mut writer = store.inner.metadata.writer().await.unwrap();
    index_log::prune(&mut writer, 10, 1).await.unwrap();
    // Two holds: four changes stay, though one would do.
    assert_eq!(store.index_changes(5, 10).await.unwrap(), None);
    assert_eq!(store.index_changes(6, 10).await.unwrap().unwrap().len(), 4);
    assert_eq!(store.index_changes(10, 10).await.unwrap(), Some(vec![]));
    sqlx::query("DELETE FROM index_log")
        .execute(&mut *writer)
        .await
        .unwrap();
    assert_eq!(
        store.index_changes(9, 10).await.unwrap(),
        None,
        "an empty answer would be a lie"
    );
}
