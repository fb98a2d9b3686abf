//! `docs/json.md` has every object, and every object has exactly the fields that stand there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use clap::CommandFactory;

use super::{managing::event, moving::transfer, *};

/// The fields of each schema, as the document has them.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut schemas: Vec<String> = Vec::new();
    for line in include_str!("../../../../../docs/json.md").lines() {
        if line.starts_with('#') {
            let names = line.split('`').skip(1).step_by(2);
            let ours = |name: &&str| name.starts_with("p2pctl.") && name.ends_with("/1");
            schemas = names.filter(ours).map(str::to_owned).collect();
            for schema in &schemas {
                let known = all.insert(schema.clone(), BTreeSet::new());
                assert!(known.is_none(), "{schema} is there twice");
            }
        }
        let field = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
        for schema in &schemas {
            all.get_mut(schema).unwrap().extend(field.map(str::to_owned));
        }
    }
    all
}

/// The fields of an object, in the document's notation.
fn fields(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = match at {
                    "" => name.clone(),
                    at => format!("{at}.{name}"),
                };
                fields(value, &path, found);
            }
        }
        Value::Array(list) => {
            assert!(!list.is_empty(), "the sample has no {at}");
            for value in list {
                fields(value, &format!("{at}[]"), found);
            }
        }
        _ => {
            found.insert(at.to_owned());
        }
    }
}

/// One object of each schema with all that it can have.
fn samples() -> Vec<Value> {
    [session_samples(), file_samples(), transfer_samples()].concat()
}

fn session_samples() -> Vec<Value> {
    let failure = Failure::new(FailureKind::Ambiguous, "two").candidates(vec!["a/x@1".into()]);
    let status = v1::StatusResponse {
        listen: vec!["x".into()],
        session: Some(session()),
        directory: Some(v1::DirectoryStatus {
            urls: vec!["x".into()],
            ..v1::DirectoryStatus::default()
        }),
        health: vec![v1::HealthLine::default()],
        ..v1::StatusResponse::default()
    };
    let peer = v1::PeerInfo {
        addresses: vec!["x".into()],
        ..v1::PeerInfo::default()
    };
    let completions = Completions {
        shell: "bash",
        script: String::new(),
    };
    vec![
        value("error", &Error::from(&failure)),
        value("login", &Login::new(session(), vec![v1::Reachability::default()])),
        value("logout", &Logout { directory_told: true }),
        value("whoami", &Whoami::from(session())),
        value("passwd", &Passwd { user: "ana".into() }),
        value("status", &Status::from(status)),
        value("peers", &Peers::from(v1::PeersResponse { peers: vec![peer] })),
        value("watch", &Event::from(event())),
        value("completions", &completions),
    ]
}

fn file_samples() -> Vec<Value> {
    let copies = || {
        vec![v1::Copy {
            peer: "ws1".into(),
            state: "failed".into(),
            reason: "x".into(),
        }]
    };
    let done = || v1::DownloadDone {
        sources: vec![v1::SourceBytes::default()],
        ..v1::DownloadDone::default()
    };
    let upload = Upload {
        files: vec![Uploaded::new(publication(), copies())],
        transfer_ids: Some(vec!["43".into()]),
        errors: vec![InputError::new(
            Path::new("x"),
            Failure::new(FailureKind::DiskFull, "x"),
        )],
    };
    let held = || v1::HeldFile {
        publication: Some(publication()),
        ..v1::HeldFile::default()
    };
    let info = v1::InfoResponse {
        publication: Some(publication()),
        versions: vec![publication()],
        holders: vec![v1::HolderInfo::default()],
    };
    let removed = v1::RemoveResponse {
        dropped: vec![publication()],
        unpublished: vec![publication()],
        freed_bytes: 7,
    };
    let replicated = v1::ReplicateDone {
        publication: Some(publication()),
        copies: copies(),
        wanted: 2,
    };
    let found = v1::SearchResponse {
        files: vec![v1::FoundFile::default()],
        total: 1,
    };
    let verified = vec![v1::VerifiedFile::default()];
    vec![
        value("upload", &upload),
        value("download", &Download::done(publication(), None, done())),
        value("fetch", &Download::done(publication(), None, done())),
        value("replicate", &Replicate::from(replicated)),
        value("list", &List::from(v1::ListResponse { files: vec![held()] })),
        value("pin", &Held::from(held())),
        value("unpin", &Held::from(held())),
        value("info", &Info::from(info)),
        value("rm", &Rm::from(removed)),
        value("search", &Search::from(found)),
        value("verify", &Verify::new(v1::VerifyDone::default(), verified)),
    ]
}

fn transfer_samples() -> Vec<Value> {
    let failed = || v1::Transfer {
        failure: Some(v1::Failure::default()),
        ..transfer()
    };
    let transfers = v1::TransfersResponse {
        transfers: vec![failed()],
    };
    let mut all = vec![
        value("transfers", &Transfers::from(transfers)),
        value("limit", &Limit::from(v1::LimitResponse::default())),
    ];
    for command in ["wait", "pause", "resume", "cancel", "priority"] {
        all.push(value(command, &Transfer::from(failed())));
    }
    all
}

#[test]
fn every_field_is_documented_and_no_other() {
    let mut documented = documented();
    for sample in samples() {
        let schema = sample["schema"].as_str().unwrap();
        let mut printed = BTreeSet::new();
        fields(&sample, "", &mut printed);
        printed.remove("schema");
        let told = documented.remove(schema);
        assert_eq!(Some(printed), told, "{schema}");
    }
    assert!(documented.is_empty(), "nothing prints {documented:?}");
}

#[test]
fn every_verb_has_its_object() {
    let documented = documented();
    let command = crate::cli::Cli::command();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let schema = format!("p2pctl.{}/1", verb.get_name());
        let known = documented.contains_key(&schema);
        assert!(known || verb.get_name() == "menu", "{schema} is not documented");
    }
}
