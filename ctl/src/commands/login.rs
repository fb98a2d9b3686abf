//! `login`: asks for what is missing, makes sure that the directory is the right one, and sends the password only to a
//! daemon that may have it. The password lives in memory that is wiped.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use p2p_proto::{
    Failure, FailureKind, UserName,
    v1::{
        LoginRequest, LoginResponse, ProbeDirectoryRequest, Reachability, StatusRequest, login_request::Trust,
    },
};
use zeroize::Zeroizing;

use super::{incomplete, secrets};
use crate::{
    ask::{Terminal, Wanted},
    cli::LoginArgs,
    connect::{Daemon, unix_user},
    context::Context,
    exit::Stop,
    output::{host, json, one_line, time},
};

const MAX_CA_FILE: u64 = 1 << 20;

/// Logs in.
pub(crate) async fn run(ctx: &Context, args: LoginArgs) -> Result<(), Stop> {
    let terminal = io::stdin().is_terminal();
    if !terminal && !args.password_stdin && args.password_file.is_none() {
        return Err(secrets::missing("a password is", "--password-stdin or --password-file F").into());
    }
    let user = user_name(args.user.as_deref())?;
    let given = given_trust(&args)?;
    let mut daemon = ctx.guard(ctx.connect()).await?;
    daemon.check_owner()?;
    let can_ask = terminal && !args.password_stdin;
    let directory = match args.directory.clone() {
        Some(directory) => directory,
        None if can_ask => missing_directory(ctx, &mut daemon).await?,
        None => String::new(),
    };
    let known = match find_trust(ctx, &mut daemon, given, directory).await? {
        Found::Known(directory, trust) => (directory, trust),
        Found::Shown(shown) if can_ask => shown.confirmed(ctx, &mut Terminal::open()?).await?,
        Found::Shown(shown) => return Err(shown.unconfirmed().into()),
    };
    let password = password(ctx, &args).await?;
    log_in(ctx, &mut daemon, known, user, &password).await
}

/// The directory where none is given and none is known; empty where one is known.
async fn missing_directory(ctx: &Context, daemon: &mut Daemon) -> Result<String, Stop> {
    let known = ctx.guard(async {
        let status = daemon.client.status(StatusRequest {}).await;
        status.map_err(|status| daemon.failure(status))
    });
    let known = known.await?.into_inner().directory.unwrap_or_default();
    if !known.urls.is_empty() {
        return Ok(String::new());
    }
    let typed = Terminal::open()?.ask(ctx, "Directory: ", Wanted::Text).await?;
    Ok(typed.ok_or_else(ended)?.trim().to_owned())
}

/// Logs a person in to this directory who is asked for all the rest.
pub(super) async fn ask_all(ctx: &Context, terminal: &mut Terminal, directory: String) -> Result<(), Stop> {
    let mut daemon = ctx.guard(ctx.connect()).await?;
    daemon.check_owner()?;
    let known = match find_trust(ctx, &mut daemon, None, directory).await? {
        Found::Known(directory, trust) => (directory, trust),
        Found::Shown(shown) => shown.confirmed(ctx, terminal).await?,
    };
    let own = user_name(None).ok();
    let question = match &own {
        Some(name) => format!("User [{name}]: "),
        None => "User: ".to_owned(),
    };
    let typed = terminal
        .ask(ctx, &question, Wanted::Text)
        .await?
        .ok_or_else(ended)?;
    let user = match (typed.trim(), own) {
        ("", Some(own)) => own,
        (name, _) => user_name(Some(name))?,
    };
    let password = secrets::typed(ctx, terminal, "Password: ").await?;
    log_in(ctx, &mut daemon, known, user, &password).await
}

async fn log_in(
    ctx: &Context,
    daemon: &mut Daemon,
    (directory, trust): (String, Trust),
    user: UserName,
    password: &Zeroizing<String>,
) -> Result<(), Stop> {
    let request = LoginRequest {
        directory,
        user: user.into(),
        password: password.as_str().to_owned(),
        trust: Some(trust),
    };
    let answer = ctx.guard(async {
        let answer = daemon.client.login(request).await;
        answer.map_err(|status| daemon.failure(status))
    });
    show(ctx, answer.await?.into_inner())
}

fn show(ctx: &Context, answer: LoginResponse) -> Result<(), Stop> {
    let session = answer.session.ok_or_else(|| incomplete("a session"))?;
    if ctx.out.is_json() {
        return ctx
            .out
            .json("login", &json::Login::new(session, answer.addresses));
    }
    let (user, peer) = (one_line(&session.user), one_line(&session.peer_name));
    let until = time::day(&session.session_expires_at);
    let reachable = reachability(&answer.addresses);
    ctx.out.done(format_args!(
        "Logged in as {user} on {peer} until {until}{reachable}"
    ))?;
    for address in &answer.addresses {
        let word = if address.reachable {
            "reachable"
        } else {
            "not reachable"
        };
        ctx.out
            .detail(format_args!("{}: {word}", one_line(&address.address)));
    }
    if !answer.addresses.is_empty() && !answer.addresses.iter().any(|one| one.reachable) {
        let port = port(&answer.addresses[0].address);
        ctx.out.note(format_args!(
            "Others cannot download from this peer. Try: sudo ufw allow {port}/tcp"
        ));
    }
    Ok(())
}

/// `. Port 7401 reachable: yes`; empty when the directory did not try.
fn reachability(addresses: &[Reachability]) -> String {
    let best = addresses.iter().find(|one| one.reachable).or(addresses.first());
    match best {
        Some(one) => {
            let word = if one.reachable { "yes" } else { "no" };
            format!(". Port {} reachable: {word}", port(&one.address))
        }
        None => String::new(),
    }
}

fn port(address: &str) -> String {
    one_line(address.rsplit_once(':').map_or(address, |(_, port)| port))
}

fn ended() -> Failure {
    Failure::new(FailureKind::Interrupted, "Interrupted")
}

/// The account: as given, or the Unix user's name where that can be one.
fn user_name(given: Option<&str>) -> Result<UserName, Failure> {
    let (name, hint) = match given {
        Some(name) => (name.to_owned(), None),
        None => (unix_user(), Some("Use --user NAME")),
    };
    name.parse().map_err(|error: p2p_proto::name::BadName| {
        let failure = Failure::new(FailureKind::Usage, format!("\"{name}\": {error}"));
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn given_trust(args: &LoginArgs) -> Result<Option<Trust>, Failure> {
    if let Some(fingerprint) = &args.ca_fingerprint {
        return Ok(Some(Trust::CaFingerprint(fingerprint.clone())));
    }
    if let Some(path) = &args.ca_file {
        let pem = secrets::bounded(path, MAX_CA_FILE)?;
        let pem = String::from_utf8(pem.to_vec()).map_err(|_| {
            let message = format!("{} is no PEM file", path.display());
            Failure::new(FailureKind::Usage, message)
        })?;
        return Ok(Some(Trust::CaPem(pem)));
    }
    Ok(args.trust_on_first_use.then_some(Trust::FirstUse(true)))
}

/// The directory, and whether it is known.
enum Found {
    /// As given, or as pinned before.
    Known(String, Trust),
    /// Somebody must say that it is the right one.
    Shown(Shown),
}

/// What a directory shows that nobody has confirmed.
struct Shown {
    url: String,
    fingerprint: String,
}

async fn find_trust(
    ctx: &Context,
    daemon: &mut Daemon,
    given: Option<Trust>,
    directory: String,
) -> Result<Found, Stop> {
    if let Some(trust) = given {
        return Ok(Found::Known(directory, trust));
    }
    let request = ProbeDirectoryRequest { directory };
    let probed = ctx.guard(async {
        let probed = daemon.client.probe_directory(request).await;
        probed.map_err(|status| daemon.failure(status))
    });
    let probed = probed.await?.into_inner();
    ctx.out
        .detail(format_args!("the directory is {}", one_line(&probed.url)));
    if probed.already_trusted {
        return Ok(Found::Known(probed.url, Trust::Pinned(true)));
    }
    Ok(Found::Shown(Shown {
        url: probed.url,
        fingerprint: probed.ca_fingerprint,
    }))
}

impl Shown {
    /// Trusted when the person says so.
    async fn confirmed(self, ctx: &Context, terminal: &mut Terminal) -> Result<(String, Trust), Failure> {
        let question = format!("{self}\nSame as your administrator gave you? [y/N] ");
        let answer = terminal.ask(ctx, &question, Wanted::Text).await?;
        let answer = answer.ok_or_else(ended)?;
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            let message = format!("{self}, which was not confirmed. Nothing was sent");
            return Err(Failure::new(FailureKind::IdentityMismatch, message));
        }
        // Exactly what was shown, not whatever answers next.
        Ok((self.url, Trust::CaFingerprint(self.fingerprint)))
    }

    /// There is nobody to say so.
    fn unconfirmed(&self) -> Failure {
        let hint =
            "Use --ca-fingerprint with what your administrator gave you, --ca-file or --trust-on-first-use";
        Failure::new(FailureKind::Usage, self.to_string()).hint(hint)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shows CA {}", host(&self.url), one_line(&self.fingerprint))
    }
}

async fn password(ctx: &Context, args: &LoginArgs) -> Result<Zeroizing<String>, Stop> {
    if args.password_stdin {
        return Ok(secrets::checked(&secrets::stdin(ctx).await?)?);
    }
    if let Some(path) = &args.password_file {
        return Ok(secrets::checked(&secrets::file(path)?)?);
    }
    Ok(secrets::typed(ctx, &mut Terminal::open()?, "Password: ").await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_reachable_when_one_address_is() {
        let address = |address: &str, reachable| Reachability {
            address: address.into(),
            reachable,
        };
        assert_eq!(reachability(&[]), "");
        assert_eq!(
            reachability(&[address("[fd00::1]:7401", false), address("10.0.0.4:7401", true)]),
            ". Port 7401 reachable: yes"
        );
        assert_eq!(
            reachability(&[address("10.0.0.4:7409", false)]),
            ". Port 7409 reachable: no"
        );
    }

    #[test]
    fn the_account_name_is_checked_here() {
        assert_eq!(user_name(Some("ana")).unwrap().as_str(), "ana");
        assert_eq!(user_name(Some("Ana B")).unwrap_err().kind, FailureKind::Usage);
    }
}
