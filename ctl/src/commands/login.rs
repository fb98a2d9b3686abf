//! `login`: asks for what is missing, makes sure that the directory is the right one, and sends the password only to a
//! daemon that may have it. The password lives in memory that is wiped.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::Path,
};

use p2p_proto::{
    Failure, FailureKind, UserName,
    v1::{LoginRequest, LoginResponse, ProbeDirectoryRequest, Reachability, login_request::Trust},
};
use rustix::termios::OptionalActions;
use zeroize::Zeroizing;

use super::incomplete;
use crate::{
    cli::LoginArgs,
    connect::{Daemon, unix_user},
    context::Context,
    exit::{Stop, io_failure},
    output::{host, json, one_line, time},
};

const MAX_PASSWORD: u64 = 4 << 10;
const MAX_CA_FILE: u64 = 1 << 20;

/// Logs in.
pub(crate) async fn run(ctx: &Context, args: LoginArgs) -> Result<(), Stop> {
    let terminal = io::stdin().is_terminal();
    if !terminal && !args.password_stdin && args.password_file.is_none() {
        return Err(missing("a password", "--password-stdin or --password-file F").into());
    }
    let user = user_name(args.user.as_deref())?;
    let given = given_trust(&args)?;
    let mut daemon = ctx.guard(ctx.connect()).await?;
    daemon.check_owner()?;
    let directory = args.directory.clone().unwrap_or_default();
    let found = find_trust(
        ctx,
        &mut daemon,
        given,
        directory,
        terminal && !args.password_stdin,
    );
    let (directory, trust) = ctx.guard(found).await?;
    let password = password(ctx, &args).await?;
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
    ctx.out.line(format_args!(
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

fn missing(what: &str, flag: &str) -> Failure {
    let message = format!("{what} is needed, and there is no terminal to ask on");
    Failure::new(FailureKind::Usage, message).hint(format!("Use {flag}"))
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
        let pem = read_bounded(path, MAX_CA_FILE)?;
        let pem = String::from_utf8(pem.to_vec()).map_err(|_| {
            let message = format!("{} is no PEM file", path.display());
            Failure::new(FailureKind::Usage, message)
        })?;
        return Ok(Some(Trust::CaPem(pem)));
    }
    Ok(args.trust_on_first_use.then_some(Trust::FirstUse(true)))
}

/// The directory, and how it is trusted: as given, as pinned before, or as the user confirms now.
async fn find_trust(
    ctx: &Context,
    daemon: &mut Daemon,
    given: Option<Trust>,
    directory: String,
    can_ask: bool,
) -> Result<(String, Trust), Failure> {
    if let Some(trust) = given {
        return Ok((directory, trust));
    }
    let request = ProbeDirectoryRequest { directory };
    let probed = daemon.client.probe_directory(request).await;
    let probed = probed.map_err(|status| daemon.failure(status))?.into_inner();
    ctx.out
        .detail(format_args!("the directory is {}", one_line(&probed.url)));
    if probed.already_trusted {
        return Ok((probed.url, Trust::Pinned(true)));
    }
    let shown = format!(
        "{} shows CA {}",
        host(&probed.url),
        one_line(&probed.ca_fingerprint)
    );
    if !can_ask {
        return Err(Failure::new(FailureKind::Usage, shown).hint(
            "Use --ca-fingerprint with what your administrator gave you, --ca-file or --trust-on-first-use",
        ));
    }
    let question = format!("{shown}\nSame as your administrator gave you? [y/N] ");
    let answer = tokio::task::spawn_blocking(move || ask(&question));
    let answer = answer.await.unwrap_or_else(|error| Err(error.into()));
    let answer = answer.map_err(|error| io_failure("cannot ask", &error))?;
    if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        let message = format!("{shown}, which was not confirmed. Nothing was sent");
        return Err(Failure::new(FailureKind::IdentityMismatch, message));
    }
    // Exactly what was shown, not whatever answers next.
    Ok((probed.url, Trust::CaFingerprint(probed.ca_fingerprint)))
}

fn ask(question: &str) -> io::Result<String> {
    // No lock is kept while this waits: an interruption must be able to speak.
    io::stderr().write_all(question.as_bytes())?;
    let mut answer = String::new();
    io::stdin().lock().take(256).read_line(&mut answer)?;
    Ok(answer)
}

async fn password(ctx: &Context, args: &LoginArgs) -> Result<Zeroizing<String>, Stop> {
    if args.password_stdin {
        let read = tokio::task::spawn_blocking(|| read_all(io::stdin().lock(), MAX_PASSWORD));
        let bytes = ctx.guard(async {
            let read = read.await.unwrap_or_else(|error| Err(error.into()));
            read.map_err(|error| io_failure("stdin", &error))
        });
        return Ok(plain(&bytes.await?)?);
    }
    if let Some(path) = &args.password_file {
        return Ok(plain(&read_bounded(path, MAX_PASSWORD)?)?);
    }
    Ok(typed_password(ctx).await?)
}

/// Asks without echo. Whatever stops the wait, the terminal is put back as it was.
async fn typed_password(ctx: &Context) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: &io::Error| io_failure("cannot ask for the password", error);
    let terminal = File::open("/dev/tty").map_err(|error| failed(&error))?;
    let before = rustix::termios::tcgetattr(&terminal).map_err(|errno| failed(&errno.into()))?;
    let typed = tokio::task::spawn_blocking(|| rpassword::prompt_password("Password: ").map(Zeroizing::new));
    tokio::select! {
        biased;
        why = ctx.stopped() => {
            // The thread still reads, without echo; nothing waits for it.
            let _ = rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &before);
            let _ = writeln!(io::stderr());
            Err(why)
        }
        typed = typed => match typed.unwrap_or_else(|error| Err(error.into())) {
            Ok(password) => Ok(password),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Err(Failure::new(FailureKind::Interrupted, "Interrupted"))
            }
            Err(error) => Err(failed(&error)),
        },
    }
}

fn read_bounded(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error| io_failure(&path.display().to_string(), &error);
    read_all(File::open(path).map_err(failed)?, most).map_err(failed)
}

fn read_all(input: impl Read, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it, so that no half copy of a secret stays behind in the heap.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most as usize + 1));
    input.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("more than {most} bytes")));
    }
    Ok(bytes)
}

/// The password in these bytes, without one line end.
fn plain(bytes: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok("") => Err(Failure::new(FailureKind::Usage, "the password is empty")),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Failure::new(FailureKind::Usage, "the password is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_belongs_to_the_input_not_to_the_password() {
        for (bytes, password) in [
            (&b"plum"[..], "plum"),
            (b"plum\n", "plum"),
            (b"plum\r\n", "plum"),
            (b"plum\n\n", "plum\n"),
            (b" plum ", " plum "),
        ] {
            assert_eq!(plain(bytes).unwrap().as_str(), password);
        }
        for bad in [&b""[..], b"\n", b"\xff"] {
            assert_eq!(plain(bad).unwrap_err().kind, FailureKind::Usage);
        }
        assert!(read_all(&[b'x'; 5][..], 4).is_err());
        assert_eq!(read_all(&b"four"[..], 4).unwrap().as_slice(), b"four");
    }

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
