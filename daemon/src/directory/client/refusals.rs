//! What did not work at the directory or on the way to it, as a person can mend it.

use std::error::Error;

use p2p_proto::{
    Failure, FailureKind,
    rest::problem::{Problem, ProblemKind},
};
use rustls::{CertificateError, Error as TlsError};

use super::DirectoryClient;

impl DirectoryClient {
    /// What the directory refused, and why.
    pub(super) fn refusal(&self, problem: Problem) -> Failure {
        let host = &self.host;
        let detail = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
        let next = |message: String| match problem.retry_after_s {
            Some(seconds) => format!("{message}. Next try in {seconds} s."),
            None => message,
        };
        match problem.kind() {
            Some(ProblemKind::BadCredentials) => Failure::new(
                FailureKind::CredentialsRefused,
                next(format!("{host} refused the user name or password")),
            ),
            Some(ProblemKind::TooMany) if self.token.is_none() => Failure::new(
                FailureKind::CredentialsRefused,
                next(format!("{host}: too many failed logins")),
            ),
            Some(ProblemKind::NoSession) => ended(&detail),
            Some(ProblemKind::Forbidden) => Failure::new(FailureKind::NotPermitted, detail),
            Some(ProblemKind::NotFound) => Failure::new(FailureKind::NotFound, detail),
            Some(ProblemKind::Ambiguous) => {
                Failure::new(FailureKind::Ambiguous, detail).candidates(problem.candidates)
            }
            Some(ProblemKind::TooMany | ProblemKind::Unavailable) => self.unreachable(&detail),
            Some(ProblemKind::Invalid | ProblemKind::BadRequest) => Failure::new(FailureKind::Usage, detail),
            _ => Failure::new(FailureKind::Internal, format!("{host}: {detail}")),
        }
    }

    /// It does not do what a directory does.
    pub(super) fn unreachable(&self, what: &str) -> Failure {
        Failure::new(FailureKind::Unreachable, format!("{} {what}", self.host))
    }

    /// Why no answer came, as a person can mend it.
    pub(super) fn away(&self, error: &reqwest::Error) -> Failure {
        let host = &self.host;
        match tls_error(error) {
            Some(TlsError::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented,
                ..
            })) => {
                let names: Vec<String> = presented.iter().map(|name| plain_name(name)).collect();
                let message = format!(
                    "{host}'s certificate names [{}]: add {host} to api.names, then systemctl reload p2p-directory",
                    names.join(", ")
                );
                Failure::new(FailureKind::Unreachable, message)
            }
            Some(TlsError::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => {
                let message =
                    format!("{host} shows a certificate that its CA did not sign. Nothing was sent.");
                Failure::new(FailureKind::IdentityMismatch, message)
            }
            _ => self.unreachable(&format!("cannot be reached: {}", root_cause(error))),
        }
    }
}

/// What the directory says of a session that an administrator ended, in its words.
fn ended(detail: &str) -> Failure {
    let mut failure = Failure::not_logged_in();
    if let Some(reason) = detail.strip_prefix("the session has ended: an administrator ") {
        failure.message = format!("not logged in: an administrator {reason}");
    }
    failure
}

/// `DnsName("dir")` and `IpAddress(10.0.0.4)` as they are written in a configuration.
fn plain_name(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .map_or(presented, |(_, rest)| rest.trim_end_matches(')'));
    let text = inner.trim_matches('"');
    text.parse::<std::net::IpAddr>()
        .map_or_else(|_| text.to_owned(), |ip| ip.to_string())
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause: what a person needs of a chain of wrappers.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
