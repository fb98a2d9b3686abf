//! `menu`: numbers for people who do not want to learn commands. It asks for what a command needs and runs that very
//! command, so that progress, sentences and failures are the same; a failure leads back here. Owns no state: the session
//! is the daemon's.

mod questions;

use std::io::{self, IsTerminal};

use p2p_proto::{
    Failure, FailureKind,
    v1::{StatusRequest, StatusResponse},
};
use questions::Question;

use super::login;
use crate::{
    ask::{Terminal, Wanted},
    cli::Command,
    context::Context,
    exit::{self, Stop},
    output::{host, one_line},
};

const CHOICES: [&str; 7] = [
    "1  Download",
    "2  Upload",
    "3  List",
    "4  Search",
    "5  Status",
    "6  Logout",
    "0  Exit",
];

/// What comes after something was done.
enum Next {
    /// The menu, or the login.
    Again,
    /// The end.
    Exit,
}

/// Shows the menu until it is left.
pub(crate) async fn run(ctx: &Context) -> Result<(), Stop> {
    if ctx.out.is_json() {
        let message = "the menu is for people; it has no JSON";
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("p2pctl --help")
            .into());
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let message = "the menu needs a terminal";
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("p2pctl --help")
            .into());
    }
    let mut menu = Menu {
        terminal: Terminal::open()?,
        first: true,
        directory: None,
    };
    loop {
        let ctx = ctx.again();
        let next = menu.step(&ctx).await;
        if ctx.shall_end() {
            return Err(Stop::Told(FailureKind::Interrupted));
        }
        if let Next::Exit = next? {
            return Ok(());
        }
    }
}

struct Menu {
    terminal: Terminal,
    /// Nothing was done yet.
    first: bool,
    /// The directory that was typed last.
    directory: Option<String>,
}

impl Menu {
    /// One choice or one login.
    async fn step(&mut self, ctx: &Context) -> Result<Next, Stop> {
        let status = ctx.guard(status(ctx)).await;
        let first = std::mem::replace(&mut self.first, false);
        match status {
            Ok(status) if status.session.is_none() => self.log_in(ctx, &status).await,
            Ok(status) => self.choose(ctx, &place(&status)).await,
            Err(stop) if first => Err(stop),
            // It may come back, and whatever is chosen says so until then.
            Err(Stop::Failure(failure)) if failure.kind == FailureKind::DaemonUnreachable => {
                self.choose(ctx, "p2pd is away").await
            }
            Err(stop) => Err(stop),
        }
    }

    /// Asks for all that a login needs.
    async fn log_in(&mut self, ctx: &Context, status: &StatusResponse) -> Result<Next, Stop> {
        self.terminal.say("Not logged in. To leave: Ctrl-D")?;
        let urls = status.directory.iter().flat_map(|directory| &directory.urls);
        let known = self
            .directory
            .clone()
            .or_else(|| urls.map(|url| host_or_url(url)).next());
        let question = match &known {
            Some(known) => format!("Directory [{}]: ", one_line(known)),
            None => "Directory: ".to_owned(),
        };
        let Some(typed) = self.terminal.ask(ctx, &question, Wanted::Text).await? else {
            return Ok(Next::Exit);
        };
        let directory = match (typed.trim(), known) {
            ("", Some(known)) => known,
            ("", None) => return Ok(Next::Again),
            (typed, _) => typed.to_owned(),
        };
        self.directory = Some(directory.clone());
        match login::ask_all(ctx, &mut self.terminal, directory).await {
            Err(Stop::Failure(failure)) if failure.kind == FailureKind::Interrupted => {
                if self.terminal.was_ended() {
                    return Ok(Next::Exit);
                }
                Err(Stop::Failure(failure))
            }
            done => self.told(ctx, done),
        }
    }

    /// Shows the choices, and does what is chosen.
    async fn choose(&mut self, ctx: &Context, place: &str) -> Result<Next, Stop> {
        self.terminal.say(&format!("\n{place}"))?;
        for choice in CHOICES {
            self.terminal.say(&format!("  {choice}"))?;
        }
        let Some(typed) = self.terminal.ask(ctx, "Choose [0-6]: ", Wanted::Text).await? else {
            return Ok(Next::Exit);
        };
        let command = match typed.trim().to_lowercase().as_str() {
            "1" | "download" => return self.download(&ctx.again()).await,
            "2" | "upload" => questions::upload(ctx, &mut self.terminal).await,
            "3" | "list" => Ok(Command::List),
            "4" | "search" => questions::search(ctx, &mut self.terminal).await,
            "5" | "status" => Ok(Command::Status),
            "6" | "logout" => Ok(Command::Logout),
            "0" | "exit" | "quit" | "q" => {
                self.terminal.say("You stay logged in.")?;
                return Ok(Next::Exit);
            }
            "" => return Ok(Next::Again),
            _ => {
                self.terminal.say("Write a number from 0 to 6.")?;
                return Ok(Next::Again);
            }
        };
        match command {
            Ok(command) => {
                // What was typed so far took its time.
                let ctx = ctx.again();
                let done = super::run(&ctx, command).await;
                self.told(&ctx, done)
            }
            Err(question) => self.unanswered(ctx, question),
        }
    }

    /// Downloads, and asks what to do where a command would need another flag.
    async fn download(&mut self, ctx: &Context) -> Result<Next, Stop> {
        let mut args = match questions::download(ctx, &mut self.terminal).await {
            Ok(args) => args,
            Err(question) => return self.unanswered(ctx, question),
        };
        loop {
            let ctx = ctx.again();
            let done = super::run(&ctx, Command::Download(args.clone())).await;
            let kind = match &done {
                Err(Stop::Failure(failure)) => failure.kind,
                _ => return self.told(&ctx, done),
            };
            self.told(&ctx, done)?;
            let again = questions::instead(&ctx, &mut self.terminal, kind, &mut args).await;
            match again {
                Ok(true) => {}
                Ok(false) => return Ok(Next::Again),
                Err(question) => return self.unanswered(&ctx, question),
            }
        }
    }

    /// Says how it went; back to the menu.
    fn told(&self, ctx: &Context, done: Result<(), Stop>) -> Result<Next, Stop> {
        match done {
            Ok(()) => Ok(Next::Again),
            Err(stop) if ctx.shall_end() => Err(stop),
            Err(stop) => {
                exit::report(&stop, &ctx.out);
                Ok(Next::Again)
            }
        }
    }

    /// Ctrl-C and Ctrl-D at a question lead back to the menu.
    fn unanswered(&self, ctx: &Context, question: Question) -> Result<Next, Stop> {
        match question {
            Question::GivenUp => Ok(Next::Again),
            Question::Failed(failure) if failure.kind == FailureKind::Interrupted => match ctx.shall_end() {
                true => Err(Stop::Told(failure.kind)),
                false => Ok(Next::Again),
            },
            Question::Failed(failure) => Err(failure.into()),
        }
    }
}

async fn status(ctx: &Context) -> Result<StatusResponse, Failure> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.status(StatusRequest {}).await;
    Ok(answer.map_err(|status| daemon.failure(status))?.into_inner())
}

/// `gpu3, logged in as ana at dir.lab`.
fn place(status: &StatusResponse) -> String {
    let session = status.session.clone().unwrap_or_default();
    let text = format!(
        "{}, logged in as {} at {}",
        status.peer_name,
        session.user,
        host(&session.directory)
    );
    one_line(&text)
}

/// The host where that means the same.
fn host_or_url(url: &str) -> String {
    let host = host(url);
    match url == format!("https://{host}:7400") {
        true => host,
        false => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_named_as_people_write_it() {
        assert_eq!(host_or_url("https://dir.lab:7400"), "dir.lab");
        assert_eq!(host_or_url("https://127.0.0.1:9000"), "https://127.0.0.1:9000");
    }
}
