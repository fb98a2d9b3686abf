//! What a program does to the terminal it runs on: lines that move and go, colours, and questions that are left by Ctrl-Z.

use std::process::Command;

use p2p_tests::{Answer, Peer, Terminal, World, check, proxy::Proxy, wait};

const SIZE: (u16, u16) = (80, 24);
const MIB: u64 = 1 << 20;
const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
const LONG: &str = "a-rather-long-name-of-a-file-that-nobody-would-type-but-a-program-would.tar.zst";

/// Two peers, and a file that one of them can fetch from the other only in part.
struct Held {
    world: World,
    proxy: Proxy,
    b: Peer,
}

impl Held {
    fn new(name: &str) -> Self {
        let world = World::start(&[]);
        let proxy = Proxy::start();
        let a = world.behind(&proxy, "a");
        let b = world.peer("b", "");
        b.login(&world.directory, &world.ana);
        let (source, _) = world.file("source", 1, 40 * MIB);
        a.json(&["upload", source.to_str().expect("a path"), "--name", name]);
        proxy.gate(8 * MIB);
        let mut world = world;
        world.peers.push(a);
        Self { world, proxy, b }
    }

    /// Ends the transfer, and the connections that brought all they may.
    fn begins_anew(&self, name: &str) {
        let running = self.b.transfer("download", name).expect("a transfer");
        self.b.json(&["cancel", running["id"].as_str().expect("an id")]);
        self.proxy.cut();
    }

    /// Waits until some of it came.
    fn moves(&self, name: &str) {
        wait::until("the download to move", wait::SOON, || {
            let running = self.b.transfer("download", name)?;
            (running["done_bytes"].as_u64()? > 0 && running["state"] == "transferring").then_some(())
        });
    }
}

#[test]
fn progress_is_for_terminals_and_for_who_wants_it() {
    let held = Held::new("scan.tar");
    let b = &held.b;
    for options in [&["--no-progress"][..], &["-q"], &["--json"]] {
        let args = [&["download", "scan.tar"], options].concat();
        let mut terminal = Terminal::start(&b.command(&args), SIZE);
        held.moves("scan.tar");
        terminal.types(CTRL_C);
        let (code, text) = terminal.ends();
        assert_eq!(code, 130, "{text}");
        assert!(!text.contains("MiB of"), "{options:?} {text}");
        let said = if options == ["--json"] {
            "\"message\":\"Stopped waiting;"
        } else {
            "Stopped waiting;"
        };
        // A long line is continued on the next one.
        assert!(text.replace('\n', "").contains(said), "{options:?} {text}");
        held.begins_anew("scan.tar");
    }
    let mut terminal = Terminal::start(&b.command(&["download", "scan.tar"]), SIZE);
    terminal.shows("MiB of 40.0 MiB");
    terminal.types(CTRL_C);
    let (code, text) = terminal.ends();
    assert_eq!(code, 130, "{text}");
    // Nothing is left of the line that moved, nor of the keys.
    assert!(text.starts_with("Stopped waiting; transfer "), "{text}");
    let said = text.replace('\n', "");
    let id = b.transfer("download", "scan.tar").unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        said.contains(&format!("Stopped waiting; transfer {id} goes on (")),
        "{text}"
    );
    assert!(
        said.ends_with("To place the file: p2pctl download scan.tar"),
        "{text}"
    );
    let waiting = b
        .command(&["download", "scan.tar", "--timeout", "1s"])
        .output()
        .unwrap();
    let waiting = Answer {
        code: waiting.status.code().unwrap_or(-1),
        out: waiting.stdout,
        err: String::from_utf8(waiting.stderr).unwrap(),
    };
    assert!(!waiting.err.contains("MiB of"), "{waiting:?}");
    let said = waiting.err.lines().last().unwrap_or_default();
    assert_eq!(waiting.code, 12, "{waiting:?}");
    assert!(
        said.starts_with(&format!("p2pctl: not done within 1 s; transfer {id} goes on (")),
        "{said}"
    );
    held.proxy.gate(u64::MAX);
    assert_eq!(b.ctl(&["download", "scan.tar"]).code, 0);
    assert!(held.world.peers[0].process.id() > 0);
}

#[test]
fn a_long_name_leaves_the_figures_of_what_moves_in_sight() {
    let held = Held::new(LONG);
    let b = &held.b;
    let mut terminal = Terminal::start(&b.command(&["download", LONG]), SIZE);
    held.moves(LONG);
    terminal.shows("MiB of 40.0 MiB");
    let text = terminal.text();
    let line = text
        .lines()
        .find(|line| line.contains("MiB of"))
        .unwrap_or_default();
    assert!(line.contains('…') && line.contains(" %  "), "{text}");
    // It fits the terminal with all its columns in transfers too.
    let (code, table) = Terminal::start(&b.command(&["transfers"]), SIZE).ends();
    assert_eq!(code, 0, "{table}");
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("ID  DIRECTION  NAME") && lines[0].contains("STATE"),
        "{lines:#?}"
    );
    assert!(
        lines[1].contains('…') && lines[1].contains("transferring"),
        "{lines:#?}"
    );
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    let piped = b.ctl(&["transfers"]).text();
    assert!(
        piped.contains(LONG) && piped.lines().next().is_some_and(|head| head.ends_with("WHY")),
        "{piped}"
    );
    terminal.types(CTRL_C);
    assert_eq!(terminal.ends().0, 130);
    let all = b.json(&["transfers"]);
    let one = check::entry(&all["transfers"], "name", LONG).expect("the transfer");
    check::has_fields(one, &["priority", "limit_bytes_per_second"]);
}

#[test]
fn colours_are_for_terminals_and_only_where_they_are_wanted() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let coloured = |args: &[&str], no_color: Option<&str>| {
        let mut command = a.command(args);
        command.env_remove("NO_COLOR");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        let mut terminal = Terminal::start(&command, SIZE);
        terminal.ends();
        terminal.has_colours()
    };
    let wrong = &["info", "nope"][..];
    assert!(coloured(wrong, None));
    assert!(coloured(wrong, Some("")));
    assert!(!coloured(wrong, Some("1")));
    assert!(!coloured(&["info", "nope", "--color", "never"], None));
    assert!(coloured(&["info", "nope", "--color", "always"], Some("1")));
    // What is well has none.
    assert!(!coloured(&["peers"], None));
}

/// The same command on a terminal that obeys nothing.
fn on_a_dumb_terminal(command: &Command) -> Command {
    let mut dumb = Command::new("env");
    dumb.arg("TERM=dumb")
        .arg(command.get_program())
        .args(command.get_args());
    dumb.current_dir(command.get_current_dir().expect("a folder"));
    dumb
}

#[test]
fn a_dumb_terminal_is_sent_text_alone() {
    let held = Held::new("数据集.bin");
    let b = &held.b;
    let mut terminal = Terminal::start(&on_a_dumb_terminal(&b.command(&["download", "数据集.bin"])), SIZE);
    held.moves("数据集.bin");
    terminal.types(CTRL_C);
    let (code, text) = terminal.ends();
    assert_eq!(code, 130, "{text}");
    assert!(!text.contains("MiB of"), "{text}");
    assert!(!terminal.written().contains('\u{1b}'), "{:?}", terminal.written());
    for args in [&["search"][..], &["transfers"], &["info", "nope"], &["upload"]] {
        let mut terminal = Terminal::start(&on_a_dumb_terminal(&b.command(args)), SIZE);
        let (_, text) = terminal.ends();
        assert!(!text.is_empty(), "{args:?}");
        assert!(
            !terminal.written().contains('\u{1b}'),
            "{args:?} {:?}",
            terminal.written()
        );
    }
    // A question that is answered with a mistake in it.
    let mut terminal = Terminal::start(&on_a_dumb_terminal(&b.command(&["menu"])), SIZE);
    terminal.shows("Choose [0-6]:");
    terminal.types("7\x7f0\n");
    let (code, text) = terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert!(!terminal.written().contains('\u{1b}'), "{:?}", terminal.written());
}

#[test]
fn a_question_that_is_stopped_gives_the_terminal_back_and_is_asked_again() {
    let world = World::start(&[]);
    let a = world.peer("a", "");
    let (url, fingerprint) = (&world.directory.url, &world.directory.fingerprint);
    let login = a.command(&[
        "login",
        "--directory",
        url,
        "--user",
        "ana",
        "--ca-fingerprint",
        fingerprint,
    ]);
    let words: Vec<_> = std::iter::once(login.get_program())
        .chain(login.get_args())
        .collect();
    let words = words.join(std::ffi::OsStr::new(" "));
    let mut shell = Command::new("sh");
    shell
        .args(["-i", "-m"])
        .env("LOGIN", words)
        .env("PS1", "> ")
        .current_dir(&a.folder);
    let mut terminal = Terminal::start(&shell, SIZE);
    terminal.types("$LOGIN; echo ended with $?\n");
    terminal.shows("Password:");
    terminal.types("half of it\x15");
    terminal.types(CTRL_Z);
    terminal.shows("Stopped");
    // As it was before; and then as a shell leaves it that has a line of its own.
    terminal.types("stty -a | tr ' ;' '\\n\\n' | grep -cxE 'icanon|echo|\\^Z'; stty sane\n");
    terminal.shows("\n3\n");
    terminal.types("fg\n");
    let again = wait::often(wait::SOON, || {
        (terminal.text().matches("Password:").count() == 2).then_some(())
    });
    assert!(again.is_some(), "{}", terminal.text());
    terminal.types(&format!("{}\n", world.ana.password));
    terminal.shows("Logged in as ana on a until ");
    assert!(
        !terminal.text().contains(&world.ana.password),
        "{}",
        terminal.text()
    );
    terminal.types("stty -a | tr ' ;' '\\n\\n' | grep -cxE 'icanon|echo|\\^Z'; exit 7\n");
    let (code, text) = terminal.ends();
    let found = text.lines().filter(|line| *line == "3").count();
    assert_eq!((code, found), (7, 2), "{text}");
}
