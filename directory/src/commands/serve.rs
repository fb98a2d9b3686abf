//! `serve`: runs until SIGTERM or SIGINT. `serve --check-config`: says that the configuration is good.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use p2p_proto::Failure;
use p2p_service::{
    lifecycle::{Lifecycle, Signals},
    paths::default_paths,
};
use serde_json::json;

use super::{Outcome, failed, runtime};
use crate::{
    app::App,
    clock::SystemClock,
    config::{Config, LOG_VARIABLE, PROGRAM},
};

/// How long requests that run may take when the program stops.
const DRAIN: Duration = Duration::from_secs(10);

pub(super) fn run(config: Config, file: Option<PathBuf>) -> Result<(), Failure> {
    p2p_service::logging::init(LOG_VARIABLE, config.log.level.as_str()).map_err(|error| failed(&error))?;
    runtime()?
        .block_on(serve(config, file))
        .map_err(|error| failed(&error))
}

async fn serve(config: Config, file: Option<PathBuf>) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let lifecycle = Lifecycle::new();
    let app = App::build(config, Arc::new(SystemClock)).await?;
    let running = app.start(&lifecycle, file);
    let reloader = running.reloader.clone();
    let ended = lifecycle.run(signals, DRAIN, move || reloader.reload()).await;
    running.close().await;
    ended
}

pub(super) fn check(file: Option<&Path>) -> Outcome {
    let default = default_paths(PROGRAM).config_file;
    let file = file.unwrap_or(&default);
    let text = if file.exists() {
        format!("{}: good\n", file.display())
    } else {
        format!("{}: missing, so the defaults count\n", file.display())
    };
    Outcome {
        command: "serve",
        text,
        json: json!({ "config": file, "exists": file.exists() }),
    }
}
