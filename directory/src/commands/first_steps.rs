//! `first-steps`: what the package says once it has started the directory. Internal: the maintainer script runs it, and so
//! does the test of the first hour, so that both say the same.

use p2p_proto::{Failure, FailureKind};
use serde_json::json;

use super::{Outcome, ca_fingerprint};
use crate::{app, config::Config, names::server_names};

pub(super) fn run(config: &Config) -> Result<Outcome, Failure> {
    let socket = config.admin_socket();
    std::os::unix::net::UnixStream::connect(&socket).map_err(|_| {
        let message = format!("nothing answers at {}", socket.display());
        Failure::new(FailureKind::Unreachable, message)
            .hint("Is it running? sudo systemctl status p2p-directory")
    })?;
    let fingerprint = ca_fingerprint::stored(config)?;
    let url = app::url(&server_names(&config.api.names), &config.api.listen);
    let next = "sudo p2p-directory admin user add NAME";
    Ok(Outcome {
        command: "first-steps",
        text: format!("p2p-directory runs at {url}, CA {fingerprint}\nNext: {next}\n"),
        json: json!({ "url": url, "ca_fingerprint": fingerprint, "next": next }),
    })
}
