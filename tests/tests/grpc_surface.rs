//! What any gRPC client finds on the control socket: health, reflection, bounds; and that docs/grpc.md says what is there.

use std::{collections::BTreeSet, fs, path::Path};

use p2p_proto::{DESCRIPTORS, MAX_GRPC_MESSAGE, v1::StatusResponse};
use p2p_tests::{World, control::Control};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};
use tokio_stream::iter;
use tonic::{Code, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const CONTROL: &str = "p2p.v1.ControlService";

fn health(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[test]
fn health_says_serving_until_the_stop_begins() {
    let mut world = World::start(&["a"]);
    let a = &mut world.peers[0];
    let control = Control::of(a);
    let mut client = HealthClient::new(control.channel());
    let serving = ServingStatus::Serving as i32;
    for service in ["", CONTROL] {
        let answer = control.wait(client.check(health(service))).expect("an answer");
        assert_eq!(answer.into_inner().status, serving, "{service}");
    }
    let unknown = control.wait(client.check(health("p2p.v1.NoService")));
    assert_eq!(unknown.expect_err("a refusal").code(), Code::NotFound);
    let mut watching: Vec<_> = ["", CONTROL]
        .map(|service| {
            control
                .wait(client.watch(health(service)))
                .expect("a stream")
                .into_inner()
        })
        .into();
    for stream in &mut watching {
        let first = control
            .wait(stream.message())
            .expect("an answer")
            .expect("an answer");
        assert_eq!(first.status, serving);
    }
    // Who only watches holds the stop up no longer than it takes to tell him.
    assert_eq!(a.process.stop(), Some(0));
    for stream in &mut watching {
        let then = control
            .wait(stream.message())
            .expect("an answer")
            .expect("an answer");
        assert_eq!(then.status, ServingStatus::NotServing as i32);
        assert!(matches!(control.wait(stream.message()), Ok(None)));
    }
}

/// Asks reflection one thing.
fn asks(control: &Control, what: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(what),
    };
    control.wait(async {
        let mut client = ServerReflectionClient::new(control.channel());
        let answers = client
            .server_reflection_info(iter([request]))
            .await
            .expect("a stream");
        let answer = answers
            .into_inner()
            .message()
            .await
            .expect("an answer")
            .expect("an answer");
        answer.message_response.expect("an answer")
    })
}

fn methods(service: &ServiceDescriptorProto) -> Vec<String> {
    service
        .method
        .iter()
        .map(|method| method.name().to_owned())
        .collect()
}

fn service(name: &str) -> ServiceDescriptorProto {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("our own descriptors");
    let mut services = set.file.into_iter().flat_map(|file| file.service);
    services
        .find(|service| service.name() == name)
        .expect("the service")
}

#[test]
fn a_client_made_from_reflection_finds_each_method_and_calls_one() {
    let world = World::start(&["a"]);
    let control = Control::of(&world.peers[0]);
    let MessageResponse::ListServicesResponse(list) =
        asks(&control, MessageRequest::ListServices(String::new()))
    else {
        panic!("no list");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in [
        CONTROL,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    // What is not served here is not offered here.
    assert!(!names.contains(&"p2p.v1.PeerService"), "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol(CONTROL.to_owned());
    let MessageResponse::FileDescriptorResponse(files) = asks(&control, symbol) else {
        panic!("no descriptor");
    };
    let file = FileDescriptorProto::decode(&files.file_descriptor_proto[0][..]).expect("a descriptor");
    let found = file
        .service
        .iter()
        .find(|service| service.name() == "ControlService");
    let found = found.expect("the service");
    assert_eq!(methods(found), methods(&service("ControlService")));
    // A call that is put together from nothing but that.
    let method = found
        .method
        .iter()
        .find(|method| method.name() == "Status")
        .expect("Status");
    assert_eq!(method.input_type(), ".p2p.v1.StatusRequest");
    assert!(!method.client_streaming() && !method.server_streaming());
    let path = format!("/{}.{}/{}", file.package(), found.name(), method.name());
    let answer = control.wait(async {
        let mut client = Grpc::new(control.channel());
        client.ready().await.expect("a connection");
        let codec = tonic_prost::ProstCodec::<(), StatusResponse>::default();
        let path: PathAndQuery = path.parse().expect("a path");
        client.unary(tonic::Request::new(()), path, codec).await
    });
    assert_eq!(answer.expect("an answer").into_inner().peer_name, "a");
}

#[test]
fn no_message_is_over_four_mebibytes() {
    let world = World::start(&["a"]);
    let control = Control::of(&world.peers[0]);
    let long = "x".repeat(MAX_GRPC_MESSAGE + 1);
    let mut client = HealthClient::new(control.channel());
    let refused = control.wait(client.check(health(&long))).expect_err("a refusal");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    let answered = control
        .wait(client.check(health(&long[..1 << 20])))
        .expect_err("a refusal");
    assert_eq!(answered.code(), Code::NotFound, "{answered:?}");
    let refused = control.wait(async {
        let request = ServerReflectionRequest {
            host: long.clone(),
            message_request: None,
        };
        let mut client = ServerReflectionClient::new(control.channel());
        match client.server_reflection_info(iter([request])).await {
            Ok(answers) => answers.into_inner().message().await.expect_err("a refusal"),
            Err(refused) => refused,
        }
    });
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    let mut watch = control.client();
    let request = p2p_proto::v1::WatchRequest { after: long };
    let refused = control.wait(watch.watch(request)).expect_err("a refusal");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
}

/// The kind of a call, in the words of the page.
fn kind(method: &prost_types::MethodDescriptorProto) -> &'static str {
    match (method.client_streaming(), method.server_streaming()) {
        (false, false) => "unary",
        (false, true) => "server streaming",
        (true, false) => "client streaming",
        (true, true) => "bidirectional",
    }
}

#[test]
fn each_method_is_on_the_page_and_none_too_many() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/grpc.md");
    let page = fs::read_to_string(page).expect("docs/grpc.md");
    for name in ["ControlService", "PeerService"] {
        let (_, chapter) = page.split_once(&format!("## {name}\n")).expect("a chapter");
        let chapter = chapter.split("\n## ").next().unwrap_or(chapter);
        let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `"));
        let written: BTreeSet<(String, String)> = rows
            .map(|row| {
                let (method, rest) = row.split_once("` | ").expect("a method and its kind");
                let cells: Vec<&str> = rest.trim_end_matches(" |").split(" | ").collect();
                assert_eq!(cells.len(), 4, "kind, caller, rights, errors of {method}: {row}");
                assert!(cells.iter().all(|cell| !cell.trim().is_empty()), "{row}");
                (method.to_owned(), cells[0].to_owned())
            })
            .collect();
        let service = service(name);
        let there: BTreeSet<(String, String)> = service
            .method
            .iter()
            .map(|method| (method.name().to_owned(), kind(method).to_owned()))
            .collect();
        assert_eq!(written, there, "{name}");
    }
}
