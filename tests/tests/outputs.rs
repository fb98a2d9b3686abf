//! Where a download lands: whose the file is, what happens when something is there, and what stays in the store.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use p2p_tests::{
    World,
    check::{has_schema, not_tested},
    data, wait,
};
use serde_json::json;

const SIZE: u64 = 3 * (1 << 20) + 5;
/// An unprivileged user and group: nobody.
const NOBODY: u32 = 65_534;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The names of everything in a folder, hidden or not.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("a folder").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Two peers, a file on the first, and a folder to download into.
fn with_a_file() -> (World, String, PathBuf) {
    let world = World::start(&["a", "b"]);
    let (source, hash) = world.file("scan.tar", 1, SIZE);
    world.peers[0].upload(&source);
    let folder = world.path("out");
    fs::create_dir(&folder).expect("a folder");
    (world, hash, folder)
}

#[test]
fn the_mode_of_an_output_is_what_the_umask_leaves() {
    let (world, hash, folder) = with_a_file();
    for (umask, mode) in [("022", 0o644), ("027", 0o640), ("077", 0o600), ("000", 0o666)] {
        for keep in [&[][..], &["--no-keep"]] {
            let output = folder.join(format!("{umask}{}", keep.len()));
            let tool = world.peers[1].command(&["download", "scan.tar", "-o", text(&output)]);
            let mut shell = Command::new("sh");
            shell.args(["-c", "umask \"$0\"; exec \"$@\"", umask]);
            shell.arg(tool.get_program()).args(tool.get_args()).args(keep);
            let done = shell.stdin(Stdio::null()).output().unwrap();
            assert!(done.status.success(), "{done:?}");
            let found = fs::metadata(&output).unwrap();
            assert_eq!(found.permissions().mode() & 0o7777, mode, "umask {umask}");
            assert_eq!(found.uid(), rustix::process::geteuid().as_raw());
            assert_eq!(data::hash_of(&output), hash);
        }
    }
}

#[test]
fn an_output_belongs_to_the_one_who_asked_for_it() {
    if !rustix::process::geteuid().is_root() {
        not_tested("only root can run p2pctl as another user than the daemon's");
        return;
    }
    let (world, hash, folder) = with_a_file();
    let b = &world.peers[1];
    for open in [world.folder.path(), &b.folder, &b.folder.join("run")] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for socket in names(&b.folder.join("run")) {
        let socket = b.folder.join("run").join(socket);
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
    }
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let output = folder.join("mine");
    let mut tool = b.command(&["download", "scan.tar", "-o", text(&output)]);
    let done = tool.uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let found = fs::metadata(&output).unwrap();
    assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY));
    assert_eq!(data::hash_of(&output), hash);
}

#[test]
fn what_is_there_stays_unless_it_is_to_go() {
    let (world, hash, folder) = with_a_file();
    let b = &world.peers[1];
    let output = folder.join("scan.tar");
    let download = |on_conflict| {
        [
            "download",
            "scan.tar",
            "-o",
            text(&folder),
            "--on-conflict",
            on_conflict,
        ]
    };
    fs::write(&output, "mine").unwrap();

    for args in [
        &["download", "scan.tar", "-o", text(&folder)][..],
        &download("fail"),
    ] {
        assert_eq!(b.fails(11, args)["kind"], "output_exists");
    }
    let skipped = b.json(&download("skip"));
    assert_eq!(
        (&skipped["skipped"], &skipped["path"]),
        (&json!(true), &json!(text(&output)))
    );
    // Neither fetched anything.
    assert_eq!(b.json(&["list"])["files"], json!([]));

    let renamed = b.json(&download("rename"));
    let other = PathBuf::from(renamed["path"].as_str().unwrap());
    assert_ne!(other, output);
    assert_eq!(
        (other.parent(), renamed["skipped"].as_bool()),
        (Some(&*folder), Some(false))
    );
    assert_eq!(data::hash_of(&other), hash);
    assert_eq!(fs::read(&output).unwrap(), b"mine");

    let overwritten = b.json(&download("overwrite"));
    assert_eq!(overwritten["skipped"], false);
    assert_eq!(data::hash_of(&output), hash);
    assert_eq!(names(&folder).len(), 2, "{:?}", names(&folder));
}

#[test]
fn an_output_that_has_the_content_is_success() {
    let (world, _, folder) = with_a_file();
    let b = &world.peers[1];
    let args = ["download", "scan.tar", "-o", text(&folder)];
    assert_eq!(b.json(&args)["skipped"], false);
    let before = fs::metadata(folder.join("scan.tar")).unwrap();
    for on_conflict in ["fail", "skip", "overwrite", "rename"] {
        let done = b.json(&[&args[..], &["--on-conflict", on_conflict]].concat());
        has_schema(&done, "download");
        assert_eq!(done["skipped"], true, "{on_conflict}");
        assert_eq!(done["sources"], json!([]));
    }
    let after = fs::metadata(folder.join("scan.tar")).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
    assert_eq!(names(&folder), ["scan.tar"]);
}

#[test]
fn no_keep_leaves_nothing_in_the_store() {
    let (world, hash, folder) = with_a_file();
    let [a, b] = &world.peers[..] else { unreachable!() };
    let done = b.json(&["download", "scan.tar", "-o", text(&folder), "--no-keep"]);
    assert_eq!(done["hash"], hash);
    assert_eq!(data::hash_of(&folder.join("scan.tar")), hash);
    let piped = b.ctl(&["download", "scan.tar", "-o", "-", "--no-keep"]);
    assert_eq!((piped.code, blake3::hash(&piped.out).to_string()), (0, hash));
    wait::until("the store to let go", wait::SOON, || {
        b.stored().is_empty().then_some(())
    });
    assert_eq!(b.json(&["list"])["files"], json!([]));
    assert_eq!(
        a.json(&["info", "scan.tar"])["holders"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn what_failed_downloads_were_given_is_closed() {
    let (mut world, _, folder) = with_a_file();
    world.peers[0].process.stop();
    let b = &world.peers[1];
    // The first one opens connections that stay.
    let fails = |output: &str, keep: &[&str]| {
        let output = folder.join(output);
        let args = [&["download", "scan.tar", "-o", text(&output)], keep].concat();
        assert_eq!(b.fails(7, &args)["kind"], "no_holder_online");
    };
    fails("first", &[]);
    let before = b.process.descriptors();
    for number in 0..8 {
        fails(&format!("{number}"), &[]);
        fails(&format!("{number}"), &["--no-keep"]);
    }
    wait::until("every output to be closed", wait::SOON, || {
        (b.process.descriptors() <= before + 2).then_some(())
    });
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn a_download_to_stdout_is_exactly_the_bytes() {
    let (world, hash, _) = with_a_file();
    let b = &world.peers[1];
    let (empty, nothing) = world.file("empty", 0, 0);
    world.peers[0].upload(&empty);
    for (name, size, hash) in [("scan.tar", SIZE, hash), ("empty", 0, nothing)] {
        // First from the other peer, then from the store.
        for _ in 0..2 {
            let answer = b.ctl(&["download", name, "-o", "-", "--json"]);
            assert_eq!(answer.code, 0, "{}", answer.err);
            assert_eq!(answer.out.len() as u64, size);
            assert_eq!(blake3::hash(&answer.out).to_string(), hash);
            let done: serde_json::Value = serde_json::from_str(&answer.err).unwrap();
            has_schema(&done, "download");
            assert!(done["path"].is_null());
            assert_eq!(done["hash"], hash);
        }
    }
    // Errors, too, keep stdout clean.
    let answer = b.ctl(&["download", "nope", "-o", "-", "--json"]);
    assert_eq!((answer.code, answer.out.len()), (6, 0));
    let error: serde_json::Value = serde_json::from_str(&answer.err).unwrap();
    has_schema(&error, "error");
}
