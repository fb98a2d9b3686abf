//! The menu, as a person at a terminal of 80 columns meets it: numbers, questions, Ctrl-C and Ctrl-D.

use std::{fs, process::Command};

use p2p_tests::{Peer, Terminal, World, check, data, proxy::Proxy, wait};

const SIZE: (u16, u16) = (80, 24);
const MIB: u64 = 1 << 20;
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

/// A menu that is driven.
struct Menu {
    terminal: Terminal,
    /// So many choices were made.
    chosen: usize,
}

impl Menu {
    fn open(command: &Command) -> Self {
        Self {
            terminal: Terminal::start(command, SIZE),
            chosen: 0,
        }
    }

    /// Waits for the menu to come (again), and chooses.
    fn chooses(&mut self, choice: &str) {
        self.is_back();
        self.types(choice);
    }

    fn is_back(&mut self) {
        self.chosen += 1;
        let asked = wait::often(wait::SOON, || {
            let asked = self.terminal.text().matches("Choose [0-6]:").count();
            (asked >= self.chosen).then_some(())
        });
        assert!(
            asked.is_some(),
            "the menu did not come:\n{}",
            self.terminal.text()
        );
    }

    /// Types a line at a question that is there.
    fn answers(&mut self, question: &str, answer: &str) {
        self.terminal.shows(question);
        self.types(answer);
    }

    fn types(&mut self, line: &str) {
        self.terminal.types(&format!("{line}\n"));
    }

    /// What is shown, without the breaks that the terminal made.
    fn unbroken(&self) -> String {
        self.terminal.text().replace('\n', "")
    }
}

#[test]
fn a_person_logs_in_uploads_lists_searches_and_logs_out() {
    let world = World::start(&["b"]);
    let a = world.peer("a", "");
    let (source, _) = world.file("two words.tar", 1, 300_000);
    let mut menu = Menu::open(&a.command(&["menu"]));
    menu.answers("Directory", &world.directory.url);
    menu.terminal.shows("Same as your administrator gave you? [y/N]");
    let shown = format!("127.0.0.1 shows CA {}", world.directory.fingerprint);
    assert!(menu.unbroken().contains(&shown), "{}", menu.terminal.text());
    menu.types("y");
    menu.answers("User [", "ana");
    menu.answers("Password:", &world.ana.password);
    menu.terminal.shows("Logged in as ana on a until ");
    menu.terminal.shows("a, logged in as ana at 127.0.0.1");

    menu.chooses("2");
    menu.answers("File:", &format!("'{}'", source.display()));
    menu.answers("Copies [2]:", "many");
    menu.answers("Write a number from 1 to 64.", "");
    menu.terminal.shows("2 of 2 copies durable (a, b).");
    menu.chooses("3");
    menu.terminal.shows("VISIBILITY");
    menu.chooses("4");
    menu.answers("Part of the name [all]:", "words");
    menu.terminal.shows("HOLDERS");
    menu.chooses("5");
    menu.terminal.shows("# Health");
    menu.chooses("9");
    menu.terminal.shows("Write a number from 0 to 6.");
    menu.chooses("6");
    menu.terminal.shows("Logged out");
    let again = wait::often(wait::SOON, || {
        let asked = menu.terminal.text().matches("Directory").count();
        (asked == 2).then_some(())
    });
    assert!(again.is_some(), "{}", menu.terminal.text());
    menu.terminal.types(CTRL_D);
    let (code, text) = menu.terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains(&world.ana.password), "{text}");
    assert_eq!(a.fails(4, &["whoami"])["kind"], "not_logged_in");
    assert_eq!(
        world.peers[0].json(&["info", "two words.tar"])["name"],
        "two words.tar"
    );
}

#[test]
fn a_wrong_password_leads_back_and_the_session_stays_after_exit() {
    let world = World::start(&[]);
    let a = world.peer("a", "");
    // Without a command it is the menu.
    let mut menu = Menu::open(&a.command(&[]));
    menu.answers("Directory", &world.directory.url);
    menu.answers("[y/N]", "y");
    menu.answers("User [", "ana");
    menu.answers("Password:", "not ana's password");
    menu.terminal
        .shows("p2pctl: 127.0.0.1 refused the user name or password. Next try in ");
    // What was typed is offered; the CA was never trusted, so it is asked for again.
    menu.answers("Directory [https://127.0.0.1:", "");
    let asked = |what: &str, count| {
        let there = wait::often(wait::SOON, || {
            (menu.terminal.text().matches(what).count() == count).then_some(())
        });
        assert!(there.is_some(), "{what}:\n{}", menu.terminal.text());
    };
    asked("[y/N]", 2);
    drop(menu);

    // Whoever guessed wrong has to wait a little.
    wait::until("the next try", wait::SOON, || {
        let directory = &world.directory;
        let answer = a.try_login(&directory.url, &directory.fingerprint, &world.ana);
        (answer.code == 0).then_some(())
    });
    let mut menu = Menu::open(&a.command(&["menu"]));
    menu.chooses("0");
    let (code, text) = menu.terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with("You stay logged in."), "{text}");
    assert_eq!(a.json(&["whoami"])["user"], "ana");
    // Ctrl-D at the menu ends it as well, Ctrl-C is an interruption.
    for (key, expected) in [(CTRL_D, 0), (CTRL_C, 130)] {
        let mut menu = Menu::open(&a.command(&["menu"]));
        menu.is_back();
        menu.terminal.types(key);
        assert_eq!(menu.terminal.ends().0, expected);
    }
    assert_eq!(a.json(&["whoami"])["user"], "ana");
}

#[test]
fn a_failure_and_an_interruption_lead_back_to_the_menu() {
    let world = World::start(&[]);
    let proxy = Proxy::start();
    let a = world.behind(&proxy, "a");
    let b = world.peer("b", "");
    b.login(&world.directory, &world.ana);
    let (source, hash) = world.file("scan.tar", 1, 40 * MIB);
    a.upload(&source);
    proxy.gate(8 * MIB);
    let home = world.path("home");
    fs::create_dir(&home).unwrap();
    let mut command = b.command(&["menu"]);
    command.env("HOME", &home);
    let mut menu = Menu::open(&command);

    menu.chooses("1");
    menu.answers("Name or hash:", "nope");
    menu.answers("Where to [", "");
    menu.terminal
        .shows("p2pctl: no file \"nope\" is visible to ana. Try: p2pctl search nope");

    menu.chooses("1");
    menu.is_asked("Name or hash:", 2);
    menu.types("scan.tar");
    menu.is_asked("Where to [", 2);
    menu.types("~");
    menu.terminal.shows("MiB of 40.0 MiB");
    menu.terminal.types(CTRL_C);
    menu.terminal.shows("Stopped waiting; transfer ");
    menu.is_back();
    let said = menu.unbroken();
    assert!(said.contains(" goes on ("), "{said}");
    let again = format!(
        "To place the file: p2pctl download scan.tar -o {}",
        home.display()
    );
    assert!(said.contains(&again), "{said}");
    let running = b.transfer("download", "scan.tar").expect("a transfer");
    assert_ne!(running["state"], "failed");

    // Again, by its number, to the end.
    proxy.gate(u64::MAX);
    menu.types("1");
    menu.is_asked("Name or hash:", 3);
    menu.types("scan.tar");
    menu.is_asked("Where to [", 3);
    menu.types("~/");
    menu.terminal.shows("100 %");
    menu.is_back();
    assert!(menu.unbroken().contains("verified"), "{}", menu.terminal.text());
    assert_eq!(data::hash_of(&home.join("scan.tar")), hash);
    menu.types("0");
    assert_eq!(menu.terminal.ends().0, 0);
}

impl Menu {
    /// Waits until this was asked so many times.
    fn is_asked(&self, question: &str, times: usize) {
        let asked = wait::often(wait::SOON, || {
            (self.terminal.text().matches(question).count() >= times).then_some(())
        });
        assert!(asked.is_some(), "{question}:\n{}", self.terminal.text());
    }
}

#[test]
fn paths_are_completed_and_what_is_there_is_asked_about() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let folder = world.path("some folder");
    fs::create_dir(&folder).unwrap();
    let hash = data::file(&folder.join("数据 one.tar"), 1, 3000);
    data::file(&folder.join("other.tar"), 2, 3000);
    let mut command = a.command(&["menu"]);
    command.current_dir(world.folder.path());
    let mut menu = Menu::open(&command);

    menu.chooses("2");
    menu.terminal.shows("File:");
    // The folder, then a choice of two, then one of them.
    menu.terminal.types("some\t\t");
    menu.terminal.shows("  other.tar");
    menu.terminal.shows("File: some folder/");
    menu.terminal.types("数\t");
    menu.terminal.shows("File: some folder/数据 one.tar");
    menu.types("");
    menu.answers("Copies [2]:", "1");
    menu.terminal.shows("1 of 1 copies durable (a).");

    fs::write(world.path("数据 one.tar"), "mine").unwrap();
    menu.chooses("1");
    menu.answers("Name or hash:", "数据 one.tar");
    menu.answers("Where to [", "");
    menu.answers("Overwrite it, or rename the new one? [o/r/N]", "r");
    menu.is_back();
    assert_eq!(fs::read(world.path("数据 one.tar")).unwrap(), b"mine");
    assert_eq!(data::hash_of(&world.path("数据 one (1).tar")), hash);
    // Ctrl-C and Ctrl-D at a question only leave the question.
    for key in [CTRL_C, CTRL_D] {
        menu.types("1");
        menu.terminal.shows("Name or hash:");
        menu.is_asked("Name or hash:", menu.chosen - 1);
        menu.terminal.types(key);
        menu.is_back();
    }
    menu.types("0");
    assert_eq!(menu.terminal.ends().0, 0);
}

#[test]
fn a_daemon_that_goes_away_does_not_end_the_menu() {
    let mut world = World::start(&["a"]);
    let a = &mut world.peers[0];
    let mut menu = Menu::open(&a.command(&["menu"]));
    menu.is_back();
    a.process.stop();
    menu.types("3");
    menu.is_back();
    let said = menu.unbroken();
    assert_eq!(said.matches("no such file. Is it running?").count(), 1, "{said}");
    assert!(said.contains("p2pd is away"), "{said}");
    a.restart();
    menu.types("3");
    menu.terminal.shows("This peer holds no file.");
    menu.chooses("0");
    assert_eq!(menu.terminal.ends().0, 0);
    // Where there is none at the beginning there is nothing to choose.
    a.process.stop();
    let (code, text) = Menu::open(&a.command(&["menu"])).terminal.ends();
    assert_eq!(code, 3, "{text}");
}

#[test]
fn the_menu_is_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(&folder.path().join("a"), "a", "");
    assert_eq!(peer.fails(2, &["menu"])["kind"], "usage");
    assert_eq!(
        peer.says(2, &["menu"]),
        "p2pctl: the menu needs a terminal. Try: p2pctl --help"
    );
    let mut command = peer.command(&["menu", "--json"]);
    command.current_dir("/");
    let (code, text) = Terminal::start(&command, SIZE).ends();
    assert_eq!(code, 2, "{text}");
    assert!(text.starts_with("{\"schema\":\"p2pctl.error/1\""), "{text}");
}

#[test]
fn login_asks_for_what_is_missing_and_shows_no_password() {
    let world = World::start(&[]);
    let a = world.peer("a", "");
    let command = a.command(&["login", "--user", "ana"]);
    let mut terminal = Terminal::start(&command, SIZE);
    terminal.shows("Directory:");
    terminal.types(&format!("{}\n", world.directory.url));
    terminal.shows("[y/N]");
    terminal.types("n\n");
    let (code, text) = terminal.ends();
    assert_eq!(code, 13, "{text}");
    assert!(text.contains("Nothing was sent"), "{text}");
    // An interruption at the password puts the terminal back: the shell's own echo is there again.
    let tool = a.command(&[]);
    let socket = a.socket();
    let mut shell = Command::new("sh");
    let script = format!(
        "{} --socket {} login --user ana --directory {}; echo \"code $?\"; read line; echo \"heard $line\"",
        tool.get_program().display(),
        socket.display(),
        world.directory.url
    );
    // The shell itself is not to be ended by the key.
    shell.args(["-c", &format!("trap : INT; {script}")]);
    let mut terminal = Terminal::start(&shell, SIZE);
    terminal.shows("[y/N]");
    terminal.types("y\n");
    terminal.shows("Password:");
    terminal.types("half a pass\x03");
    terminal.shows("code 130");
    terminal.types("echoed\n");
    let (_, text) = terminal.ends();
    assert!(text.contains("heard echoed"), "{text}");
    assert_eq!(text.matches("echoed").count(), 2, "{text}");
    assert!(!text.contains("half"), "{text}");
    check::has_fields(&a.json(&["status"]), &["session"]);
    assert_eq!(a.json(&["status"])["session"]["logged_in"], false);
    let command = a.command(&["login", "--user", "ana", "--directory", &world.directory.url]);
    let mut terminal = Terminal::start(&command, SIZE);
    terminal.shows("[y/N]");
    // Typed ahead, a slip mended, all at once.
    terminal.types(&format!("y\nx\x7f{}\n", world.ana.password));
    let (code, text) = terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Logged in as ana on a until "), "{text}");
    assert!(!text.contains(&world.ana.password), "{text}");
}

#[test]
fn a_password_is_changed_at_the_terminal() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let changes = |old: &str, new: &str, again: &str| {
        let mut terminal = Terminal::start(&a.command(&["passwd"]), SIZE);
        for (question, answer) in [
            ("Old password:", old),
            ("New password:", new),
            ("New password again:", again),
        ] {
            terminal.shows(question);
            terminal.types(&format!("{answer}\n"));
        }
        let (code, text) = terminal.ends();
        assert!(!text.contains(old) && !text.contains(new), "{text}");
        (code, text)
    };
    let old = world.ana.password.as_str();
    let new = "plum-orbit-lark-42-fern";
    let (code, text) = changes(old, new, "another one");
    assert_eq!(code, 2, "{text}");
    assert!(
        text.ends_with("p2pctl: the new passwords differ. Nothing was changed"),
        "{text}"
    );
    let (code, text) = changes(old, new, new);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.replace('\n', "")
            .contains("Changed the password of ana. Peers that are logged in stay so."),
        "{text}"
    );
    assert_eq!(a.json(&["whoami"])["user"], "ana");
    let account = p2p_tests::Account {
        name: "ana".into(),
        password: new.into(),
    };
    a.login(&world.directory, &account);
    let refused = a.ctl_with(&["passwd", "--password-stdin"], b"only one line");
    assert!(refused.says(2).contains("stdin has not two lines"), "{refused:?}");
}
