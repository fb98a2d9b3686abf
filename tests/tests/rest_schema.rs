//! The REST API's document as the real directory serves it. `tests/schemathesis.sh` holds every endpoint to it.

use p2p_tests::World;
use serde_json::Value;

/// What the directory answers to anybody, without a session.
fn anybody(world: &World, path: &str) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ca = std::fs::read(world.directory.state().join("ca.pem")).unwrap();
    p2p_service::tls::install_crypto_provider();
    runtime.block_on(async {
        let root = reqwest::Certificate::from_pem(&ca).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([root])
            .no_proxy()
            .build()
            .unwrap();
        let answer = client
            .get(format!("{}{path}", world.directory.url))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
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
