//! `POST /me/password`: the old one is asked for, as slowly as at a login.

use p2p_proto::rest::{
    problem::ProblemKind,
    session::{LoginRequest, PasswordRequest},
};
use rcgen::KeyPair;

use crate::support::{Directory, PASSWORD, login_request, problem, problem_kind};

fn change(old: &str, new: &str) -> PasswordRequest {
    PasswordRequest {
        old: old.to_owned().into(),
        new: new.to_owned().into(),
    }
}

#[tokio::test]
async fn it_takes_the_old_one_and_sessions_stay() {
    let directory = Directory::with_users(&["ana"]).await;
    let (one, other) = (
        directory.peer("ana", "ws1").await,
        directory.peer("ana", "ws2").await,
    );
    let changed = one
        .post("/me/password", &change(PASSWORD, "quite another one"))
        .await;
    assert_eq!(changed.status(), 204);
    for peer in [&one, &other] {
        assert_eq!(peer.get("/me", &[]).await.status(), 200);
    }
    let key = KeyPair::generate().unwrap();
    let login = |password: &str| LoginRequest {
        password: password.to_owned().into(),
        ..login_request(&key, "ana", "ws3")
    };
    assert_eq!(
        directory.post_login(&login("quite another one")).await.status(),
        200
    );
    assert_eq!(directory.post_login(&login(PASSWORD)).await.status(), 401);
}

#[tokio::test]
async fn guessing_is_slowed_down_with_that_of_logins() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let wrong = problem(
        ana.post("/me/password", &change("wrong", "quite another one"))
            .await,
    )
    .await;
    assert_eq!(wrong.kind(), Some(ProblemKind::BadCredentials));
    assert_eq!(wrong.retry_after_s, Some(1));
    let early = ana
        .post("/me/password", &change(PASSWORD, "quite another one"))
        .await;
    assert_eq!(problem_kind(early).await, ProblemKind::TooMany);
    let login = login_request(&KeyPair::generate().unwrap(), "ana", "ws3");
    assert_eq!(
        problem_kind(directory.post_login(&login).await).await,
        ProblemKind::TooMany
    );
}

#[tokio::test]
async fn a_bad_new_one_is_refused_before_the_old_one_is_looked_at() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    for new in ["short", &"x".repeat(1025)] {
        let refused = ana.post("/me/password", &change("wrong", new)).await;
        assert_eq!(problem_kind(refused).await, ProblemKind::Invalid);
    }
    let changed = ana
        .post("/me/password", &change(PASSWORD, "quite another one"))
        .await;
    assert_eq!(changed.status(), 204);
}
