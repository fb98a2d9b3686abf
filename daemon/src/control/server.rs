//! The control socket: gRPC over a Unix socket that only its user, or the group of the system service, may open. Beside the
//! verbs it says how it is (`grpc.health.v1`) and what it can do (reflection, v1).

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use p2p_proto::{DESCRIPTORS, MAX_GRPC_MESSAGE, v1::control_service_server::ControlServiceServer};
use p2p_service::{
    accept::{LocalLimits, serve_unix},
    once::OncePerMinute,
};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tonic::{server::NamedService, service::Routes};
use tonic_health::{
    ServingStatus,
    server::{HealthReporter, health_reporter},
};
use tonic_reflection::server::Builder;

use super::rpc::ControlRpc;
use crate::peer::grpc::{self, Limits};

/// Connections: each p2pctl has one. Whoever runs many at once in a script stays below his share, and nobody can keep the
/// others out.
const CONNECTIONS: LocalLimits = LocalLimits {
    name: "the control socket",
    per_user: 64,
    total: 256,
    goodbye: &TOO_MANY,
};

/// GOAWAY (RFC 9113, section 6.8) after no stream, with ENHANCE_YOUR_CALM: p2pctl knows from it that a place is all that
/// was missing.
const TOO_MANY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

/// The service's full name.
const CONTROL: &str = <ControlServiceServer<ControlRpc> as NamedService>::NAME;

/// What one connection may do. A p2pctl makes one call at a time, two at most. No call has an end in time: an upload from
/// a pipe lasts as long as the pipe. And no keep-alive: the kernel says when a client has died, and one that was stopped
/// (Ctrl-Z, or a pager at the end of `-o -`) goes on when it is woken; it holds one place of its own user's.
const LIMITS: Limits = Limits {
    calls: 8,
    answer: None,
    keep_alive: None,
    age: None,
};

/// Serves until `soft`, then finishes what runs.
///
/// # Errors
/// When the contracts that this was built with cannot be read.
pub async fn serve(listener: UnixListener, rpc: ControlRpc, soft: CancellationToken) -> anyhow::Result<()> {
    let service = ControlServiceServer::new(rpc)
        .max_decoding_message_size(MAX_GRPC_MESSAGE)
        .max_encoding_message_size(MAX_GRPC_MESSAGE);
    let reflection = Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(CONTROL)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .build_v1()?
        .max_decoding_message_size(MAX_GRPC_MESSAGE)
        .max_encoding_message_size(MAX_GRPC_MESSAGE);
    let (reporter, health) = health_reporter();
    reporter.set_serving::<ControlServiceServer<ControlRpc>>().await;
    let health = health
        .max_decoding_message_size(MAX_GRPC_MESSAGE)
        .max_encoding_message_size(MAX_GRPC_MESSAGE);
    let routes = Routes::new(service)
        .add_service(health)
        .add_service(reflection)
        .prepare();
    let said = Arc::new(OncePerMinute::default());
    let stop = soft.clone();
    let telling = not_serving_after(reporter, soft.clone());
    let serving = serve_unix(listener, CONNECTIONS, soft, move |stream, uid, place| {
        let (routes, said, stop) = (routes.clone(), Arc::clone(&said), stop.clone());
        async move {
            let _place = place;
            if let Err(fault) = grpc::serve(stream, routes, LIMITS, &stop).await
                && said.may_say(uid)
            {
                tracing::info!("a control connection of user {uid} was cut: {fault}");
            }
        }
    });
    tokio::join!(serving, telling);
    Ok(())
}

/// When the stop begins it serves no more, as a whole and by name. Whoever watches that hears it, and nothing after.
async fn not_serving_after(mut reporter: HealthReporter, stop: CancellationToken) {
    const SERVICES: [&str; 2] = ["", CONTROL];
    stop.cancelled().await;
    for name in SERVICES {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    for name in SERVICES {
        reporter.clear_service_status(name).await;
    }
}

/// The mode of the sockets: open to the group for the system service, else to this user alone.
#[must_use]
pub const fn socket_mode(system: bool) -> u32 {
    if system { 0o660 } else { 0o600 }
}

/// The mode bits of a file; for logs and tests.
///
/// # Errors
/// When the file cannot be read.
pub fn mode_of(path: &std::path::Path) -> std::io::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}
