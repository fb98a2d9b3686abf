//! Groups: what is published to one is there for its members and its owner, and for nobody else, in any answer.

use p2p_directory::admin::{
    client::AdminClient,
    types::{
        AddToGroup, AddUser, GROUPS, Groups, RemoveFromGroup, RemovedGroup, USERS, UserWithPassword, Users,
    },
};
use p2p_proto::{
    FailureKind, Visibility,
    index::HoldState,
    rest::{
        events::Events,
        placement::{PlaceRequest, PlaceResponse},
        problem::ProblemKind,
        publications::{FileInfo, Publication, PublishRequest, SearchResponse},
        session::AcceptCopies,
    },
};
use reqwest::Method;
use uuid::Uuid;

use crate::support::{Directory, Peer, good, problem_kind, publish_request};

async fn add(admin: &AdminClient, group: &str, users: &[&str]) {
    let request = AddToGroup {
        name: group.parse().unwrap(),
        users: users.iter().map(|user| user.parse().unwrap()).collect(),
    };
    admin.tell(GROUPS, &request).await.unwrap();
}

async fn remove(admin: &AdminClient, group: &str, user: &str) {
    let request = RemoveFromGroup {
        users: vec![user.parse().unwrap()],
    };
    admin
        .tell(&format!("{GROUPS}/{group}/remove"), &request)
        .await
        .unwrap();
}

fn to_group(name: &str, content: &str, group: &str) -> PublishRequest {
    PublishRequest {
        visibility: format!("group:{group}").parse().unwrap(),
        ..publish_request(name, content)
    }
}

async fn search(peer: &Peer<'_>) -> Vec<String> {
    let found: SearchResponse = good(peer.get("/search", &[]).await).await;
    assert_eq!(found.total, found.files.len() as u64);
    let names = found.files.iter().map(|hit| hit.publication.name.to_string());
    names.collect()
}

/// Whether the peer sees the file: in every way, or in none.
async fn sees(peer: &Peer<'_>, of: &Publication) -> bool {
    let owned = format!("{}/{}", of.owner, of.name);
    let found = search(peer).await.contains(&of.name.to_string());
    let hash = of.hash.to_string();
    for reference in [
        of.name.as_str(),
        &owned,
        &hash,
        &hash[..8],
        &format!("id:{}", of.id),
    ] {
        for path in ["/download", "/files"] {
            let answer = peer.get(path, &[("ref", reference)]).await;
            if found {
                assert_eq!(answer.status(), 200, "{path} {reference}");
            } else {
                assert_eq!(
                    problem_kind(answer).await,
                    ProblemKind::NotFound,
                    "{path} {reference}"
                );
            }
        }
    }
    let by_hash = peer.get(&format!("/files/{hash}"), &[]).await;
    assert_eq!(by_hash.status().is_success(), found);
    let place = PlaceRequest {
        publication: of.id,
        copies: 2,
        to: Vec::new(),
        exclude: Vec::new(),
    };
    assert_eq!(peer.post("/upload", &place).await.status().is_success(), found);
    let from = Uuid::nil().to_string();
    let told: Events = good(peer.get("/events", &[("after", &from)]).await).await;
    let told = serde_json::to_string(&told).unwrap().contains(&hash);
    assert_eq!(told, found, "the events");
    found
}

#[tokio::test]
async fn what_is_published_to_a_group_is_there_for_its_members_only() {
    let directory = Directory::with_users(&["ana", "bob", "eve"]).await;
    add(&directory.admin, "lab", &["ana", "bob"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let mut bob = directory.peer("bob", "ws2").await;
    let mut eve = directory.peer("eve", "ws3").await;
    let file = ana.publish(&to_group("plan.txt", "the plan", "lab")).await;
    assert_eq!(file.visibility.to_string(), "group:lab");
    assert!(sees(&ana, &file).await && sees(&bob, &file).await && !sees(&eve, &file).await);

    assert!(bob.hold(&[file.id], HoldState::Complete).await.unknown.is_empty());
    assert_eq!(eve.hold(&[file.id], HoldState::Complete).await.unknown, [file.id]);
    assert_eq!(ana.locate("plan.txt").await.holders.len(), 1);

    // Out at once, and so are his peer's holds; in again, and it is all there.
    remove(&directory.admin, "lab", "bob").await;
    assert!(!sees(&bob, &file).await);
    assert_eq!(ana.locate("plan.txt").await.holders_total, 0);
    assert_ne!(
        bob.ping().await.index.unwrap().digest,
        bob.ping_request().index.digest
    );
    add(&directory.admin, "lab", &["bob", "eve"]).await;
    assert!(sees(&bob, &file).await && sees(&eve, &file).await);
}

#[tokio::test]
async fn only_a_member_publishes_to_a_group_and_an_owner_keeps_what_is_his() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    add(&directory.admin, "lab", &["ana"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    for group in ["lab", "nothing"] {
        let refused = bob.post("/publications", &to_group("x", "x", group)).await;
        assert_eq!(problem_kind(refused).await, ProblemKind::NotFound, "{group}");
    }
    // Nor by another visibility of what is there.
    bob.put("y", "y").await;
    let refused = bob.post("/publications", &to_group("y", "y", "lab")).await;
    assert_eq!(problem_kind(refused).await, ProblemKind::NotFound);

    let file = ana.publish(&to_group("x", "x", "lab")).await;
    remove(&directory.admin, "lab", "ana").await;
    assert!(sees(&ana, &file).await);
    let refused = ana.post("/publications", &to_group("z", "z", "lab")).await;
    assert_eq!(problem_kind(refused).await, ProblemKind::NotFound);
}

#[tokio::test]
async fn a_file_that_is_shown_to_fewer_leaves_the_others_answers_and_holds() {
    let directory = Directory::with_users(&["ana", "bob", "eve"]).await;
    add(&directory.admin, "lab", &["ana", "bob"]).await;
    let (ana, mut bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let mut eve = directory.peer("eve", "ws3").await;
    let request = publish_request("x", "x");
    let file = ana.publish(&request).await;
    bob.hold(&[file.id], HoldState::Complete).await;
    eve.hold(&[file.id], HoldState::Complete).await;
    let narrowed = PublishRequest {
        id: Uuid::now_v7(),
        visibility: "group:lab".parse().unwrap(),
        ..request
    };
    assert_eq!(ana.publish(&narrowed).await.id, file.id);
    assert!(sees(&bob, &file).await && !sees(&eve, &file).await);
    let known: FileInfo = good(ana.get("/files", &[("ref", "x")]).await).await;
    let holders: Vec<_> = known
        .holders
        .iter()
        .map(|holder| holder.peer_name.as_str())
        .collect();
    assert_eq!(holders, ["ws2"]);
}

#[tokio::test]
async fn copies_of_a_groups_file_are_placed_on_members_peers_only() {
    let directory = Directory::with_users(&["ana", "bob", "eve"]).await;
    add(&directory.admin, "lab", &["ana", "bob"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let (bob, eve) = (
        directory.peer("bob", "ws2").await,
        directory.peer("eve", "ws3").await,
    );
    for peer in [&bob, &eve] {
        peer.ping_as(|ping| ping.accept_copies = AcceptCopies::Cluster)
            .await;
    }
    let file = ana.publish(&to_group("x", "x", "lab")).await;
    let mut place = PlaceRequest {
        publication: file.id,
        copies: 3,
        to: Vec::new(),
        exclude: Vec::new(),
    };
    let placed: PlaceResponse = good(ana.post("/upload", &place).await).await;
    let names: Vec<_> = placed
        .targets
        .iter()
        .map(|target| target.peer_name.as_str())
        .collect();
    assert_eq!(names, ["ws2"]);
    (place.copies, place.to) = (0, vec!["ws3".to_owned()]);
    let placed: PlaceResponse = good(ana.post("/upload", &place).await).await;
    assert!(placed.targets.is_empty());
    assert_eq!(placed.refused[0].reason, "is of eve, who is no member of lab");
}

#[tokio::test]
async fn a_removed_group_leaves_its_files_to_their_owners_and_nothing_to_a_later_one() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    add(&directory.admin, "lab", &["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let file = ana.publish(&to_group("x", "x", "lab")).await;
    let gone = ana.publish(&to_group("y", "y", "lab")).await;
    ana.withdraw(gone.id).await;
    let removed: RemovedGroup = directory
        .admin
        .call(Method::DELETE, &format!("{GROUPS}/lab"))
        .await
        .unwrap();
    assert_eq!(removed.made_private, 1);
    assert_eq!(ana.locate("x").await.publication.visibility, Visibility::Private);
    assert!(!sees(&bob, &file).await);
    add(&directory.admin, "lab", &["bob"]).await;
    assert!(!sees(&bob, &file).await);
    let from = Uuid::nil().to_string();
    let told: Events = good(bob.get("/events", &[("after", &from)]).await).await;
    assert!(!serde_json::to_string(&told).unwrap().contains("\"publication\""));
}

#[tokio::test]
async fn groups_are_listed_and_mistakes_change_nothing() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let admin = &directory.admin;
    add(admin, "lab", &[]).await;
    add(admin, "lab", &["bob", "ana", "ana"]).await;
    let wrong = AddToGroup {
        name: "other".parse().unwrap(),
        users: vec!["ana".parse().unwrap(), "nobody".parse().unwrap()],
    };
    let failure = admin.tell(GROUPS, &wrong).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::NotFound, "there is no account nobody")
    );
    let again = AddToGroup {
        name: "lab".parse().unwrap(),
        users: Vec::new(),
    };
    let failure = admin.tell(GROUPS, &again).await.err().unwrap();
    assert_eq!(failure.message, "there is a group lab already");
    for (path, users, message) in [
        ("lab", "nobody", "there is no account nobody"),
        ("nothing", "ana", "there is no group nothing"),
    ] {
        let request = RemoveFromGroup {
            users: vec!["bob".parse().unwrap(), users.parse().unwrap()],
        };
        let failure = admin
            .tell(&format!("{GROUPS}/{path}/remove"), &request)
            .await
            .err()
            .unwrap();
        assert_eq!(failure.message, message);
    }
    let groups: Groups = admin.call(Method::GET, GROUPS).await.unwrap();
    assert_eq!(groups.groups.len(), 1);
    let members: Vec<_> = groups.groups[0].members.iter().map(ToString::to_string).collect();
    assert_eq!(members, ["ana", "bob"]);

    let user = |name: &str, group: &str| AddUser {
        name: name.parse().unwrap(),
        password: None,
        admin: false,
        groups: vec![group.parse().unwrap()],
    };
    let failure = admin
        .post::<UserWithPassword>(USERS, &user("cleo", "nothing"))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.message, "there is no group nothing");
    let added: UserWithPassword = admin.post(USERS, &user("cleo", "lab")).await.unwrap();
    assert_eq!(added.user.groups.len(), 1);
    let users: Users = admin.call(Method::GET, USERS).await.unwrap();
    let groups: Vec<usize> = users.users.iter().map(|user| user.groups.len()).collect();
    assert_eq!(groups, [1, 1, 1]);
}
