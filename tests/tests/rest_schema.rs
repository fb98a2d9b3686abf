//! The REST API's document as the real directory serves it. `tests/schemathesis.sh` holds every endpoint to it.

use p2p_tests::{World, check::has_fields};
use serde_json::Value;

/// What the directory answers to anybody, without a session.
fn anybody(world: &World, path: &str) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let ca = std::fs::read(world.directory.state().join("ca.pem")).expect("a CA");
    p2p_service::tls::install_crypto_provider();
    runtime.block_on(async {
        let root = reqwest::Certificate::from_pem(&ca).expect("a CA");
        let client = reqwest::Client::builder()
            .tls_certs_only([root])
            .no_proxy()
            .build()
            .expect("a client");
        let answer = client
            .get(format!("{}{path}", world.directory.url))
            .send()
            .await
            .expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    })
}

#[test]
fn the_document_is_served_to_anybody_at_both_paths() {
    let world = World::start(&[]);
    let (status, document) = anybody(&world, "/openapi.json");
    assert_eq!((status, &document["openapi"]), (200, &Value::from("3.1.0")));
    assert_eq!(anybody(&world, "/api/v1/openapi.json"), (200, document.clone()));
    assert_eq!(
        document["components"]["securitySchemes"]["session"]["scheme"],
        "bearer"
    );
    // Every operation that wants a session refuses without one, as the document says.
    let paths = document["paths"].as_object().unwrap();
    let mut asked = 0;
    for (path, item) in paths {
        let Some(operation) = item.get("get") else {
            continue;
        };
        if operation["security"].is_null() || path.contains('{') {
            continue;
        }
        let (status, problem) = anybody(&world, &format!("/api/v1{path}"));
        assert_eq!(
            (status, &problem["type"]),
            (401, &Value::from("urn:p2p:problem:no-session")),
            "{path}"
        );
        assert!(operation["responses"]["401"].is_object(), "{path}");
        asked += 1;
    }
    assert!(asked >= 5);
}

#[test]
fn each_admin_command_prints_the_object_that_the_page_lists() {
    let world = World::start(&["a"]);
    let file = world.path("backup.tar");
    const USER: &str = "name id admin disabled created_at groups";
    let in_turn: [(&str, &[&str], &str, &str); 15] = [
        ("admin.group.add", &["lab", "ana"], "", "name users"),
        (
            "admin.group.list",
            &[],
            "/groups/0",
            "name members publications created_at",
        ),
        (
            "admin.user.add",
            &["bob", "--group", "lab"],
            "",
            "name id groups password",
        ),
        ("admin.user.passwd", &["bob"], "", "name id groups password"),
        ("admin.user.disable", &["bob"], "", USER),
        ("admin.user.enable", &["bob"], "", USER),
        ("admin.user.list", &[], "/users/1", USER),
        ("admin.group.remove", &["lab", "bob"], "", "name users"),
        ("admin.group.remove", &["lab"], "", "name made_private"),
        ("admin.user.remove", &["bob"], "", "name"),
        (
            "admin.peer.list",
            &[],
            "/peers/0",
            "peer_id name user addresses online last_seen_at session_expires_at certificate_expires_at revoked_at",
        ),
        ("admin.peer.revoke", &["a"], "", "peer_id name changed"),
        ("admin.peer.allow", &["a"], "", "peer_id name changed"),
        (
            "admin.status",
            &[],
            "",
            "version started_at now uptime_s cluster ca_fingerprint ca_expires_at certificate_expires_at accounts \
             accounts_disabled groups peers_online peers_known peers_revoked sessions publications holds events database \
             database_bytes free_bytes",
        ),
        ("backup", &[file.to_str().unwrap()], "", "file bytes"),
    ];
    for (command, args, at, fields) in in_turn {
        let line: Vec<&str> = command.split('.').chain(args.iter().copied()).collect();
        let printed = world.directory.json(&line);
        assert_eq!(printed["schema"], format!("p2p-directory.{command}/1"));
        let object = printed
            .pointer(at)
            .unwrap_or_else(|| panic!("{command}: {printed}"));
        has_fields(object, &fields.split_whitespace().collect::<Vec<_>>());
    }
    // For people, a table: no line is wider than it must be, none ends in spaces.
    let table = world.directory.command(&["admin", "user", "list"], None);
    assert!(
        table.starts_with("NAME  STATE    ADMIN  ADDED             GROUPS\nana   enabled  -"),
        "{table}"
    );
}
