//! `ProbeDirectory` and `Login`.

use p2p_proto::{
    Failure, FailureKind,
    v1::{
        LoginRequest, LoginResponse, ProbeDirectoryRequest, ProbeDirectoryResponse, Reachability,
        login_request,
    },
};
use zeroize::Zeroizing;

use super::ControlRpc;
use crate::{
    control::convert,
    identity::{
        address,
        directory_url::DirectoryUrl,
        login::{self, Here},
        trust::{self, Trust},
    },
};

/// Which CA the directory shows.
pub async fn probe(
    rpc: &ControlRpc,
    uid: u32,
    request: &ProbeDirectoryRequest,
) -> Result<ProbeDirectoryResponse, Failure> {
    let url = directory(rpc, &request.directory)?;
    rpc.sessions.must_be_at(uid, url.as_str())?;
    let pinned = rpc.sessions.pinned_for(url.as_str(), uid);
    let shown = trust::probe(&url).await?;
    let trusted = pinned.map(|ca| ca.fingerprint);
    let trusted = trusted.filter(|pinned| shown.iter().any(|ca| ca.fingerprint == *pinned));
    Ok(ProbeDirectoryResponse {
        url: url.as_str().to_owned(),
        already_trusted: trusted.is_some(),
        ca_fingerprint: trusted.unwrap_or_else(|| shown[0].fingerprint.clone()),
    })
}

/// Logs in.
pub async fn login(rpc: &ControlRpc, uid: u32, mut request: LoginRequest) -> Result<LoginResponse, Failure> {
    let password = Zeroizing::new(std::mem::take(&mut request.password));
    let url = directory(rpc, &request.directory)?;
    rpc.sessions.must_be_at(uid, url.as_str())?;
    let trust = match request.trust.take() {
        Some(login_request::Trust::CaFingerprint(text)) => Trust::Fingerprint(text),
        Some(login_request::Trust::CaPem(pem)) => Trust::Pem(pem),
        Some(login_request::Trust::FirstUse(true)) => Trust::FirstUse,
        _ => Trust::Pinned,
    };
    let config = rpc.config.now();
    let here = Here {
        peer_name: config.peer_name.clone().unwrap_or_else(address::host_name),
        addresses: address::advertised(&config.peer.advertise, &rpc.listening).await,
        made_by: uid,
        gives_way: false,
    };
    let done = login::login(
        &rpc.sessions,
        &rpc.store,
        &url,
        (&request.user, password),
        &trust,
        here,
    )
    .await?;
    let addresses = done
        .addresses
        .into_iter()
        .map(|(address, reachable)| Reachability {
            address: address.to_string(),
            reachable,
        })
        .collect();
    Ok(LoginResponse {
        session: Some(convert::session(&done.session)),
        addresses,
    })
}

/// The directory that was named; else that of the last session; else the first of the configuration.
fn directory(rpc: &ControlRpc, named: &str) -> Result<DirectoryUrl, Failure> {
    if !named.is_empty() {
        return DirectoryUrl::parse(named);
    }
    let known = rpc
        .sessions
        .last_directory()
        .or_else(|| rpc.config.now().directory.urls.first().cloned());
    let known = known.ok_or_else(|| {
        Failure::new(FailureKind::Usage, "no directory is known yet").hint("p2pctl login --directory HOST")
    })?;
    DirectoryUrl::parse(&known)
}
