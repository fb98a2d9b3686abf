//! Two accounts take turns on one peer. What one began stays his, whoever is logged in when it ends, and what is published
//! is published whole.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
};

use p2p_proto::v1::{
    UploadHeader, UploadStreamRequest, control_service_client::ControlServiceClient,
    upload_stream_request::Part,
};
use p2p_tests::{Account, Answer, Peer, World, proxy::Proxy, wait};
use rustix::process::Signal;

const MIB: u64 = 1 << 20;

/// An upload from a pipe that has not ended.
struct Pipe(Child);

impl Pipe {
    fn begin(peer: &Peer, name: &str) -> Self {
        let mut command: Command = peer.command(&["upload", "-", "--name", name, "--visibility", "private"]);
        let mut client = command.stdin(Stdio::piped()).spawn().expect("p2pctl");
        let pipe = client.stdin.as_mut().expect("a pipe");
        pipe.write_all(b"a secret").expect("a reader");
        wait::until("the upload to begin", wait::SOON, || {
            peer.transfer("upload", name)
        });
        Self(client)
    }

    fn end(mut self) -> Answer {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().expect("p2pctl");
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn world() -> (World, Account) {
    let world = World::start(&["a"]);
    let bob = world.directory.add_user("bob");
    (world, bob)
}

fn names(peer: &Peer, command: &str, field: &str) -> Vec<String> {
    let answer = peer.json(&[command]);
    let all = answer[field].as_array().expect("a list").iter();
    all.filter_map(|one| one["name"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn another_account_takes_the_place_of_one_that_keeps_nothing() {
    let (world, bob) = world();
    let (peer, directory) = (&world.peers[0], &world.directory);
    peer.login(directory, &bob);
    assert_eq!(peer.json(&["whoami"])["user"], "bob");
    let (source, _) = world.file("his.txt", 1, 100);
    peer.upload(&source);
    let refused = peer
        .try_login(&directory.url, &directory.fingerprint, &world.ana)
        .says(5);
    assert!(refused.contains("holds files of bob"), "{refused}");
    // Who was refused has taken nothing.
    assert_eq!(peer.json(&["whoami"])["user"], "bob");
    assert_eq!(names(peer, "search", "files"), ["his.txt"]);
}

#[test]
fn an_upload_is_its_accounts_or_nobodys() {
    let (world, bob) = world();
    let peer = &world.peers[0];
    let upload = Pipe::begin(peer, "secret.txt");
    assert_eq!(peer.ctl(&["logout"]).code, 0);
    peer.login(&world.directory, &bob);
    // Nor is it his to see.
    assert!(names(peer, "transfers", "transfers").is_empty());
    let refused = upload.end().says(5);
    assert!(refused.contains("another account is logged in now"), "{refused}");
    assert!(names(peer, "search", "files").is_empty());
    assert!(names(peer, "list", "files").is_empty());
    assert_eq!(peer.stored(), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_download_is_kept_for_its_account_only() {
    let (mut world, bob) = world();
    let proxy = Proxy::start();
    let holder = world.behind(&proxy, "holder");
    let (source, _) = world.file("secret.tar", 1, 20 * MIB);
    let path = source.to_str().expect("a path in UTF-8");
    holder.json(&["upload", path, "--visibility", "private"]);
    proxy.gate(8 * MIB);
    let peer = &mut world.peers[0];
    let fetching = peer.begin(&["fetch", "secret.tar"]);
    wait::until("some bytes", wait::SOON, || {
        let transfer = peer.transfer("download", "secret.tar")?;
        (transfer["done_bytes"].as_u64()? > 4 * MIB).then_some(())
    });
    // Without a logout before it.
    peer.login(&world.directory, &bob);
    proxy.gate(u64::MAX);
    assert!(names(peer, "transfers", "transfers").is_empty());
    assert!(names(peer, "list", "files").is_empty());
    assert_eq!(peer.ctl(&["download", "secret.tar", "-o", "-"]).code, 6);
    // It is ana's again when she is back, and goes on by itself.
    assert_eq!(peer.ctl(&["logout"]).code, 0);
    peer.login(&world.directory, &world.ana);
    assert_eq!(fetching.end().json()["size"], 20 * MIB);
    assert_eq!(names(peer, "list", "files"), ["secret.tar"]);
}

#[test]
fn a_client_that_goes_after_its_last_byte_does_not_cut_the_publication() {
    let (world, _) = world();
    let (peer, directory) = (&world.peers[0], &world.directory.process);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // The directory holds its answer back until the client is gone.
    directory.signal(Signal::STOP);
    runtime.block_on(async {
        let endpoint = format!("unix://{}", peer.socket().display());
        let channel = tonic::transport::Endpoint::from_shared(endpoint).expect("an address");
        let mut client = ControlServiceClient::new(channel.connect().await.expect("a daemon"));
        let header = Part::Header(UploadHeader {
            name: "scan.txt".into(),
            visibility: "public".into(),
            copies: None,
        });
        let parts = [header, Part::Data("whole".into()), Part::End(5)];
        let messages = parts.map(|part| UploadStreamRequest { part: Some(part) });
        let uploading = client.upload_stream(tokio_stream::iter(messages));
        let imported = async {
            while peer
                .transfer("upload", "scan.txt")
                .is_none_or(|transfer| transfer["hash"].is_null())
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = uploading => panic!("the directory is stopped: {answer:?}"),
            () = imported => {}
        }
    });
    drop(runtime);
    // The daemon has seen that the client is gone when it is served no more.
    peer.json(&["status"]);
    directory.signal(Signal::CONT);
    wait::until("the file to have its holder", wait::SOON, || {
        let found = peer.json(&["search", "scan.txt"]);
        (found["files"][0]["holders_online"] == 1).then_some(())
    });
    assert_eq!(names(peer, "list", "files"), ["scan.txt"]);
}

#[test]
fn a_download_does_not_wait_for_another_accounts_of_the_same_file() {
    let (mut world, bob) = world();
    let proxy = Proxy::start();
    let holder = world.behind(&proxy, "holder");
    let (source, hash) = world.file("scan.tar", 1, 20 * MIB);
    holder.upload(&source);
    proxy.gate(8 * MIB);
    let peer = &mut world.peers[0];
    let fetching = peer.begin(&["fetch", "scan.tar"]);
    wait::until("some bytes", wait::SOON, || {
        let transfer = peer.transfer("download", "scan.tar")?;
        (transfer["done_bytes"].as_u64()? > 4 * MIB).then_some(())
    });
    peer.login(&world.directory, &bob);
    proxy.gate(u64::MAX);
    let own = peer.begin(&["fetch", "ana/scan.tar"]);
    peer.until_download("scan.tar", "done", wait::SOON);
    assert_eq!(own.end().json()["hash"], hash);
    assert_eq!(
        names(peer, "transfers", "transfers"),
        ["scan.tar"],
        "his own alone"
    );
    assert_eq!(names(peer, "list", "files"), ["scan.tar"]);
    // Hers waits for her.
    drop(fetching);
}
