//! Placing a file: conflicts, names, links, and nothing left behind.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
};

use tempfile::TempDir;

use super::*;

const CONTENT: &[u8] = b"the content";

fn name() -> FileName {
    "scan.tar".parse().unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn target(folder: &TempDir) -> Target {
    Target::choose(Some(folder.path()), &name()).unwrap()
}

fn plan(folder: &TempDir, on_conflict: OnConflict) -> Result<Plan, Failure> {
    target(folder).plan(CONTENT.len() as u64, &ContentHash::of(CONTENT), on_conflict)
}

fn filled(draft: Draft) -> Draft {
    let mut file = draft.file();
    file.write_all(CONTENT).unwrap();
    draft
}

fn place(draft: Draft, size: usize, on_conflict: OnConflict) -> Result<Placed, Failure> {
    let settled = draft.settle(size as u64)()?;
    draft.place(settled, on_conflict)
}

/// Both ways of making the file, so that every test runs where the file system has only one of them, too.
fn both_ways(test: impl Fn(fn(Target) -> Result<Draft, Failure>)) {
    test(Draft::create);
    test(Draft::create_hidden);
}

#[test]
fn outputs_mean_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    symlink(path, path.join("link")).unwrap();
    for (output, expected) in [
        (path.to_owned(), path.join("scan.tar")),
        (path.join(""), path.join("scan.tar")),
        (path.join("."), path.join("scan.tar")),
        (path.join("link"), path.join("link/scan.tar")),
        (path.join("other"), path.join("other")),
    ] {
        assert_eq!(Target::choose(Some(&output), &name()).unwrap().path(), expected);
    }
    assert_eq!(
        Target::choose(None, &name()).unwrap().path(),
        Path::new("./scan.tar")
    );
    assert_eq!(
        Target::choose(Some(Path::new("x")), &name()).unwrap().path(),
        Path::new("./x")
    );
    for bad in [path.join("none/"), path.join("none/x"), PathBuf::new()] {
        let failure = Target::choose(Some(&bad), &name()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Usage, "{}", bad.display());
    }
}

#[test]
fn a_file_appears_whole_with_the_users_mode() {
    both_ways(|create| {
        let folder = tempfile::tempdir().unwrap();
        let draft = filled(create(target(&folder)).unwrap());
        assert!(!folder.path().join("scan.tar").exists());
        let placed = place(draft, CONTENT.len(), OnConflict::Fail).unwrap();
        let path = folder.path().join("scan.tar");
        assert_eq!(placed, Placed::At(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        assert_eq!(names(&folder), ["scan.tar"]);
        // The umask decides, as for every other new file.
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path), mode(plain));
    });
}

#[test]
fn the_same_content_is_success_whatever_the_conflict_rule() {
    for on_conflict in [
        OnConflict::Fail,
        OnConflict::Skip,
        OnConflict::Overwrite,
        OnConflict::Rename,
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("scan.tar"), CONTENT).unwrap();
        assert!(
            matches!(plan(&folder, on_conflict).unwrap(), Plan::Skip(path) if path.ends_with("scan.tar"))
        );
    }
}

#[test]
fn other_content_is_a_conflict() {
    // Same size: only the hash tells.
    for other in [&b"the kontent"[..], b"short"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.tar");
        fs::write(&path, other).unwrap();
        let failure = plan(&folder, OnConflict::Fail).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 11);
        assert_eq!(
            crate::exit::sentence(&failure),
            format!(
                "p2pctl: {} exists. Use --on-conflict overwrite, rename or skip",
                path.display()
            )
        );
        assert!(matches!(plan(&folder, OnConflict::Skip).unwrap(), Plan::Skip(_)));
        assert!(matches!(
            plan(&folder, OnConflict::Rename).unwrap(),
            Plan::Deliver(_)
        ));
        assert!(matches!(
            plan(&folder, OnConflict::Overwrite).unwrap(),
            Plan::Deliver(_)
        ));
        assert_eq!(fs::read(&path).unwrap(), other);
    }
}

#[test]
fn conflicts_that_come_late_are_seen_too() {
    both_ways(|create| {
        for (on_conflict, ends) in [
            (OnConflict::Fail, None),
            (OnConflict::Skip, Some(("scan.tar", &b"other"[..]))),
            (OnConflict::Overwrite, Some(("scan.tar", CONTENT))),
            (OnConflict::Rename, Some(("scan (2).tar", CONTENT))),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let draft = filled(create(target(&folder)).unwrap());
            fs::write(folder.path().join("scan.tar"), b"other").unwrap();
            fs::write(folder.path().join("scan (1).tar"), b"other").unwrap();
            match (place(draft, CONTENT.len(), on_conflict), ends) {
                (Ok(Placed::At(path)), Some((name, content))) => {
                    assert_eq!(path, folder.path().join(name));
                    assert_eq!(fs::read(path).unwrap(), content);
                }
                (Ok(Placed::Skipped(path)), Some((_, content))) => {
                    assert_eq!(fs::read(path).unwrap(), content);
                }
                (Err(failure), None) => assert_eq!(failure.kind, FailureKind::OutputExists),
                (result, _) => panic!("{on_conflict:?}: {result:?}"),
            }
            assert!(
                names(&folder).iter().all(|name| !name.starts_with('.')),
                "{on_conflict:?}"
            );
        }
    });
}

#[test]
fn nothing_is_left_of_what_was_not_placed() {
    both_ways(|create| {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(create(target(&folder)).unwrap()));
        assert!(names(&folder).is_empty());
        let short = filled(create(target(&folder)).unwrap());
        let failure = place(short, CONTENT.len() + 1, OnConflict::Overwrite).unwrap_err();
        assert_eq!(failure.kind, FailureKind::HashMismatch);
        assert!(names(&folder).is_empty());
    });
}

#[test]
fn a_symbolic_link_is_never_followed() {
    both_ways(|create| {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, CONTENT).unwrap();
        symlink(&victim, folder.path().join("scan.tar")).unwrap();
        // Even when it leads to this very content, it is not this file.
        assert_eq!(
            plan(&folder, OnConflict::Fail).unwrap_err().kind,
            FailureKind::OutputExists
        );
        fs::write(&victim, "keep me").unwrap();
        let draft = filled(create(target(&folder)).unwrap());
        place(draft, CONTENT.len(), OnConflict::Overwrite).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "keep me");
        let placed = folder.path().join("scan.tar");
        assert!(fs::symlink_metadata(&placed).unwrap().is_file());
        assert_eq!(fs::read(placed).unwrap(), CONTENT);
    });
}

#[test]
fn a_folder_in_the_way_stays() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("scan.tar")).unwrap();
    for on_conflict in [OnConflict::Fail, OnConflict::Overwrite] {
        assert_eq!(
            plan(&folder, on_conflict).unwrap_err().kind,
            FailureKind::OutputExists
        );
    }
    assert!(matches!(
        plan(&folder, OnConflict::Rename).unwrap(),
        Plan::Deliver(_)
    ));
}

#[test]
fn a_name_is_reserved_where_the_system_cannot_rename_carefully() {
    let folder = tempfile::tempdir().unwrap();
    let target = target(&folder);
    fs::write(folder.path().join("hidden"), CONTENT).unwrap();
    fs::write(folder.path().join("taken"), "other").unwrap();
    let rename = |to: &str| draft::rename_over_placeholder(target.folder(), "hidden".as_ref(), to.as_ref());
    assert_eq!(rename("taken").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    rename("free").unwrap();
    assert_eq!(names(&folder), ["free", "taken"]);
    assert!(rename("gone").is_err());
    assert_eq!(names(&folder), ["free", "taken"]);
}

#[test]
fn numbered_names() {
    let first = |name: &str| numbered(OsStr::new(name)).next().unwrap().into_string().unwrap();
    for (name, expected) in [
        ("scan.tar", "scan (1).tar"),
        ("scan.tar.gz", "scan.tar (1).gz"),
        ("scan", "scan (1)"),
        (".hidden", ".hidden (1)"),
    ] {
        assert_eq!(first(name), expected);
    }
    let long = format!("{}.tar", "ä".repeat(125));
    assert!(first(&long).len() <= MAX_NAME);
    assert!(first(&long).ends_with("ä (1).tar"));
    assert_eq!(numbered(OsStr::new("x")).nth(1).unwrap(), "x (2)");
}
