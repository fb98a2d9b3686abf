//! `GET /events`: nothing is missed, told twice, or told to whom it is not for.

use std::time::Duration;

use p2p_directory::{
    admin::types::{AddToGroup, GROUPS, USERS},
    clock::before,
    storage::EventStore,
};
use p2p_proto::{
    index::HoldState,
    rest::{
        events::{Events, What},
        problem::ProblemKind,
        publications::PublishRequest,
    },
};
use uuid::Uuid;

use crate::support::{Directory, Peer, good, problem_kind, publish_request};

async fn after(peer: &Peer<'_>, after: Option<Uuid>, limit: usize) -> Events {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(after.map(|after| ("after", after.to_string())));
    good(
        peer.request(reqwest::Method::GET, "/events")
            .query(&query)
            .send()
            .await
            .unwrap(),
    )
    .await
}

fn kinds(events: &Events) -> Vec<String> {
    let kind = |what: &What| {
        serde_json::to_value(what).unwrap()["type"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    events.events.iter().map(|event| kind(&event.what)).collect()
}

#[tokio::test]
async fn each_change_is_told_once_and_in_order() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let begin = after(&ana, None, 10).await;
    assert!(begin.events.is_empty() && !begin.gap && !begin.more);
    assert_eq!(ana.ping().await.last_event, begin.last);
    let file = ana.put("x", "x").await;
    let bob = directory.peer("bob", "ws2").await;
    ana.withdraw(file.id).await;
    bob.logout().await;
    let all = after(&ana, begin.last, 500).await;
    assert_eq!(
        kinds(&all),
        ["file.published", "peer.online", "file.withdrawn", "peer.offline"]
    );
    assert!(all.events.iter().all(|event| event.id > begin.last.unwrap()));
    assert!(all.events.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(
        (all.last, all.more, all.gap),
        (Some(all.events[3].id), false, false)
    );
    assert_eq!(ana.ping().await.last_event, all.last);
    assert!(matches!(&all.events[0].what, What::Published { publication } if *publication == file));
    assert!(matches!(&all.events[1].what, What::Online { user, .. } if user.as_str() == "bob"));

    let (mut last, mut paged) = (begin.last, Vec::new());
    loop {
        let page = after(&ana, last, 3).await;
        last = page.last;
        let more = page.more;
        paged.extend(page.events);
        if !more {
            break;
        }
    }
    assert_eq!(paged, all.events);
    assert_eq!(last, all.last);
    let nothing = after(&ana, last, 3).await;
    assert!(nothing.events.is_empty() && nothing.last == last);
}

#[tokio::test]
async fn what_is_not_for_the_caller_is_not_there_not_even_its_id() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let begin = after(&bob, None, 1).await.last;
    ana.put_private("secret", "secret").await;
    let request = publish_request("open", "open");
    ana.publish(&request).await;
    let shown = after(&bob, begin, 500).await;
    assert_eq!(kinds(&shown), ["file.published"]);
    let hidden = PublishRequest {
        id: Uuid::now_v7(),
        visibility: p2p_proto::Visibility::Private,
        ..request
    };
    ana.publish(&hidden).await;
    // What was told while it was public is told no more, and the last event is again one that bob may see.
    let now = after(&bob, begin, 500).await;
    assert!(now.events.is_empty());
    assert_eq!(now.last, begin);
    assert_eq!(bob.ping().await.last_event, begin);
    let anas = after(&ana, begin, 500).await;
    assert_eq!(kinds(&anas), ["file.published", "file.published", "file.changed"]);
}

#[tokio::test]
async fn who_was_away_for_too_long_is_told_so() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let first = after(&ana, None, 1).await.last;
    ana.put("a", "a").await;
    let second = after(&ana, None, 1).await.last;
    directory.clock.advance(Duration::from_secs(100));
    ana.ping().await;
    ana.put("b", "b").await;
    let now = p2p_directory::clock::Clock::now(&*directory.clock);
    directory
        .state
        .storage
        .prune(before(now, Duration::from_secs(50)))
        .await
        .unwrap();
    let told = after(&ana, second, 500).await;
    assert!(!told.gap, "all that came after the last forgotten one is there");
    assert!(kinds(&told).contains(&"file.published".to_owned()));
    assert!(after(&ana, first, 500).await.gap);
    assert!(
        after(&ana, Some(Uuid::now_v7()), 500).await.gap,
        "an id of another directory"
    );
    // The last event stays when all are old, so that the next id is greater.
    directory.state.storage.prune(jiff::Timestamp::MAX).await.unwrap();
    let ana = directory.peer("ana", "ws2").await;
    let mut next = after(&ana, told.last, 500).await;
    assert_eq!(kinds(&next), ["peer.online"]);
    ana.put("c", "c").await;
    next = after(&ana, next.last, 500).await;
    assert_eq!(
        (kinds(&next), next.gap),
        (vec!["file.published".to_owned()], false)
    );
}

#[tokio::test]
async fn ids_rise_with_the_transactions_though_the_clock_steps_back() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let begin = after(&ana, None, 1).await.last;
    ana.put("a", "a").await;
    directory.clock.set(before(
        p2p_directory::clock::Clock::now(&*directory.clock),
        Duration::from_secs(3600),
    ));
    ana.put("b", "b").await;
    // Many at once: whoever commits later has a greater id.
    let requests: Vec<_> = (0..10)
        .map(|n| publish_request(&format!("f{n}"), &n.to_string()))
        .collect();
    let puts = requests.iter().map(|request| ana.publish(request));
    let all = futures::future::join(futures::future::join_all(puts), async {
        let (mut last, mut seen) = (begin, Vec::new());
        while seen.len() < 12 {
            // Past the pace of requests, which the clock that stands still never gives back.
            let storage: &dyn EventStore = &*directory.state.storage;
            let page = storage.events(ana.login.user_id, last, 500).await.unwrap();
            last = page.last;
            seen.extend(page.events);
        }
        seen
    });
    let (_, seen) = all.await;
    assert_eq!(seen.len(), 12);
    assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id));
    let everything = after(&ana, begin, 500).await;
    assert_eq!(everything.events, seen, "who follows misses nothing");
}

#[tokio::test]
async fn bounds_of_the_question() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    for limit in ["0", "501"] {
        let refused = ana.get("/events", &[("limit", limit)]).await;
        assert_eq!(problem_kind(refused).await, ProblemKind::Invalid, "{limit}");
    }
    for (key, value) in [("limit", "x"), ("after", "x"), ("since", "1")] {
        let refused = ana.get("/events", &[(key, value)]).await;
        assert_eq!(problem_kind(refused).await, ProblemKind::BadRequest, "{key}");
    }
    let caller = ana.login.user_id;
    let storage: &dyn EventStore = &*directory.state.storage;
    assert!(
        storage
            .events(caller, None, usize::MAX)
            .await
            .unwrap()
            .events
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_told_of_a_file_names_only_those_who_may_see_it_now() {
    let directory = Directory::with_users(&["ana", "bob", "cy"]).await;
    let group = AddToGroup {
        name: "lab".parse().unwrap(),
        users: vec!["ana".parse().unwrap(), "cy".parse().unwrap()],
    };
    directory.admin.tell(GROUPS, &group).await.unwrap();
    let (ana, bob, cy) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
        directory.peer("cy", "ws3").await,
    );
    let begin = after(&bob, None, 1).await.last;
    for (before, name) in [("private", "x"), ("group:lab", "y")] {
        let request = PublishRequest {
            visibility: before.parse().unwrap(),
            ..publish_request(name, name)
        };
        ana.publish(&request).await;
        let told = after(&cy, begin, 500).await;
        assert_eq!(told.last, cy.ping().await.last_event);
        assert_eq!(told.events.len(), if name == "x" { 0 } else { 3 });
        let now = PublishRequest {
            id: Uuid::now_v7(),
            visibility: p2p_proto::Visibility::Public,
            ..request
        };
        ana.publish(&now).await;
    }
    let told = after(&bob, begin, 500).await;
    assert_eq!(
        kinds(&told),
        ["file.published", "file.changed", "file.published", "file.changed"]
    );
    for event in &told.events {
        let (What::Published { publication } | What::Changed { publication }) = &event.what else {
            panic!("{event:?}");
        };
        assert_eq!(publication.visibility, p2p_proto::Visibility::Public);
    }
}

#[tokio::test]
async fn who_saw_the_files_of_a_removed_account_is_told_that_they_are_gone() {
    let directory = Directory::with_users(&["ana", "eve"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let begin = after(&ana, None, 1).await.last;
    let mut eve = directory.peer("eve", "ws2").await;
    let open = eve.put("open", "open").await;
    eve.put_private("secret", "secret").await;
    let gone = eve.put("gone", "gone").await;
    eve.withdraw(gone.id).await;
    eve.hold(&[open.id], HoldState::Complete).await;
    directory.admin.delete(&format!("{USERS}/eve")).await.unwrap();
    let told = after(&ana, begin, 500).await;
    assert_eq!(kinds(&told), ["peer.online", "peer.offline", "file.withdrawn"]);
    assert!(matches!(&told.events[2].what, What::Withdrawn { publication } if *publication == open));
    assert_eq!(ana.ping().await.last_event, told.last);
}
