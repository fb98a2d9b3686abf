//! The admin API through its real socket.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use axum::http::Method;
use p2p_directory::{
    admin::{
        client::AdminClient,
        types::{
            AddToGroup, AddUser, GROUPS, PEERS, Revoked, STATUS, Secret, SetPassword, Status, USERS, User,
            UserWithPassword, Users,
        },
    },
    app::App,
    clock::SystemClock,
};
use p2p_proto::{FailureKind, index::HoldState, rest::session::LoginRequest};
use rcgen::KeyPair;

use crate::support::{Directory, login_request};

fn add(name: &str, password: Option<&str>) -> AddUser {
    AddUser {
        name: name.parse().unwrap(),
        password: password.map(Secret::new),
        admin: false,
        groups: Vec::new(),
    }
}

async fn can_log_in(directory: &Directory, user: &str, password: &str) -> bool {
    let key = KeyPair::generate().unwrap();
    let request = LoginRequest {
        password: password.to_owned().into(),
        ..login_request(&key, user, "ws1")
    };
    let answered = directory.post_login(&request).await;
    directory.clock.advance(std::time::Duration::from_secs(600));
    answered.status().is_success()
}

#[tokio::test]
async fn a_made_password_is_told_once_and_works() {
    let directory = Directory::start().await;
    let added: UserWithPassword = directory.admin.post(USERS, &add("ana", None)).await.unwrap();
    let password = added.password.unwrap().reveal();
    assert!(can_log_in(&directory, "ana", &password).await);
    let given: UserWithPassword = directory
        .admin
        .post(USERS, &add("bob", Some("long enough")))
        .await
        .unwrap();
    assert!(given.password.is_none());
    assert!(can_log_in(&directory, "bob", "long enough").await);
}

#[tokio::test]
async fn the_status_counts_what_there_is() {
    let directory = Directory::with_users(&["ana", "bob", "cy"]).await;
    let counts = async || {
        let status: Status = directory.admin.call(Method::GET, STATUS).await.unwrap();
        (
            [status.accounts, status.accounts_disabled, status.groups],
            [status.peers_online, status.peers_known, status.peers_revoked],
            [status.sessions, status.publications, status.holds],
            status.events,
        )
    };
    assert_eq!(counts().await, ([3, 0, 0], [0, 0, 0], [0, 0, 0], 3));
    let mut ana = directory.peer("ana", "ws1").await;
    directory.peer("bob", "ws2").await;
    directory.peer("cy", "ws3").await;
    let file = ana.put("open", "open").await;
    ana.put("other", "other").await;
    ana.hold(&[file.id], HoldState::Complete).await;
    let group = AddToGroup {
        name: "lab".parse().unwrap(),
        users: Vec::new(),
    };
    directory.admin.tell(GROUPS, &group).await.unwrap();
    assert_eq!(counts().await, ([3, 0, 1], [3, 3, 0], [3, 2, 1], 8));
    let path = format!("{USERS}/cy/disable");
    let _: User = directory.admin.call(Method::POST, &path).await.unwrap();
    let path = format!("{PEERS}/ws2/revoke");
    let _: Revoked = directory.admin.call(Method::POST, &path).await.unwrap();
    assert_eq!(counts().await, ([3, 1, 1], [1, 3, 1], [1, 2, 1], 12));
}

#[tokio::test]
async fn accounts_are_listed_changed_and_removed() {
    let directory = Directory::with_users(&["bob", "ana"]).await;
    let users: Users = directory.admin.call(Method::GET, USERS).await.unwrap();
    assert_eq!(
        users
            .users
            .iter()
            .map(|user| user.name.as_str())
            .collect::<Vec<_>>(),
        ["ana", "bob"]
    );
    let disabled: User = directory
        .admin
        .call(Method::POST, &format!("{USERS}/ana/disable"))
        .await
        .unwrap();
    assert!(disabled.disabled);
    let request = SetPassword {
        password: Some(Secret::new("something else")),
    };
    let _: UserWithPassword = directory
        .admin
        .post(&format!("{USERS}/bob/passwd"), &request)
        .await
        .unwrap();
    assert!(can_log_in(&directory, "bob", "something else").await);
    assert!(!can_log_in(&directory, "bob", crate::support::PASSWORD).await);
    directory.admin.delete(&format!("{USERS}/bob")).await.unwrap();
    assert!(!can_log_in(&directory, "bob", "something else").await);
    let users: Users = directory.admin.call(Method::GET, USERS).await.unwrap();
    assert_eq!(users.users.len(), 1);
}

#[tokio::test]
async fn a_removed_account_takes_its_files_along() {
    use p2p_proto::rest::problem::ProblemKind;
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, mut bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let file = ana.put("x", "x").await;
    bob.hold(&[file.id], HoldState::Complete).await;
    directory.admin.delete(&format!("{USERS}/ana")).await.unwrap();
    assert_eq!(bob.not_located("ana/x").await.kind(), Some(ProblemKind::NotFound));
    assert_eq!(bob.peers().await.peers.len(), 1);
    assert_eq!(bob.ping().await.deny.unwrap().peers, [ana.login.peer_id]);
    assert_ne!(
        bob.ping().await.index.unwrap().digest,
        bob.ping_request().index.digest
    );
    directory.add_user("ana").await;
    assert!(bob.not_located("ana/x").await.kind() == Some(ProblemKind::NotFound));
}

#[tokio::test]
async fn mistakes_are_told() {
    let directory = Directory::with_users(&["ana"]).await;
    let again = directory
        .admin
        .post::<UserWithPassword>(USERS, &add("ana", None))
        .await
        .err()
        .unwrap();
    assert_eq!(again.message, "there is an account ana already");
    let short = directory
        .admin
        .post::<UserWithPassword>(USERS, &add("bob", Some("short")))
        .await
        .err()
        .unwrap();
    assert_eq!(short.kind, FailureKind::Usage);
    for path in ["/nobody/disable", "/nobody/enable"] {
        let failure = directory
            .admin
            .call::<User>(Method::POST, &format!("{USERS}{path}"))
            .await
            .err()
            .unwrap();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (FailureKind::NotFound, "there is no account nobody")
        );
    }
}

#[tokio::test]
async fn the_socket_is_not_for_everybody_and_its_absence_is_told() {
    let mut directory = Directory::start().await;
    let socket = directory.config.admin_socket();
    let metadata = std::fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o007, 0);
    directory.stop().await;
    let client = AdminClient::new(&socket);
    let failure = client.call::<Users>(Method::GET, USERS).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::DaemonUnreachable);
    assert!(
        failure.message.ends_with("no such file. Is it running?"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_second_directory_on_the_same_state_is_refused() {
    let directory = Directory::start().await;
    let error = App::build(directory.config.clone(), std::sync::Arc::new(SystemClock))
        .await
        .err()
        .unwrap();
    assert!(
        format!("{error:#}").contains("is in use by another p2p-directory"),
        "{error:#}"
    );
}
