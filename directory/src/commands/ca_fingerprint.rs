//! `ca-fingerprint`: what people compare before they trust this directory. Works whether it runs or not.

use p2p_proto::{Failure, FailureKind};
use serde_json::json;

use super::Outcome;
use crate::{
    ca::{CaError, authority::stored_fingerprint},
    config::Config,
};

pub(super) fn run(config: &Config) -> Result<Outcome, Failure> {
    let fingerprint = stored(config)?;
    Ok(Outcome {
        command: "ca-fingerprint",
        text: format!("{fingerprint}\n"),
        json: json!({ "ca_fingerprint": fingerprint }),
    })
}

/// The fingerprint of the CA in the state folder.
pub(super) fn stored(config: &Config) -> Result<String, Failure> {
    let folder = &config.state_dir;
    let fingerprint = stored_fingerprint(folder).map_err(|error| match &error {
        CaError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::new(FailureKind::NotPermitted, error.to_string())
                .hint("sudo p2p-directory ca-fingerprint")
        }
        _ => Failure::new(FailureKind::Internal, error.to_string()),
    })?;
    fingerprint.ok_or_else(|| {
        let message = format!("there is no CA in {}", folder.display());
        Failure::new(FailureKind::NotFound, message).hint("p2p-directory init")
    })
}
