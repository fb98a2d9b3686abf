//! Contents that rot on the disk.

use std::{io::ErrorKind, os::unix::fs::FileExt, time::Duration};

use p2p_proto::{
    index::{Hold, HoldState, IndexDigest},
    rest::index::HoldChange,
};
use tokio_util::sync::CancellationToken;

use super::*;

/// A content of this size that is held once.
async fn held(store: &Store, seed: u64, size: usize) -> (Vec<u8>, ContentHash) {
    let bytes = data(seed, size);
    let imported = import(store, &bytes).await;
    store
        .add_hold(&publication(u128::from(seed), imported))
        .await
        .unwrap();
    (bytes, imported.hash)
}

/// Turns one bit around.
fn rot(path: &Path, offset: usize) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset as u64).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset as u64).unwrap();
}

async fn verify(store: &Store, hash: ContentHash) -> Verdict {
    store.verify(hash, None, quiet()).await.unwrap()
}

/// The last thing that the directory will hear of the hold.
async fn last_logged(store: &Store) -> HoldChange {
    let now = store.index_state().await.unwrap();
    let holds = store.holds().await.unwrap();
    let holds = holds.iter().map(|held| Hold {
        publication: held.publication.id,
        state: held.state,
    });
    assert_eq!(now.digest, IndexDigest::of(&holds.collect::<Vec<_>>()));
    store.index_changes(now.seq - 1, 1).await.unwrap().unwrap()[0].change
}

/// Verifies, and looks at all that must follow; then heals with the groups that are missing.
async fn found_and_healed(
    home: &Home,
    seed: u64,
    size: usize,
    spoil: impl Fn(&Home, ContentHash),
    bad: &[usize],
) {
    let store = home.open().await;
    let (bytes, hash) = held(&store, seed, size).await;
    let hold = |state| {
        HoldChange::Held(Hold {
            publication: Uuid::from_u128(u128::from(seed)),
            state,
        })
    };
    let mut found = store.subscribe_damage();
    spoil(home, hash);
    let verdict = verify(&store, hash).await;
    let Verdict::Damaged { reason } = verdict else {
        panic!("size {size} is good");
    };
    assert!(found.has_changed().unwrap());
    assert_eq!(*found.borrow_and_update(), 1);
    assert!(store.content(hash).await.unwrap().is_none(), "not served");
    let (target, _) = output();
    assert!(matches!(
        store.export(hash, target, quiet()).await,
        Err(StoreError::Damaged { .. })
    ));
    assert_eq!(last_logged(&store).await, hold(HoldState::Partial));
    let groups: Vec<_> = bytes.chunks(GROUP_LEN).collect();
    let missing: usize = bad.iter().map(|&index| groups[index].len()).sum();
    let held = store.holds().await.unwrap().remove(0);
    assert_eq!(held.stored_bytes, (size - missing) as u64);
    assert_eq!(
        (held.state, held.damaged),
        (HoldState::Partial, Some(reason.clone()))
    );
    let listed = store.damaged().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].hash, listed[0].size, &listed[0].reason),
        (hash, size as u64, &reason)
    );
    assert_eq!(listed[0].publications[0], held.publication);
    assert_eq!(store.usage().await.unwrap().files, 0);
    assert_eq!(home.files("content"), Vec::<PathBuf>::new());
    assert_eq!(home.files("layer"), Vec::<PathBuf>::new());
    assert_eq!(
        store.expire_partials(Duration::ZERO).await.unwrap(),
        0,
        "never expired"
    );
    assert_eq!(
        verify(&store, hash).await,
        Verdict::Damaged { reason },
        "still so"
    );
    drop(found);
    stop(store).await;

    let store = home.open().await;
    assert_eq!(store.damaged().await.unwrap().len(), 1, "after a restart too");
    let fetch = store.begin(hash, size as u64).await.unwrap();
    assert_eq!(fetch.resumed_bytes(), (size - missing) as u64);
    let _ = fetch.set_layer(layer_of(&bytes));
    for &index in bad {
        assert!(!fetch.has(index as u64 * GROUP, 1));
        write_group(&fetch, &bytes, index);
    }
    fetch.commit(Purpose::Nothing).await.unwrap();
    assert_eq!(read_all(&store, hash).await, bytes);
    assert_eq!(last_logged(&store).await, hold(HoldState::Complete));
    assert_eq!(store.damaged().await.unwrap(), []);
    let held = store.holds().await.unwrap().remove(0);
    assert_eq!(
        (held.state, held.damaged, held.stored_bytes),
        (HoldState::Complete, None, size as u64)
    );
    assert_eq!(verify(&store, hash).await, Verdict::Good);
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    let usage = store.usage().await.unwrap();
    assert_eq!(
        (usage.files, usage.bytes, usage.partial_files),
        (1, size as u64, 0)
    );
}

const SIZE: usize = 6 * GROUP_LEN + 100;

#[tokio::test]
async fn flipped_bits_cost_their_groups() {
    let spoil = |home: &Home, hash| {
        rot(&home.content_path(hash), 2 * GROUP_LEN + 9);
        rot(&home.content_path(hash), SIZE - 1);
    };
    found_and_healed(&Home::new(), 1, SIZE, spoil, &[2, 6]).await;
    for size in [1, GROUP_LEN] {
        let spoil = |home: &Home, hash| rot(&home.content_path(hash), size - 1);
        found_and_healed(&Home::new(), 2, size, spoil, &[0]).await;
    }
}

#[tokio::test]
async fn a_file_of_another_length_costs_its_end() {
    let cut = |len: usize| {
        move |home: &Home, hash| {
            let file = File::options().write(true).open(home.content_path(hash));
            file.unwrap().set_len(len as u64).unwrap();
        }
    };
    found_and_healed(&Home::new(), 3, SIZE, cut(4 * GROUP_LEN + 7), &[4, 5, 6]).await;
    found_and_healed(&Home::new(), 3, SIZE, cut(SIZE + 7), &[]).await;
    found_and_healed(&Home::new(), 3, SIZE, cut(0), &[0, 1, 2, 3, 4, 5, 6]).await;
}

#[tokio::test]
async fn a_file_that_is_gone_costs_all() {
    let spoil = |home: &Home, hash| fs::remove_file(home.content_path(hash)).unwrap();
    found_and_healed(&Home::new(), 4, SIZE, spoil, &[0, 1, 2, 3, 4, 5, 6]).await;
}

#[tokio::test]
async fn a_bad_layer_costs_nothing_while_the_bytes_are_good() {
    let gone = |home: &Home, hash| fs::remove_file(home.layer_path(hash)).unwrap();
    found_and_healed(&Home::new(), 5, SIZE, gone, &[]).await;
    let rotten = |home: &Home, hash| rot(&home.layer_path(hash), 40);
    found_and_healed(&Home::new(), 5, SIZE, rotten, &[]).await;
    let short = |home: &Home, hash| fs::write(home.layer_path(hash), [0; 64]).unwrap();
    found_and_healed(&Home::new(), 5, SIZE, short, &[]).await;
    let both = |home: &Home, hash| {
        rot(&home.layer_path(hash), 40);
        rot(&home.content_path(hash), 0);
    };
    found_and_healed(&Home::new(), 5, SIZE, both, &[0, 1, 2, 3, 4, 5, 6]).await;
}

#[tokio::test]
async fn damage_whose_files_were_not_put_aside_is_so_at_the_next_start() {
    let home = Home::new();
    let store = home.open().await;
    let (bytes, hash) = held(&store, 6, SIZE).await;
    rot(&home.content_path(hash), GROUP_LEN);
    verify(&store, hash).await;
    stop(store).await;
    let file = home.path().join("partial").join(hash.to_string());
    fs::rename(&file, home.content_path(hash)).unwrap();
    fs::rename(file.with_extension("layer"), home.layer_path(hash)).unwrap();
    // It was short as well.
    let short = File::options().write(true).open(home.content_path(hash)).unwrap();
    short.set_len(SIZE as u64 - 1).unwrap();
    short.set_len(SIZE as u64 + 1).unwrap();
    let store = home.open().await;
    assert_eq!(home.files("content"), Vec::<PathBuf>::new());
    let fetch = store.begin(hash, SIZE as u64).await.unwrap();
    assert_eq!(fetch.resumed_bytes(), (SIZE - GROUP_LEN) as u64);
    write_group(&fetch, &bytes, 1);
    fetch.checkpoint().await.unwrap();
    assert_eq!(store.damaged().await.unwrap().len(), 1, "not before the commit");
}

#[tokio::test]
async fn who_has_it_open_reads_no_more() {
    let home = Home::new();
    let store = home.open().await;
    let (_, hash) = held(&store, 7, SIZE).await;
    let reader = store.content(hash).await.unwrap().unwrap();
    reader.read_at(0, &mut [0; 10]).unwrap();
    rot(&home.content_path(hash), 0);
    verify(&store, hash).await;
    let refused = reader.read_at(0, &mut [0; 10]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_damaged_content_that_is_dropped_is_gone() {
    let home = Home::new();
    let store = home.open_limited(Some(20 * GROUP), 0).await;
    let (bytes, hash) = held(&store, 8, SIZE).await;
    let imported = Imported {
        hash,
        size: SIZE as u64,
    };
    rot(&home.content_path(hash), 0);
    assert_eq!(store.usage().await.unwrap().free_bytes, 20 * GROUP - SIZE as u64);
    verify(&store, hash).await;
    let usage = store.usage().await.unwrap();
    assert_eq!(
        (usage.partial_files, usage.free_bytes),
        (1, 20 * GROUP - SIZE as u64)
    );
    assert!(matches!(
        store.add_hold(&publication(9, imported)).await,
        Err(StoreError::NotStored { .. })
    ));
    assert_eq!(store.drop_hold(Uuid::from_u128(8)).await.unwrap(), SIZE as u64);
    for folder in ["content", "layer", "partial", "tmp"] {
        assert_eq!(home.files(folder), Vec::<PathBuf>::new(), "{folder}");
    }
    assert_eq!(store.damaged().await.unwrap(), []);
    let usage = store.usage().await.unwrap();
    assert_eq!(
        (usage.files, usage.partial_files, usage.free_bytes),
        (0, 0, 20 * GROUP)
    );
    // And an import heals as a fetch does.
    held(&store, 8, SIZE).await;
    rot(&home.content_path(hash), 0);
    verify(&store, hash).await;
    import(&store, &bytes).await;
    assert_eq!(read_all(&store, hash).await, bytes);
    assert_eq!(
        store.hold(Uuid::from_u128(8)).await.unwrap().unwrap().state,
        HoldState::Complete
    );
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
    assert_eq!(store.usage().await.unwrap().free_bytes, 20 * GROUP - SIZE as u64);
}

#[tokio::test]
async fn what_fails_on_its_way_out_is_looked_into() {
    let home = Home::new();
    let store = home.open().await;
    let (_, hash) = held(&store, 10, SIZE).await;
    rot(&home.content_path(hash), SIZE - 1);
    let refused = store.export(hash, output().0, quiet()).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })));
    settled(&store).await;
    assert_eq!(store.damaged().await.unwrap()[0].hash, hash);

    let (_, hash) = held(&store, 11, SIZE).await;
    fs::write(home.layer_path(hash), b"").unwrap();
    assert!(matches!(
        store.content(hash).await,
        Err(StoreError::Damaged { .. })
    ));
    settled(&store).await;
    assert_eq!(store.damaged().await.unwrap().len(), 2);
    assert!(store.content(hash).await.unwrap().is_none());

    // A doubt that is not true costs nothing.
    let (bytes, hash) = held(&store, 12, SIZE).await;
    store.doubt(hash);
    store.doubt(ContentHash::of(b"not here"));
    settled(&store).await;
    assert_eq!(read_all(&store, hash).await, bytes);
}

#[tokio::test]
async fn a_fetch_that_runs_heals_what_is_found_meanwhile() {
    let home = Home::new();
    let store = home.open().await;
    let (bytes, hash) = held(&store, 13, SIZE).await;
    let fetch = store.begin(hash, SIZE as u64).await.unwrap();
    fetch.set_layer(layer_of(&bytes)).unwrap();
    for index in 0..4 {
        write_group(&fetch, &bytes, index);
    }
    rot(&home.content_path(hash), 5 * GROUP_LEN);
    assert!(matches!(verify(&store, hash).await, Verdict::Damaged { .. }));
    for index in 4..7 {
        write_group(&fetch, &bytes, index);
    }
    fetch.commit(Purpose::Nothing).await.unwrap();
    assert_eq!(read_all(&store, hash).await, bytes);
    assert_eq!(store.damaged().await.unwrap(), []);
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
}

async fn verified_at(store: &Store, hash: ContentHash) -> Option<i64> {
    let row: Option<(i64,)> = sqlx::query_as("SELECT at FROM verified WHERE hash = ?")
        .bind(&hash.as_bytes()[..])
        .fetch_optional(store.inner.metadata.reader())
        .await
        .unwrap();
    row.map(|row| row.0)
}

#[tokio::test]
async fn a_good_content_has_its_time() {
    let home = Home::new();
    let store = home.open().await;
    for (seed, size) in SIZES.into_iter().enumerate() {
        let (_, hash) = held(&store, 100 + seed as u64, size).await;
        assert_eq!(verified_at(&store, hash).await, None);
        let before = partials::now();
        let pace = Some(Pace {
            bytes_per_second: 1 << 40,
        });
        assert_eq!(
            store.verify(hash, pace, quiet()).await.unwrap(),
            Verdict::Good,
            "{size}"
        );
        assert!(verified_at(&store, hash).await.unwrap() >= before);
    }
    let other = store.verify(ContentHash::of(b"?"), None, quiet()).await;
    assert!(matches!(other, Err(StoreError::NotStored { .. })));
}

#[tokio::test]
async fn a_pace_is_kept_and_can_be_left() {
    let home = Home::new();
    let store = home.open().await;
    let (_, hash) = held(&store, 14, 2 * BUFFER_LEN).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let progress: ProgressSink = Arc::new(move |done| tell.send(done).unwrap());
    // A buffer in more than a year.
    let pace = Some(Pace { bytes_per_second: 0 });
    let slow = store.verify(hash, pace, progress);
    tokio::select! {
        _ = slow => panic!("it did not wait"),
        first = told.recv() => assert_eq!(first, Some(BUFFER_LEN as u64)),
    }
    assert_eq!(told.recv().await, None, "it ended with its caller");
}

#[tokio::test]
async fn the_scrub_takes_the_oldest_and_finds_what_is_rotten() {
    let home = Home::new();
    let store = home.open().await;
    let (_, good) = held(&store, 15, SIZE).await;
    let (_, bad) = held(&store, 16, SIZE).await;
    verify(&store, good).await;
    verify(&store, bad).await;
    let seen = verified_at(&store, good).await;
    let mut writer = store.inner.metadata.writer().await.unwrap();
    sqlx::query("UPDATE verified SET at = at - 7200000 WHERE hash = ?")
        .bind(&bad.as_bytes()[..])
        .execute(&mut *writer)
        .await
        .unwrap();
    drop(writer);
    rot(&home.content_path(bad), 77);
    let (stop, mut found) = (CancellationToken::new(), store.subscribe_damage());
    let scrub = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.scrub(u64::MAX, Duration::from_secs(3600), stop).await }
    });
    found.changed().await.unwrap();
    assert_eq!(store.damaged().await.unwrap()[0].hash, bad);
    assert_eq!(verified_at(&store, good).await, seen, "not due");
    // What is new was never verified, and is next.
    let (_, new) = held(&store, 17, SIZE).await;
    while verified_at(&store, new).await.is_none() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    scrub.await.unwrap();
}
