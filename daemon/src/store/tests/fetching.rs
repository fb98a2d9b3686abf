//! Pieces from other peers.

use super::*;

#[tokio::test]
async fn pieces_in_any_order_become_the_content() {
    let home = Home::new();
    let store = home.open().await;
    for size in SIZES {
        let bytes = data(11, size);
        let layer = layer_of(&bytes);
        let hash = layer.hash();
        let incoming = store.begin(hash, size as u64).await.unwrap();
        if size > GROUP_LEN {
            assert!(matches!(
                incoming.write_piece(0, &bytes[..GROUP_LEN]),
                Err(StoreError::NoLayer)
            ));
            incoming.set_layer(layer.clone()).unwrap();
        }
        assert!(
            matches!(incoming.set_layer(layer), Err(StoreError::WrongLayer)),
            "only once"
        );
        if size > 0 {
            assert!(matches!(
                incoming.commit(Purpose::Nothing).await,
                Err(StoreError::Incomplete { .. })
            ));
        }
        // The last group first: that proves the size.
        for (index, piece) in bytes.chunks(GROUP_LEN).enumerate().rev() {
            let offset = (index * GROUP_LEN) as u64;
            let mut read = vec![0; piece.len()];
            assert!(incoming.read_at(offset, &mut read).is_err(), "not verified yet");
            assert!(incoming.write_piece(offset, piece).unwrap());
            assert!(incoming.write_piece(offset, piece).unwrap(), "twice is fine");
            incoming.read_at(offset, &mut read).unwrap();
            assert_eq!(read, piece);
        }
        assert!(
            store.content(hash).await.unwrap().is_none(),
            "not before the commit"
        );
        incoming.commit(Purpose::Nothing).await.unwrap();
        incoming.commit(Purpose::Nothing).await.unwrap();
        let mut read = vec![0; size];
        incoming.read_at(0, &mut read).unwrap();
        assert_eq!(read, bytes, "reading goes on");
        drop(incoming);
        assert_eq!(read_all(&store, hash).await, bytes, "{size}");
    }
    assert_eq!(home.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn not_one_bad_byte_is_written() {
    let home = Home::new();
    let store = home.open().await;
    let bytes = data(12, 4 * GROUP_LEN + 10);
    let layer = layer_of(&bytes);
    let incoming = store.begin(layer.hash(), layer.size()).await.unwrap();
    let other = layer_of(&data(13, bytes.len()));
    assert!(matches!(incoming.set_layer(other), Err(StoreError::WrongLayer)));
    incoming.set_layer(layer).unwrap();

    let mut bad = bytes[..2 * GROUP_LEN].to_vec();
    bad[GROUP_LEN + 7] ^= 0x80;
    assert!(!incoming.write_piece(0, &bad).unwrap());
    assert!(
        !incoming.write_piece(GROUP, &bytes[..GROUP_LEN]).unwrap(),
        "another place"
    );
    assert!(
        !incoming.write_piece(5, &bytes[5..GROUP_LEN]).unwrap(),
        "not aligned"
    );
    assert!(
        !incoming.write_piece(0, &bytes[..GROUP_LEN - 1]).unwrap(),
        "too short"
    );
    assert!(
        !incoming
            .write_piece(4 * GROUP, &bytes[4 * GROUP_LEN..][..9])
            .unwrap(),
        "too short at the end"
    );
    assert!(!incoming.write_piece(0, &[]).unwrap(), "nothing");
    let written = fs::read(home.path().join(&home.files("partial")[0])).unwrap();
    assert!(written.iter().all(|&byte| byte == 0));

    assert!(incoming.write_piece(GROUP, &bytes[GROUP_LEN..]).unwrap());
    assert!(matches!(
        incoming.commit(Purpose::Nothing).await,
        Err(StoreError::Incomplete { missing: 1 })
    ));
    assert!(incoming.write_piece(0, &bytes[..GROUP_LEN]).unwrap());
    incoming.commit(Purpose::Nothing).await.unwrap();
}

#[tokio::test]
async fn a_content_is_fetched_once_at_a_time() {
    let home = Home::new();
    let store = home.open().await;
    let hash = ContentHash::of(b"abc");
    let first = store.begin(hash, 3).await.unwrap();
    let clone = first.clone();
    assert!(matches!(store.begin(hash, 3).await, Err(StoreError::Busy { hash: busy }) if busy == hash));
    drop(first);
    assert!(
        matches!(store.begin(hash, 3).await, Err(StoreError::Busy { .. })),
        "a clone keeps it"
    );
    assert_eq!(home.files("partial").len(), 1);
    drop(clone);
    assert_eq!(
        home.files("partial"),
        Vec::<PathBuf>::new(),
        "dropped, it is gone"
    );
    let again = store.begin(hash, 3).await.unwrap();
    assert!(again.write_piece(0, b"abc").unwrap());
    let (one, two) = tokio::join!(again.commit(Purpose::Nothing), again.commit(Purpose::Nothing));
    assert!(one.is_ok());
    assert!(matches!(two, Ok(()) | Err(StoreError::Busy { .. })), "{two:?}");
    assert_eq!(read_all(&store, hash).await, b"abc");
}

#[tokio::test]
async fn an_empty_content_must_be_the_empty_one() {
    let home = Home::new();
    let store = home.open().await;
    let lie = store.begin(ContentHash::of(b"x"), 0).await.unwrap();
    assert!(!lie.write_piece(0, b"").unwrap());
    assert!(matches!(
        lie.commit(Purpose::Nothing).await,
        Err(StoreError::Incomplete { missing: 1 })
    ));
    let truth = store.begin(ContentHash::of(b""), 0).await.unwrap();
    assert!(truth.write_piece(0, b"").unwrap());
    truth.commit(Purpose::Nothing).await.unwrap();
}

#[tokio::test]
async fn into_a_users_file_nothing_is_kept() {
    let home = Home::new();
    let store = home.open_limited(Some(0), 0).await;
    for size in SIZES {
        let bytes = data(14, size);
        let layer = layer_of(&bytes);
        let (target, file) = output();
        let incoming = store
            .begin_into(layer.hash(), layer.size(), target)
            .await
            .unwrap();
        if size > GROUP_LEN {
            incoming.set_layer(layer).unwrap();
        }
        for (index, piece) in bytes.chunks(3 * GROUP_LEN).enumerate() {
            let offset = index * 3 * GROUP_LEN;
            let whole = if size <= GROUP_LEN { &bytes[..] } else { piece };
            assert!(incoming.write_piece(offset as u64, whole).unwrap());
        }
        incoming.commit(Purpose::Nothing).await.unwrap();
        assert_eq!(bytes_of(&file), bytes, "{size}");
    }
    let hash = ContentHash::of(b"z");
    let too_much = store.begin_into(hash, u64::MAX, output().0).await;
    assert!(matches!(
        too_much,
        Err(StoreError::OutputFull { needed: u64::MAX, .. })
    ));
    assert!(matches!(
        store.begin_into(hash, 1, passed(b"full")).await,
        Err(StoreError::NotEmpty)
    ));
    let folder = File::open(home.path()).unwrap();
    assert!(matches!(
        store.begin_into(hash, 1, folder.into()).await,
        Err(StoreError::NotRegular)
    ));
    assert_eq!(store.usage().await.unwrap().files, 0);
    assert_eq!(home.files("content"), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_is_fetched_while_it_is_imported_is_kept_once() {
    let home = Home::new();
    let store = home.open().await;
    let bytes = data(15, GROUP_LEN);
    let hash = ContentHash::of(&bytes);
    let incoming = store.begin(hash, GROUP).await.unwrap();
    assert!(incoming.write_piece(0, &bytes).unwrap());
    let imported = import(&store, &bytes).await;
    let publication = publication(1, imported);
    incoming.commit(Purpose::Hold(publication)).await.unwrap();
    assert_eq!(home.files("content").len(), 1);
    // Two brought it: one gives up, the other holds it.
    assert_eq!(store.forget_unheld(hash).await.unwrap(), 0);
    drop(incoming);
    assert_eq!(store.usage().await.unwrap().bytes, GROUP);
    assert_eq!(store.drop_hold(Uuid::from_u128(1)).await.unwrap(), GROUP);
}
