//! What a configuration file may say, and what is said of one that is wrong.

use super::*;

fn load(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p2pd.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file)).map_err(|error| error.to_string())
}

#[test]
fn an_empty_name_is_the_hosts() {
    assert_eq!(load("peer_name = \"\"\n").unwrap().peer_name, None);
}

#[test]
fn the_documented_file_is_read() {
    let text = r#"
        peer_name = "nas"
        state_dir = "/var/lib/p2pd"
        runtime_dir = "/run/p2pd"
        [peer]
        listen = ["[::]:7401"]
        advertise = []
        [control]
        group = "p2pd"
        shared_session = false
        [directory]
        urls = ["https://directory.example:7400"]
        [login]
        user = ""
        password_file = ""
        ca_fingerprint = ""
        [store]
        path = ""
        max_size = "unlimited"
        reserve_free = "1GiB"
        accept_copies = "own"
        scrub_rate = "8MiB"
        scrub_every = "30d"
        [transfer]
        max_active = 4
        upload_limit = "unlimited"
        download_limit = "unlimited"
        [log]
        level = "info"
        [metrics]
        listen = ""
    "#;
    let config = load(text).unwrap();
    assert_eq!(config.store_path(), Path::new("/var/lib/p2pd/store"));
    assert_eq!(config.store.reserve_free, ByteCount(1 << 30));
}

#[test]
fn whose_copies_are_taken_and_how_fast_is_hashed_can_be_said() {
    let config = load("[store]\naccept_copies = \"cluster\"\nscrub_rate = \"off\"\n").unwrap();
    assert_eq!(config.store.accept_copies, AcceptCopies::Cluster);
    assert_eq!(config.store.scrub_rate, ScrubRate(None));
    assert!(load("[store]\nscrub_rate = \"0B\"\n").is_err());
    assert!(load("[store]\naccept_copies = \"all\"\n").is_err());
}

#[test]
fn every_key_has_a_meaning() {
    let fingerprint = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let config = load(&format!(
        "[login]\nuser = \"lab\"\npassword_file = \"/etc/p2pd/password\"\nca_fingerprint = \"{fingerprint}\"\n\
         [transfer]\nupload_limit = \"20MiB\"\ndownload_limit = \"1GiB/s\"\n\
         [metrics]\nlisten = \"127.0.0.1:7402\"\n"
    ))
    .unwrap();
    assert_eq!(config.login.user.as_ref().map(UserName::as_str), Some("lab"));
    assert_eq!(config.login.ca_fingerprint.unwrap().to_string(), fingerprint);
    assert_eq!(config.transfer.upload_limit.bytes(), Some(20 << 20));
    assert_eq!(config.transfer.download_limit.bytes(), Some(1 << 30));
    assert_eq!(config.metrics.listen.map(|at| at.port()), Some(7402));
}

#[test]
fn what_is_wrong_is_told_by_line_and_key() {
    for (text, line, words) in [
        (
            "\n[transfer]\nupload_limit = \"1KiB\"\n",
            ":3:",
            "transfer.upload_limit: \"1KiB\" is too slow",
        ),
        (
            "[metrics]\nlisten = \"7402\"\n",
            ":2:",
            "metrics.listen: \"7402\" is no address",
        ),
        (
            "peername = \"nas\"\n",
            ":1:",
            "unknown key peername; did you mean peer_name?",
        ),
        ("peer_name = \"Not A Name\"\n", ":1:", "peer_name: "),
        (
            "[bootstrap]\npeers = []\n",
            ":1:",
            "[bootstrap] comes with a later version",
        ),
        (
            "[[share]]\npath = \"/x\"\n",
            ":1:",
            "[share] comes with a later version",
        ),
        (
            "[log]\nlevel = \"loud\"\n",
            ":2:",
            "log.level: \"loud\" is no level",
        ),
        ("[login]\nuser = \"A B\"\n", ":2:", "login.user: "),
        (
            "[login]\nca_fingerprint = \"ab\"\n",
            ":2:",
            "login.ca_fingerprint: \"ab\" is no fingerprint",
        ),
        (
            "[directory]\nurls = [\"http://x\"]\n",
            ":2:",
            "\"http://x\" is no directory",
        ),
        ("[transfer]\nmax_active = 0\n", ":2:", "transfer.max_active: "),
        (
            "[peer]\nadvertise = [\"a b\"]\n",
            ":2:",
            "\"a b\" is no HOST or HOST:PORT",
        ),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.contains(line) && error.contains(words), "{error}");
    }
}

#[test]
fn the_packaged_file_says_the_defaults() {
    let packaged = include_str!("../../../packaging/p2pd.toml");
    let spoken: String = packaged
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .collect::<Vec<_>>()
        .join("\n");
    let defaults = Config::default().entries();
    assert_eq!(load(packaged).unwrap().entries(), defaults);
    let packaged_defaults = Config {
        state_dir: "/var/lib/p2pd".into(),
        runtime_dir: "/run/p2pd".into(),
        ..Config::default()
    };
    let spoken = load(&spoken).unwrap().entries();
    for (said, default) in spoken.into_iter().zip(packaged_defaults.entries()) {
        // These are examples of what others would write; all else is what holds without them.
        if !["peer_name", "directory.urls"].contains(&said.key) {
            assert_eq!(said, default);
        }
    }
    for entry in defaults {
        let key = entry.key.rsplit('.').next().unwrap();
        assert!(
            packaged.contains(&format!("#{key} = ")),
            "{key} is not in the file"
        );
    }
}
