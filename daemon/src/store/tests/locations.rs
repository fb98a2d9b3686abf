//! What the directory last said: to whom, of what, and no longer than that.

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;

const ANA: AccountId = AccountId {
    cluster: Uuid::from_u128(1),
    user: Uuid::from_u128(2),
};

/// Another account of the same directory, and one with the same id of another.
const OTHERS: [AccountId; 2] = [
    AccountId {
        user: Uuid::from_u128(3),
        ..ANA
    },
    AccountId {
        cluster: Uuid::from_u128(4),
        ..ANA
    },
];

const SCAN: Uuid = Uuid::from_u128(5);

async fn keep(store: &Store, account: AccountId, answer: &str) {
    store
        .keep_location(account, SCAN, answer.to_owned())
        .await
        .unwrap();
}

async fn told(store: &Store, account: AccountId) -> (Option<String>, Vec<String>) {
    let one = store.remembered_location(account, SCAN).await.unwrap();
    (one, store.remembered_locations(account).await.unwrap())
}

fn only(answer: &str) -> (Option<String>, Vec<String>) {
    (Some(answer.to_owned()), vec![answer.to_owned()])
}

#[tokio::test]
async fn an_answer_is_for_the_account_that_asked() {
    let home = Home::new();
    let store = home.open().await;
    // It is written when another account has logged in, and everything before was forgotten.
    store.forget_locations(None).await.unwrap();
    keep(&store, ANA, "to ana").await;
    for other in OTHERS {
        assert_eq!(told(&store, other).await, (None, Vec::new()));
    }
    assert_eq!(told(&store, ANA).await, only("to ana"));
    keep(&store, OTHERS[0], "to bob").await;
    keep(&store, ANA, "to ana again").await;
    assert_eq!(told(&store, ANA).await, only("to ana again"));
    assert_eq!(told(&store, OTHERS[0]).await, only("to bob"));
    // What bob may not see any more, ana may.
    store.forget_locations(Some((OTHERS[0], SCAN))).await.unwrap();
    assert_eq!(told(&store, OTHERS[0]).await, (None, Vec::new()));
    assert_eq!(told(&store, ANA).await, only("to ana again"));
    store.forget_locations(None).await.unwrap();
    assert_eq!(told(&store, ANA).await, (None, Vec::new()));
}

#[tokio::test]
async fn answers_to_nobody_in_particular_are_dropped() {
    let home = Home::new();
    // As the build before left it.
    fs::create_dir_all(home.path()).unwrap();
    let file = home.path().join("metadata.db");
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    for step in &metadata::MIGRATIONS[..2] {
        sqlx::raw_sql(*step).execute(&mut db).await.unwrap();
    }
    let rows = "INSERT INTO locations VALUES (zeroblob(16), 'to somebody', '2026-01-01T00:00:00Z');
        INSERT INTO transfers VALUES (7, 1, 'a record');
        PRAGMA user_version = 2;";
    sqlx::raw_sql(rows).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let store = home.open().await;
    let mut reader = store.inner.metadata.reader().acquire().await.unwrap();
    let left = sqlx::query("SELECT 1 FROM locations")
        .fetch_all(&mut *reader)
        .await
        .unwrap();
    assert!(left.is_empty());
    let (transfers, last) = store.transfer_rows().await.unwrap();
    assert_eq!((transfers.len(), transfers[0].content, last), (1, None, 7));
    keep(&store, ANA, "to ana").await;
    assert_eq!(told(&store, ANA).await, only("to ana"));
}
