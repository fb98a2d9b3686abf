//! Looking events up, and their ids.

use std::sync::Arc;

use super::*;
use crate::clock::SystemClock;

fn millis_of(id: Uuid) -> u64 {
    id.as_u64_pair().0 >> 16
}

#[tokio::test]
async fn the_last_one_is_found_without_a_walk() {
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open(&folder.path().join("db"), Arc::new(SystemClock))
        .await
        .unwrap();
    let mut db = database.readers.acquire().await.unwrap();
    for (query, lookups) in [(LAST_SEEN, 3), (SEEN_AFTER, 4)] {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")))
            .bind(vec![0_u8; 16])
            .bind(vec![0_u8; 16])
            .bind(10)
            .fetch_all(&mut *db)
            .await
            .unwrap();
        let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
        let of_tables = |verb: &str, tables: &[&str]| {
            let begins = |step: &&String| {
                tables
                    .iter()
                    .any(|table| format!("{step} ").starts_with(&format!("{verb} {table} ")))
            };
            steps.iter().filter(begins).count()
        };
        assert_eq!(of_tables("SEARCH", &["events", "e"]), lookups, "{steps:#?}");
        assert_eq!(of_tables("SEARCH", &["m"]), 1, "{steps:#?}");
        assert_eq!(of_tables("SCAN", &["events", "e", "m"]), 0, "{steps:#?}");
    }
    assert_eq!(last_seen(&mut db, &Uuid::new_v4()).await.unwrap(), None);
}

#[tokio::test]
async fn hidden_ones_are_stepped_over() {
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open(&folder.path().join("db"), Arc::new(SystemClock))
        .await
        .unwrap();
    let (ana, bob) = (Uuid::new_v4(), Uuid::new_v4());
    let told = What::PasswordChanged {
        user: "ana".parse().unwrap(),
    };
    let mut tx = database.begin().await.unwrap();
    write(&mut tx, 1, Audience::Everybody, &told).await.unwrap();
    for round in 2..6 {
        for _ in 0..40 {
            write(&mut tx, round, Audience::Account(bob), &told)
                .await
                .unwrap();
        }
        write(&mut tx, round, Audience::Account(ana), &told)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let mut db = database.readers.acquire().await.unwrap();
    let all = read(&mut db, ana, Some(Uuid::nil()), 10).await.unwrap();
    assert_eq!((all.events.len(), all.more), (5, false));
    let some = read(&mut db, ana, Some(all.events[0].id), 3).await.unwrap();
    let ids = |events: &[Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!((ids(&some.events), some.more), (ids(&all.events[1..4]), true));
    assert_eq!(some.last, Some(all.events[3].id));
    let hers = read(&mut db, bob, Some(all.events[0].id), 500).await.unwrap();
    assert_eq!((hers.events.len(), hers.more), (160, false));
}

#[test]
fn ids_rise_whatever_the_clock_does() {
    let mut last = None;
    for (step, now) in [1000, 1000, 999, 0, -5, 1001, 1001, 500].into_iter().enumerate() {
        let id = next_id(last, now, Uuid::new_v4());
        assert!(Some(id) > last, "step {step}");
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        assert!(millis_of(id) <= 1001);
        last = Some(id);
    }
}

#[test]
fn a_full_counter_goes_on_in_the_next_millisecond() {
    let full = Uuid::from_u64_pair((1000 << 16) | 0x7fff, u64::MAX >> 2 | 1 << 63);
    let id = next_id(Some(full), 10, Uuid::new_v4());
    assert!(id > full);
    assert_eq!((millis_of(id), id.get_version_num()), (1001, 7));
}
