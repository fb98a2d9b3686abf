//! Logging in and out.
//!
//! The order matters: first the CA is compared, then the account is compared with the store's, and only then the
//! password leaves this machine, over TLS that trusts that CA alone. A directory takes its time, and others may log in
//! while it does: what was permitted before it was asked is asked again before the session begins, one login at a time.

use std::{net::SocketAddr, sync::Arc};

use jiff::Timestamp;
use p2p_proto::{API_LEVEL, Failure, FailureKind, PeerName, rest::session::LoginRequest};
use tracing::field::Empty;
use zeroize::Zeroizing;

use super::{
    certificate,
    directory_url::DirectoryUrl,
    session::{Session, SessionRecord, Sessions},
    trust::{self, Trust, TrustedCa},
};
use crate::{directory::client::DirectoryClient, store::Store};

/// What a login needs besides the account.
#[derive(Clone, Debug)]
pub struct Here {
    /// What this peer wants to be called.
    pub peer_name: PeerName,
    /// Where others dial it.
    pub addresses: Vec<SocketAddr>,
    /// The Unix user who logs in; 0 for the machine.
    pub made_by: u32,
    /// It takes no session's place, also not one that begins meanwhile.
    pub gives_way: bool,
}

/// What a login brought.
pub struct LoggedIn {
    /// The session.
    pub session: Arc<Session>,
    /// The advertised addresses, and whether the directory could dial each.
    pub addresses: Vec<(SocketAddr, bool)>,
}

/// Logs this peer in; the session is on disk when this returns.
///
/// # Errors
/// `IdentityMismatch`, `NotPermitted` (the store holds another account's files), `CredentialsRefused`, `Unreachable`.
pub async fn login(
    sessions: &Sessions,
    store: &Store,
    url: &DirectoryUrl,
    (user, password): (&str, Zeroizing<String>),
    trust: &Trust,
    here: Here,
) -> Result<LoggedIn, Failure> {
    let pinned = sessions.pinned_for(url.as_str(), here.made_by);
    let ca = trust::establish(url, trust, pinned.as_ref()).await?;
    let (made_by, gives_way) = (here.made_by, here.gives_way);
    let ca = permitted(sessions, url, ca, (made_by, gives_way))?;
    // Before the password leaves this machine, as far as a name tells.
    let account = sessions.account().filter(|account| account.user.as_str() != user);
    if let Some(account) = account
        && keeps(store).await?
    {
        return Err(keeps_files_of(account.user.as_str()));
    }
    let client = DirectoryClient::new(url.as_str(), &ca.pem, None)?;
    let addresses = here.addresses.clone();
    let request = LoginRequest {
        user: user.to_owned(),
        password: password.into(),
        peer_name: here.peer_name,
        csr: sessions
            .key()
            .request()
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?,
        addresses: here.addresses,
        api_level: API_LEVEL,
    };
    let response = client.login(request).await?;
    let answered = response.answered.clone();
    let now = Timestamp::now();
    let record = SessionRecord {
        directory: url.as_str().to_owned(),
        ca: ca.pem.clone(),
        ca_fingerprint: fingerprint_in_use(&ca)?,
        token: response.session_token,
        user: response.user,
        user_id: response.user_id,
        cluster: response.cluster,
        peer_name: response.peer_name,
        certificate: response.credentials.certificate,
        certified_at: now,
        certificate_expires_at: response.credentials.certificate_expires_at,
        session_expires_at: response.credentials.session_expires_at,
        grant_keys: response.credentials.grant_keys,
        ping_interval_ms: response.ping_interval_ms,
        unreachable: addresses
            .iter()
            .copied()
            .filter(|address| !answered.contains(address))
            .collect(),
        made_by,
    };
    let fresh = DirectoryClient::new(url.as_str(), &ca.pem, Some(&record.token))?;
    let still = || permitted(sessions, url, ca, (made_by, gives_way));
    let session = install((sessions, store), record, still, &fresh).await?;
    tracing::info!(own = Empty, ACCOUNT = %session.record.user,
        "logged in to {} as {}", url.as_str(), session.record.peer_name);
    let addresses = addresses
        .into_iter()
        .map(|address| (address, answered.contains(&address)))
        .collect();
    Ok(LoggedIn { session, addresses })
}

/// This user may log in here now; the CA to trust, which for others than the last session's owner is the one it had.
fn permitted(
    sessions: &Sessions,
    url: &DirectoryUrl,
    ca: TrustedCa,
    (made_by, gives_way): (u32, bool),
) -> Result<TrustedCa, Failure> {
    let refused = |message: String| Err(Failure::new(FailureKind::NotPermitted, message));
    if let Some(session) = sessions.current()
        && (gives_way || !sessions.is_owned_by(made_by))
    {
        return refused(format!(
            "meanwhile this peer was logged in as {}; that is not yours to replace",
            session.record.user
        ));
    }
    match sessions.must_be_at(made_by, url.as_str())? {
        Some(last) if last.fingerprint != ca.fingerprint => refused(format!(
            "{} is known here by CA {}, and not by {}; root may trust another one",
            url.host(),
            last.fingerprint,
            ca.fingerprint
        )),
        Some(last) => Ok(last),
        None => Ok(ca),
    }
}

/// Begins the session, and has the directories end the one whose place it takes; or itself when it was refused here.
async fn install(
    here: (&Sessions, &Store),
    record: SessionRecord,
    still: impl FnOnce() -> Result<TrustedCa, Failure>,
    fresh: &DirectoryClient,
) -> Result<Arc<Session>, Failure> {
    let mut ended = None;
    let begun = begin(here, record, still, &mut ended).await;
    if let Some(other) = ended
        && let Err(error) = other.client.logout().await
    {
        // It has ended there already when this login was at the same directory.
        tracing::debug!("the session before was not ended at its directory: {error}");
    }
    if begun.is_err()
        && let Err(error) = fresh.logout().await
    {
        tracing::info!("the refused session could not be ended at the directory: {error}");
    }
    begun
}

/// Begins the session if that is `still` permitted; nobody is asked meanwhile. The one of another account that ended for
/// it is to be told to its directory.
async fn begin(
    (sessions, store): (&Sessions, &Store),
    record: SessionRecord,
    still: impl FnOnce() -> Result<TrustedCa, Failure>,
    ended: &mut Option<Arc<Session>>,
) -> Result<Arc<Session>, Failure> {
    let _beginning = sessions.beginning().await;
    still()?;
    *ended = make_place_for(sessions, store, &record).await?;
    if ended.is_some() {
        nothing_of_another(sessions, store, &record).await?;
    }
    let same = sessions
        .account()
        .is_some_and(|last| (last.cluster, last.user_id) == (record.cluster, record.user_id));
    if !same {
        // What was told to another account is not this one's to know.
        store.forget_locations(None).await?;
    }
    sessions.begin(record)
}

/// Something of the last account is stored here, or about to be published.
async fn keeps(store: &Store) -> Result<bool, Failure> {
    Ok(!store.holds().await?.is_empty() || !store.unpublished().await?.is_empty())
}

fn keeps_files_of(owner: &str) -> Failure {
    let message = format!("this peer holds files of {owner}; another account cannot use it");
    Failure::new(FailureKind::NotPermitted, message)
        .hint(format!("log in as {owner}, and p2pctl rm what is here first"))
}

/// Makes place for this account. Nothing of another one may be here; one that is still logged in is logged out first, so
/// that its transfers end with its session, and what they kept to the last is seen. That one, when there was one.
async fn make_place_for(
    sessions: &Sessions,
    store: &Store,
    record: &SessionRecord,
) -> Result<Option<Arc<Session>>, Failure> {
    let mine = (record.cluster, record.user_id);
    nothing_of_another(sessions, store, record).await?;
    let other = sessions
        .current()
        .filter(|session| (session.record.cluster, session.record.user_id) != mine);
    let Some(other) = other else {
        return Ok(None);
    };
    sessions.end(&other, &format!("{} logged in here", record.user))?;
    tracing::info!(own = Empty, ACCOUNT = %other.record.user, "logged out, for {}", record.user);
    Ok(Some(other))
}

async fn nothing_of_another(
    sessions: &Sessions,
    store: &Store,
    record: &SessionRecord,
) -> Result<(), Failure> {
    if let Some(last) = sessions.account()
        && (last.cluster, last.user_id) != (record.cluster, record.user_id)
        && keeps(store).await?
    {
        // The name may be the same, and the account another: of another directory, or made anew.
        let owner = match last.user == record.user {
            true => format!("{} of another directory", last.user),
            false => last.user.to_string(),
        };
        return Err(keeps_files_of(&owner));
    }
    Ok(())
}

fn fingerprint_in_use(ca: &TrustedCa) -> Result<String, Failure> {
    let internal =
        |error: certificate::CertificateError| Failure::new(FailureKind::Internal, error.to_string());
    let first = certificate::certificates(&ca.pem).map_err(internal)?;
    certificate::fingerprint(&first[0]).map_err(internal)
}

/// Ends the session here, and at the directory when it can be reached. True when the directory was told.
///
/// # Errors
/// `NotLoggedIn`, or when the session's file cannot be removed.
pub async fn logout(sessions: &Sessions) -> Result<bool, Failure> {
    let session = sessions.require()?;
    let told = match session.client.logout().await {
        Ok(()) => true,
        // Over there already.
        Err(failure) if failure.kind == FailureKind::NotLoggedIn => true,
        Err(failure) => {
            tracing::info!("the directory was not told of the logout: {failure}");
            false
        }
    };
    sessions.end(&session, "")?;
    tracing::info!(own = Empty, ACCOUNT = %session.record.user, "logged out");
    Ok(told)
}
