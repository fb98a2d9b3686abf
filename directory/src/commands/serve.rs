//! `serve`: runs until SIGTERM or SIGINT. `serve --check-config`: says that the configuration is good.

use std::{sync::Arc, time::Duration};

use p2p_proto::Failure;
use p2p_service::{
    config::Sources,
    lifecycle::{Lifecycle, Signals},
    logging::{self, LogLevel, Place},
    paths::default_paths,
};
use serde_json::json;

use super::{Outcome, failed, runtime};
use crate::{
    app::App,
    clock::SystemClock,
    config::{Config, LOG_VARIABLE, PROGRAM},
    reload::Reloading,
};

/// How long requests that run may take when the program stops.
const DRAIN: Duration = Duration::from_secs(10);

pub(super) fn run(config: Config, sources: Sources) -> Result<(), Failure> {
    let level = logging::init(LOG_VARIABLE, &config.log.level, &Place::StandardError)
        .map_err(|error| failed(&error.into()))?;
    runtime()?
        .block_on(serve(config, sources, level))
        .map_err(|error| failed(&error))
}

async fn serve(config: Config, sources: Sources, level: LogLevel) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let lifecycle = Lifecycle::new();
    let app = App::build(config, Arc::new(SystemClock)).await?;
    let level = Some(level);
    let running = app.start(&lifecycle, Reloading { sources, level })?;
    let reloader = running.reloader.clone();
    let ended = lifecycle.run(signals, DRAIN, move || reloader.reload()).await;
    running.close().await;
    ended
}

pub(super) fn check(sources: &Sources) -> Outcome {
    let default = default_paths(PROGRAM).config_file;
    let file = sources.file.as_deref().unwrap_or(&default);
    Outcome {
        command: "serve",
        text: format!("{}\n", Config::verdict(sources)),
        json: json!({ "config": file.to_string_lossy(), "exists": file.exists() }),
    }
}
