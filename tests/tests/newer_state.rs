//! A package that is older than the state it finds: refused in one sentence, and nothing is changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use p2p_tests::{World, data, process::program};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Every file below the folder, and what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let hash = data::hash_of(&path);
                found.insert(path, hash);
            }
        }
    }
    found
}

/// Does to a database what a newer program would.
#[tokio::main(flavor = "current_thread")]
async fn change(database: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(database);
    let mut db = SqliteConnection::connect_with(&options)
        .await
        .expect("a database");
    sqlx::raw_sql(sql).execute(&mut db).await.expect("a change");
    db.close().await.expect("a database");
}

/// It ends at once, with one line that says this, and leaves the state as it was.
fn is_refused(mut command: Command, state: &Path, said: &str) {
    let before = files(state);
    let output = command.output().expect("a program");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(
        told.lines().filter(|line| line.contains(said)).count(),
        1,
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(files(state), before);
}

#[test]
fn p2pd_refuses_a_newer_state_and_leaves_it_alone() {
    let mut world = World::start(&["a"]);
    let (source, _) = world.file("scan.tar", 1, 300_000);
    let a = &mut world.peers[0];
    a.upload(&source);
    assert_eq!(a.process.stop(), Some(0));
    let state = a.folder.join("state");
    let database = state.join("store/metadata.db");
    change(
        &database,
        "PRAGMA user_version = 99; CREATE TABLE of_tomorrow (x)",
    );
    let mut command = Command::new(program("p2pd"));
    command.arg("--config").arg(a.folder.join("p2pd.toml"));
    let said = format!(
        "{} was written by a newer p2pd (format 99; this one knows 5): install the newer package again, or restore a backup",
        database.display()
    );
    is_refused(command, &state, &said);
    change(&database, "PRAGMA user_version = 5; DROP TABLE of_tomorrow");
    a.restart();
    assert_eq!(a.json(&["list"])["files"][0]["name"], "scan.tar");
}

#[test]
fn the_directory_refuses_a_newer_state_and_leaves_it_alone() {
    let mut world = World::start(&[]);
    assert_eq!(world.directory.process.stop(), Some(0));
    let state = world.directory.state();
    let database = state.join("directory.db");
    change(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'of tomorrow', 1, x'00', 1)",
    );
    let mut command = Command::new(program("p2p-directory"));
    command
        .arg("serve")
        .arg("--config")
        .arg(world.path("directory/directory.toml"));
    let said = format!(
        "{}: was written by a newer p2p-directory (format 99; this one knows 5): install the newer package again, or \
         restore a backup",
        database.display()
    );
    is_refused(command, &state, &said);
    change(&database, "DELETE FROM _sqlx_migrations WHERE version = 99");
    world.directory.restart();
    assert!(
        world
            .directory
            .command(&["admin", "user", "list"], None)
            .contains("ana")
    );
}
