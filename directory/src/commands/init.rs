//! `init`: makes the CA, the keys and the database, or finds them made.

use std::sync::Arc;

use anyhow::Context;
use p2p_proto::Failure;
use p2p_service::paths::create_private_dir;
use serde_json::json;

use super::{Outcome, failed, runtime};
use crate::{app::open_state, clock::SystemClock, config::Config};

pub(super) fn run(config: &Config) -> Result<Outcome, Failure> {
    runtime()?.block_on(init(config)).map_err(|error| failed(&error))
}

async fn init(config: &Config) -> anyhow::Result<Outcome> {
    let folder = &config.state_dir;
    create_private_dir(folder, 0o700).with_context(|| format!("cannot make {}", folder.display()))?;
    let state = open_state(config, Arc::new(SystemClock)).await?;
    let fingerprint = state.authority.fingerprint().to_owned();
    let cluster = state.cluster;
    state.storage.close().await;
    Ok(Outcome {
        command: "init",
        text: format!("{} is ready, CA {fingerprint}\n", folder.display()),
        json: json!({ "state_dir": folder, "cluster": cluster, "ca_fingerprint": fingerprint }),
    })
}
