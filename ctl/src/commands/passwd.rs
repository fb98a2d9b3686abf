//! `passwd`: changes the account's password. Asks for the old one and twice for the new one, or reads both from stdin;
//! they live in memory that is wiped, and go only to a daemon that may have them.

use std::io::{self, IsTerminal};

use p2p_proto::{
    Failure, FailureKind,
    v1::{PasswdRequest, WhoamiRequest},
};
use zeroize::Zeroizing;

use super::secrets::{self, checked};
use crate::{
    ask::Terminal,
    cli::PasswdArgs,
    context::Context,
    exit::Stop,
    output::{json, one_line},
};

/// Changes it.
pub(crate) async fn run(ctx: &Context, args: &PasswdArgs) -> Result<(), Stop> {
    if !args.password_stdin && !io::stdin().is_terminal() {
        return Err(secrets::missing("the old and the new password are", "--password-stdin").into());
    }
    let mut daemon = ctx.guard(ctx.connect()).await?;
    daemon.check_owner()?;
    // Whose it is, before anything is asked.
    let who = ctx.guard(async {
        let answer = daemon.client.whoami(WhoamiRequest {}).await;
        answer.map_err(|status| daemon.failure(status))
    });
    let session = who.await?.into_inner().session;
    session.ok_or_else(Failure::not_logged_in)?;
    let (old, new) = match args.password_stdin {
        true => from_stdin(ctx).await?,
        false => typed(ctx).await?,
    };
    let request = PasswdRequest {
        old_password: old.as_str().to_owned(),
        new_password: new.as_str().to_owned(),
    };
    let answer = ctx.guard(async {
        let answer = daemon.client.passwd(request).await;
        answer.map_err(|status| daemon.failure(status))
    });
    let user = answer.await?.into_inner().user;
    if ctx.out.is_json() {
        return ctx.out.json("passwd", &json::Passwd { user });
    }
    ctx.out.done(format_args!(
        "Changed the password of {}. Peers that are logged in stay so.",
        one_line(&user)
    ))
}

type Pair = (Zeroizing<String>, Zeroizing<String>);

async fn typed(ctx: &Context) -> Result<Pair, Failure> {
    let mut terminal = Terminal::open()?;
    let old = secrets::typed(ctx, &mut terminal, "Old password: ").await?;
    let new = secrets::typed(ctx, &mut terminal, "New password: ").await?;
    let again = secrets::typed(ctx, &mut terminal, "New password again: ").await?;
    if new != again {
        let message = "the new passwords differ. Nothing was changed";
        return Err(Failure::new(FailureKind::Usage, message));
    }
    Ok((old, new))
}

async fn from_stdin(ctx: &Context) -> Result<Pair, Stop> {
    Ok(pair(&secrets::stdin(ctx).await?)?)
}

/// The old and the new password, a line each.
fn pair(bytes: &[u8]) -> Result<Pair, Failure> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let (old, new, rest) = (lines.next(), lines.next(), lines.next());
    match (old, new, rest, lines.next()) {
        (Some(old), Some(new), None | Some([]), None) => Ok((checked(old)?, checked(new)?)),
        _ => {
            let message = "stdin has not two lines: the old password, then the new one";
            Err(Failure::new(FailureKind::Usage, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdin_has_two_lines() {
        for bytes in [&b"old\nnew"[..], b"old\nnew\n", b"old\r\nnew\r\n"] {
            let (old, new) = pair(bytes).unwrap();
            assert_eq!((old.as_str(), new.as_str()), ("old", "new"));
        }
        for bad in [
            &b""[..],
            b"old",
            b"old\n",
            b"\nnew",
            b"old\nnew\nmore",
            b"old\nnew\n\n",
            b"old\n\xff",
        ] {
            assert_eq!(pair(bad).unwrap_err().kind, FailureKind::Usage, "{bad:?}");
        }
    }
}
