//! `[login]`: the machine logs itself in. The session is root's, so everybody who may open the control socket acts with it.
//!
//! A session of the same account that still lives is kept. `p2pctl logout` ends it until the next start, or until `[login]`
//! changes; a session that the directory ended is begun anew. Nothing is kept here: a restart begins as the first start did.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use p2p_proto::{Failure, FailureKind};
use tokio::{io::AsyncReadExt, time::Instant};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    address,
    directory_url::DirectoryUrl,
    known::{ROOT, user_name},
    login::{self, Here},
    session::{Ended, Sessions},
    trust::Trust,
};
use crate::{
    config::{Live, Login},
    store::Store,
};

/// The first pause after a directory was away, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The pause after anything else: what is refused now is refused in a minute too, and a directory that counts failures
/// would lock the account.
const REFUSED: Duration = Duration::from_secs(900);

/// A session that ended sooner than this is not begun anew at once: the directory would end that one too.
const SHORT: Duration = Duration::from_secs(60);

/// So often it is seen whether a session has ended by time.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// The longest password file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// Logs the machine in.
pub struct MachineLogin {
    /// What `[login]` says now.
    pub config: Live,
    /// Where the session goes.
    pub sessions: Arc<Sessions>,
    /// Whose files are here.
    pub store: Store,
    /// The peer port's addresses.
    pub listening: Vec<SocketAddr>,
}

/// How it went so far.
#[derive(Default)]
struct Tries {
    /// Directories that were away, in a row.
    away: u32,
    /// What was said last.
    said: Option<FailureKind>,
    /// When a login succeeded.
    succeeded: Option<Instant>,
}

impl MachineLogin {
    /// Sees to the machine's session until `soft`.
    ///
    /// # Errors
    /// None; the signature is that of a service task.
    pub async fn task(self, soft: CancellationToken) -> anyhow::Result<()> {
        soft.run_until_cancelled(self.run()).await;
        Ok(())
    }

    async fn run(&self) {
        let mut config = self.config.subscribe();
        let mut sessions = self.sessions.subscribe();
        let mut tries = Tries::default();
        // Until somebody logs out.
        let mut wanted = true;
        loop {
            let login = config.borrow_and_update().login.clone();
            sessions.borrow_and_update();
            let pause = match &login.user {
                Some(user) if wanted => self.see_to(&login, user.as_str(), &mut tries).await,
                _ => None,
            };
            tokio::select! {
                Ok(()) = config.changed() => {
                    // Who reloads has mended something, the password perhaps.
                    tries = Tries::default();
                    wanted |= config.borrow().login != login;
                }
                Ok(()) = sessions.changed() => {
                    wanted &= self.sessions.current().is_some() || self.sessions.why_ended().is_some();
                }
                () = sleep(pause) => {}
                else => return,
            }
        }
    }

    /// Logs in unless somebody is; how long until it is looked at again.
    async fn see_to(&self, login: &Login, user: &str, tries: &mut Tries) -> Option<Duration> {
        if let Some(session) = self.sessions.current() {
            let record = &session.record;
            if record.user.as_str() != user && tries.said.replace(FailureKind::NotPermitted).is_none() {
                tracing::warn!(ACCOUNT = %record.user,
                    "this peer is logged in as {} and not as [login] {user}: p2pctl logout, then systemctl restart p2pd",
                    record.user
                );
            }
            return Some(LOOK_AGAIN);
        }
        let since = tries.succeeded.map(|at| at.elapsed());
        if let Some(left) = since.and_then(|since| SHORT.checked_sub(since)) {
            return Some(left);
        }
        match self.log_in(login, user, tries.said.is_none()).await {
            Ok(()) => {
                *tries = Tries {
                    succeeded: Some(Instant::now()),
                    ..Tries::default()
                };
                Some(LOOK_AGAIN)
            }
            Err(failure) => match self.sessions.current() {
                Some(faster) => {
                    tracing::info!(ACCOUNT = %faster.record.user, "[login] gave way to {}", faster.record.user);
                    Some(LOOK_AGAIN)
                }
                None => Some(self.not_yet(user, &failure, tries)),
            },
        }
    }

    /// Says what changed, once; how long to wait.
    fn not_yet(&self, user: &str, failure: &Failure, tries: &mut Tries) -> Duration {
        let refused = [
            FailureKind::CredentialsRefused,
            FailureKind::IdentityMismatch,
            FailureKind::NotPermitted,
            FailureKind::Usage,
        ];
        let away = !refused.contains(&failure.kind);
        if tries.said.replace(failure.kind) != Some(failure.kind) {
            let why = hinted(failure);
            self.sessions.say_why(Ended {
                reason: format!("[login] failed: {}", failure.message),
                // Of the others the fix is a login by hand.
                fix: failure
                    .hint
                    .clone()
                    .filter(|_| failure.kind == FailureKind::Usage),
            });
            if away {
                tracing::warn!(ACCOUNT = user, "the machine is not logged in yet: {why}");
            } else {
                tracing::error!(ACCOUNT = user, "the machine cannot log in: {why}");
            }
        }
        if away {
            tries.away = tries.away.saturating_add(1);
            let (first, longest) = PAUSES;
            first
                .saturating_mul(1 << tries.away.min(16).saturating_sub(1))
                .min(longest)
        } else {
            tries.away = 0;
            REFUSED
        }
    }

    /// Tries each directory until one answers. What is odd about the password's file is said the `first` time.
    async fn log_in(&self, login: &Login, user: &str, first: bool) -> Result<(), Failure> {
        let config = self.config.now();
        let password = password(login, first).await?;
        let mut outcome = Err(usage(
            "[login] has a user, and there is no directory: set directory.urls",
        ));
        for url in &config.directory.urls {
            outcome = self
                .log_in_at(&DirectoryUrl::parse(url)?, login, (user, password.clone()))
                .await;
            if !matches!(&outcome, Err(failure) if failure.kind == FailureKind::Unreachable) {
                break;
            }
        }
        outcome
    }

    async fn log_in_at(
        &self,
        url: &DirectoryUrl,
        login: &Login,
        account: (&str, Zeroizing<String>),
    ) -> Result<(), Failure> {
        let trust = match &login.ca_fingerprint {
            Some(fingerprint) => Trust::Fingerprint(fingerprint.to_string()),
            None if self.sessions.pinned_for(url.as_str(), ROOT).is_some() => Trust::Pinned,
            None => {
                let host = url.host();
                return Err(usage(&format!(
                    "{host} was not trusted before: set login.ca_fingerprint (p2p-directory ca-fingerprint prints it)"
                )));
            }
        };
        let config = self.config.now();
        let here = Here {
            peer_name: config.peer_name.clone().unwrap_or_else(address::host_name),
            addresses: address::advertised(&config.peer.advertise, &self.listening).await,
            made_by: ROOT,
            gives_way: true,
        };
        login::login(&self.sessions, &self.store, url, account, &trust, here)
            .await
            .map(drop)
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn usage(message: &str) -> Failure {
    Failure::new(FailureKind::Usage, message)
}

fn hinted(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}. {hint}"),
        None => failure.to_string(),
    }
}

/// Where the password is: the file, or the credential that systemd passes.
fn password_file(login: &Login, credentials: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if !login.password_file.as_os_str().is_empty() {
        return Ok(login.password_file.clone());
    }
    let credential = credentials.map(|folder| folder.join("password"));
    credential.ok_or_else(|| {
        usage("[login] has a user and no password: set login.password_file, or LoadCredential=password:FILE")
    })
}

/// What lets this daemon read its password.
async fn may_read(path: &Path) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let user = user_name(uid).await.unwrap_or_else(|| uid.to_string());
    format!(
        "sudo chown {user} {}, then sudo systemctl reload p2pd",
        path.display()
    )
}

async fn password(login: &Login, first: bool) -> Result<Zeroizing<String>, Failure> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let path = password_file(login, credentials)?;
    let bad = |why: &dyn std::fmt::Display| usage(&format!("{}: {why}", path.display()));
    let file = match tokio::fs::File::open(&path).await {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(bad(&error).hint(may_read(&path).await));
        }
        other => other.map_err(|error| bad(&error))?,
    };
    let found = file.metadata().await.map_err(|error| bad(&error))?;
    if !found.is_file() {
        return Err(bad(&"it is no file"));
    }
    if first && found.permissions().mode() & 0o007 != 0 {
        let path = path.display();
        tracing::warn!("every user of this machine may read {path}: chmod o= {path}");
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes).await;
    if read.map_err(|error| bad(&error))? as u64 > MAX_FILE {
        return Err(bad(&"it is too long for a password"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| bad(&"it is no text"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(bad(&"it is empty"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_read_as_people_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let login = Login {
            password_file: file.clone(),
            ..Login::default()
        };
        assert!(
            password(&login, true)
                .await
                .unwrap_err()
                .message
                .contains("No such file")
        );
        for (text, expected) in [
            ("plum orbit\n", Some("plum orbit")),
            ("plum\r\n", Some("plum")),
            (" plum ", Some(" plum ")),
            ("", None),
            ("\n", None),
        ] {
            std::fs::write(&file, text).unwrap();
            let read = password(&login, true).await.ok();
            assert_eq!(read.as_ref().map(|read| read.as_str()), expected, "{text:?}");
        }
        std::fs::write(&file, "x".repeat(5000)).unwrap();
        assert!(password(&login, true).await.is_err());
    }

    #[test]
    fn a_file_goes_before_a_credential() {
        let mut login = Login::default();
        assert!(
            password_file(&login, None)
                .unwrap_err()
                .message
                .contains("LoadCredential")
        );
        let credential = password_file(&login, Some("/run/credentials/p2pd".into())).unwrap();
        assert_eq!(credential, PathBuf::from("/run/credentials/p2pd/password"));
        login.password_file = "/etc/p2pd/password".into();
        let file = password_file(&login, Some("/run/credentials/p2pd".into())).unwrap();
        assert_eq!(file, PathBuf::from("/etc/p2pd/password"));
    }
}
