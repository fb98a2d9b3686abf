//! Each exit code and each exact sentence that is promised, provoked through the real programs. Each has one home: many
//! are told in other stories, and [`HOMES`] says where; those that are not are here, and so are the promised sentences
//! with every default in place, on machines of their own.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use p2p_proto::FailureKind as Kind;
use p2p_tests::{
    World,
    lab::{Lab, Machine},
    normal,
    proxy::Proxy,
    wait,
};
use rustix::process::{Pid, Signal, kill_process};

/// Of each kind of failure the test that provokes it, as `file::function` in this folder.
const HOMES: [(Kind, &str); 17] = [
    (Kind::Internal, "exit_codes.rs::nobody_who_reads_is_1_and_quiet"),
    (Kind::Usage, "wrong_things.rs::wrong_usage_needs_no_daemon"),
    (
        Kind::DaemonUnreachable,
        "wrong_socket.rs::a_daemon_that_does_not_run_is_named_with_its_socket",
    ),
    (
        Kind::NotLoggedIn,
        "wrong_login.rs::without_a_session_every_verb_says_so",
    ),
    (
        Kind::CredentialsRefused,
        "wrong_login.rs::a_wrong_password_is_refused_with_the_time_of_the_next_try",
    ),
    (
        Kind::NotPermitted,
        "holders.rs::rm_drops_a_copy_and_the_last_one_only_by_force",
    ),
    (Kind::NotFound, "wrong_things.rs::an_unknown_name_is_not_found"),
    (
        Kind::NoHolderOnline,
        "wrong_things.rs::with_no_holder_online_it_says_so_and_can_wait",
    ),
    (
        Kind::Unreachable,
        "wrong_login.rs::a_directory_that_is_away_is_unreachable",
    ),
    (
        Kind::DiskFull,
        "wrong_things.rs::a_disk_that_is_too_small_is_known_before_the_first_byte",
    ),
    (Kind::HashMismatch, "exit_codes.rs::what_stays_damaged_is_10"),
    (
        Kind::OutputExists,
        "wrong_things.rs::an_output_that_exists_is_left_alone",
    ),
    (
        Kind::Ambiguous,
        "wrong_things.rs::an_ambiguous_prefix_lists_its_candidates",
    ),
    (
        Kind::TimedOut,
        "exit_codes.rs::who_stops_waiting_hears_that_it_goes_on",
    ),
    (
        Kind::Partial,
        "copies.rs::fewer_copies_than_asked_is_12_and_names_who_has_none",
    ),
    (
        Kind::IdentityMismatch,
        "wrong_login.rs::another_fingerprint_is_another_directory",
    ),
    (
        Kind::Interrupted,
        "exit_codes.rs::who_stops_waiting_hears_that_it_goes_on",
    ),
];

/// The promised exit codes; there are no others but 0.
const CODES: [u8; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 130];

/// The promised sentences, with the figures they are promised with.
const NO_SOCKET: &str = "cannot reach p2pd at SOCK: no such file. Is it running? sudo systemctl start p2pd";
const NOT_IN_GROUP: &str = "cannot reach p2pd at SOCK: permission denied. ana is not in group p2pd: sudo usermod -aG p2pd ana, then log in again (or: newgrp p2pd)";
const REFUSED: &str = "dir.lab refused the user name or password. Next try in 2 s.";
const NO_HOLDER: &str = "scan.tar: 0 of 3 holders online (last gpu2, 18:04). To wait: --wait";
const OTHER_NAMES: &str = "dir.lab's certificate names [dir, 10.0.0.4]: add dir.lab to api.names, then systemctl reload p2p-directory";
const TOO_LARGE: &str =
    "scan.tar needs 4.1 GiB in /var/lib/p2pd; 1.2 GiB usable. Use --no-keep or set store.path";
const LAST_COPY: &str =
    "only known copy of ana/scan.tar@1: p2pctl replicate scan.tar --copies 2, or rm --force";
const OTHER_CA: &str = "dir.lab shows CA sha256:AB…, expected sha256:CD…. Nothing was sent.";
const GOES_ON: &str =
    "Stopped waiting; transfer 42 goes on (61 %). To place the file: p2pctl download scan.tar -o /data/";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn each_kind_has_its_code_and_a_test() {
    let known: BTreeSet<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
    assert_eq!(known, CODES.into());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for kind in Kind::ALL {
        let homes: Vec<&str> = HOMES
            .iter()
            .filter(|home| home.0 == kind)
            .map(|home| home.1)
            .collect();
        assert!(!homes.is_empty(), "{kind} has no test");
        for home in homes {
            let (file, function) = home.split_once("::").expect("file::function");
            let source =
                fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(
                source.contains(&format!("#[test]\nfn {function}()")),
                "{home} is no test"
            );
        }
    }
}

/// What ana types there must fail with this code and sentence, and nothing else is said.
fn says(machine: &Machine, code: i32, command: &str, sentence: &str) {
    let output = machine
        .command("ana", command)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command}: {said}");
    assert!(output.stdout.is_empty(), "{output:?}");
    normal::same(
        &said,
        &format!("p2pctl: {}\n", sentence.replace("SOCK", "/run/p2pd/control.sock")),
    );
}

/// The same to the letter.
fn says_exactly(machine: &Machine, code: i32, command: &str, sentence: &str) {
    let output = machine.command("ana", command).stdin(Stdio::null()).output();
    let output = output.expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), &*said),
        (Some(code), &*format!("p2pctl: {sentence}\n"))
    );
}

fn write(machine: &Machine, path: &str, text: &str) {
    fs::write(machine.path(path), text).expect("a file");
}

fn installed(machine: &Machine) {
    machine.runs(
        "root",
        "apt install ./p2pd_0.1.0_amd64.deb && usermod -aG p2pd ana",
    );
}

const LOGIN: &str = "p2pctl login --directory dir.lab --trust-on-first-use --password-file password";

/// What an administrator meets who puts up the first machine.
fn until_logged_in(lab: &Lab, password: &str) {
    let (dir, ws1) = (lab.machine("dir"), lab.machine("ws1"));
    says(ws1, 3, "p2pctl status", NO_SOCKET);
    ws1.runs("root", "apt install ./p2pd_0.1.0_amd64.deb");
    says(ws1, 3, "p2pctl status", NOT_IN_GROUP);
    ws1.runs("root", "usermod -aG p2pd ana");
    write(ws1, "/home/ana/password", password);
    let other_names = OTHER_NAMES.replace("10.0.0.4", "10.74.0.1");
    says(ws1, 8, LOGIN, &other_names);
    write(
        dir,
        "/etc/p2p-directory/p2p-directory.toml",
        "[api]\nnames = [\"dir.lab\"]\n",
    );
    dir.runs("root", "kill -HUP $(pidof p2p-directory)");
    wait::until("the new certificate", wait::SOON, || {
        let fingerprint = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let command = format!(
            "p2pctl login --directory dir.lab --ca-fingerprint {fingerprint} --password-file password"
        );
        let output = ws1.command("ana", &command).output().expect("a shell");
        if output.status.code() == Some(8) {
            return None;
        }
        says(ws1, 13, &command, OTHER_CA);
        let true_one = dir
            .command("root", "p2p-directory ca-fingerprint")
            .output()
            .expect("a shell");
        let true_one = String::from_utf8_lossy(&true_one.stdout);
        let sentence = OTHER_CA
            .replace("sha256:AB…", true_one.trim())
            .replace("sha256:CD…", &fingerprint);
        says_exactly(ws1, 13, &command, &sentence);
        Some(())
    });
    write(ws1, "/home/ana/password", "not hers");
    says(ws1, 4, LOGIN, REFUSED);
    write(ws1, "/home/ana/password", password);
    wait::until("the next try", wait::SOON, || {
        let output = ws1.command("ana", LOGIN).output().expect("a shell");
        output.status.success().then_some(())
    });
}

#[test]
fn each_promised_sentence_is_said_with_every_default() {
    let Some(lab) = Lab::start(&["dir", "ws1", "gpu1", "gpu2", "gpu3"]) else {
        return;
    };
    let dir = lab.machine("dir");
    write(
        dir,
        "/etc/p2p-directory/p2p-directory.toml",
        "[api]\nnames = [\"dir\", \"10.74.0.1\"]\n",
    );
    dir.runs("root", "apt install ./p2p-directory_0.1.0_amd64.deb");
    let password = "a password of her own";
    let add = format!("echo '{password}' | p2p-directory admin user add ana --password-stdin");
    dir.runs("root", &add);
    until_logged_in(&lab, password);

    let ws1 = lab.machine("ws1");
    ws1.runs(
        "ana",
        "head -c 3000000 /dev/urandom >scan.tar && p2pctl upload scan.tar",
    );
    says(ws1, 5, "p2pctl rm scan.tar", LAST_COPY);
    let gpu3 = lab.machine("gpu3");
    write(gpu3, "/etc/p2pd/p2pd.toml", "[store]\nmax_size = \"1MiB\"\n");
    for name in ["gpu1", "gpu2", "gpu3"] {
        let gpu = lab.machine(name);
        installed(gpu);
        write(gpu, "/home/ana/password", password);
        gpu.runs("ana", LOGIN);
    }
    says(
        gpu3,
        9,
        "p2pctl download scan.tar",
        &TOO_LARGE.replace("/var/lib/p2pd;", "/var/lib/p2pd/store;"),
    );
    says_exactly(
        gpu3,
        9,
        "p2pctl download scan.tar",
        "scan.tar needs 2.9 MiB in /var/lib/p2pd/store; 1.0 MiB usable. Use --no-keep or set store.path",
    );
    for name in ["gpu1", "gpu2"] {
        lab.machine(name).runs("ana", "p2pctl fetch scan.tar");
    }
    for name in ["ws1", "gpu1", "gpu2"] {
        let stop = "kill $(pidof p2pd); while pidof p2pd >/dev/null; do :; done";
        lab.machine(name).runs("root", stop);
    }
    says(gpu3, 7, "p2pctl download scan.tar", NO_HOLDER);
}

/// A download that stands still in its middle.
struct Halfway {
    world: World,
    proxy: Proxy,
    folder: PathBuf,
}

impl Halfway {
    fn start() -> Self {
        let mut world = World::start(&[]);
        let proxy = Proxy::start();
        let a = world.behind(&proxy, "a");
        let (source, _) = world.file("scan.tar", 1, 24 << 20);
        a.upload(&source);
        let b = world.peer("b", "");
        b.login(&world.directory, &world.ana);
        world.peers = vec![a, b];
        let folder = world.path("data");
        fs::create_dir(&folder).expect("a folder");
        proxy.gate(12 << 20);
        Self { world, proxy, folder }
    }

    /// Downloads, and does this to p2pctl when the file is half here; the exit code and what it said.
    fn stopped(&self, more: &[&str], stop: impl FnOnce(u32)) -> (Option<i32>, String) {
        let b = &self.world.peers[1];
        let output = format!("{}/", text(&self.folder));
        let args = [&["download", "scan.tar", "-o", &output], more].concat();
        let download = b.command(&args).spawn().expect("p2pctl");
        wait::until("half of it", wait::SOON, || {
            let transfer = b.transfer("download", "scan.tar")?;
            (transfer["done_bytes"].as_u64()? >= 4 << 20).then_some(())
        });
        stop(download.id());
        let output = download.wait_with_output().expect("p2pctl");
        assert!(output.stdout.is_empty(), "{output:?}");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    fn goes_on(&self) -> String {
        GOES_ON.replace("/data/", &format!("{}/", text(&self.folder)))
    }
}

#[test]
fn who_stops_waiting_hears_that_it_goes_on() {
    let halfway = Halfway::start();
    let interrupt = |id: u32| {
        let id = Pid::from_raw(id.cast_signed()).expect("a process");
        kill_process(id, Signal::INT).expect("a running program");
    };
    let (code, said) = halfway.stopped(&[], interrupt);
    assert_eq!(code, Some(130), "{said}");
    normal::same(&said, &halfway.goes_on());
    let (code, said) = halfway.stopped(&["--timeout", "3s"], |_| {});
    assert_eq!(code, Some(12), "{said}");
    let expected = halfway
        .goes_on()
        .replace("Stopped waiting", "p2pctl: not done within 3 s");
    normal::same(&said, &expected);
    // As it said.
    halfway.proxy.gate(u64::MAX);
    let b = &halfway.world.peers[1];
    b.until_download("scan.tar", "done", wait::SOON);
    let output = format!("{}/", text(&halfway.folder));
    b.json(&["download", "scan.tar", "-o", &output]);
    assert!(halfway.folder.join("scan.tar").exists());
}

#[test]
fn what_stays_damaged_is_10() {
    let world = World::start(&["a"]);
    let a = &world.peers[0];
    let (source, _) = world.file("scan.tar", 1, 200_000);
    a.upload(&source);
    let content = a
        .stored()
        .into_iter()
        .max_by_key(|path| fs::metadata(path).map(|file| file.len()).unwrap_or_default());
    fs::write(content.expect("a stored content"), vec![0; 200_000]).expect("a stored content");
    let said = a.says_last(10, &["verify"]);
    assert_eq!(
        said,
        "p2pctl: 1 file stays damaged and is not served. Once another peer has the content: p2pctl verify"
    );
}

#[test]
fn nobody_who_reads_is_1_and_quiet() {
    let world = World::start(&["a"]);
    let mut list: Command = world.peers[0].command(&["status"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = list.stdout(writer).spawn().expect("p2pctl");
    let mut said = String::new();
    let mut errors = child.stderr.take().expect("a pipe");
    errors.read_to_string(&mut said).expect("text");
    let code = child.wait().expect("p2pctl").code();
    assert_eq!((code, said.as_str()), (Some(1), ""));
}
