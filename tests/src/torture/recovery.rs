//! After the kill: what must hold before anybody does anything, and then the same asked again, which must succeed and
//! leave everything where it was asked for. Owns nothing; adds to what is promised of the file.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Complaint,
    client::{ok, told},
    invariants,
    plan::{HUGE, Kind, Plan},
    scene::{BOUND, PEERS, Scene},
    strike::{Struck, acknowledge, begin},
};
use crate::{data, wait};

/// What may come again of a download that was cut: a checkpoint, and what came while it was written.
const AT_MOST_AGAIN: u64 = (64 + 24) << 20;

/// So long may the directory and a peer that is back disagree, and a transfer stand that could go on.
const HEALING: Duration = Duration::from_secs(10);

/// States in which something happens.
const MOVING: [&str; 6] = [
    "queued",
    "locating",
    "connecting",
    "transferring",
    "verifying",
    "delivering",
];

/// What came of asking again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recovered {
    /// From the restart until it was done, without what was looked at in between.
    pub(super) done: Duration,
    /// A download of more than a checkpoint: whether it went on from there.
    pub(super) resumed: Option<bool>,
}

/// Looks, asks again, waits until all transfers stand.
pub(super) fn recover(
    scene: &Scene,
    plan: &Plan,
    struck: &mut Struck,
    complaints: &mut Vec<Complaint>,
) -> Recovered {
    let mut found = Vec::new();
    wait::often(HEALING, || {
        found = invariants::untouched(scene, plan, &struck.file);
        found.is_empty().then_some(())
    });
    complaints.append(&mut found);
    output(struck, complaints);
    if let Err(error) = remembered(scene, plan, struck) {
        complaints.push(error);
    }
    let mut recovered = Recovered::default();
    let asked = Instant::now();
    let answer = begin(scene, plan, struck).end(BOUND);
    recovered.done = struck.up + asked.elapsed();
    acknowledge(plan, &answer, &mut struck.file, complaints);
    match ok(&answer) {
        Ok(answer) => {
            same(struck, &answer, complaints);
            recovered.resumed = resumed(scene, plan, struck, &answer, complaints);
        }
        Err(error) => complaints.push(format!("asked again, {error}")),
    }
    output(struck, complaints);
    for peer in 0..PEERS.len() {
        if let Err(error) = transfers_end(scene, peer) {
            complaints.push(error);
        }
    }
    recovered
}

/// A download or a placing that was in flight is still known after the restart, whatever became of it: it is to go on. An
/// import cannot go on by itself; its client knows.
fn remembered(scene: &Scene, plan: &Plan, struck: &Struck) -> Result<(), Complaint> {
    let goes_on = matches!(plan.kind, Kind::Download | Kind::Replicate) && plan.prepares();
    if !scene.verbs.transfers || !goes_on || !struck.hit || plan.asker() != plan.victim {
        return Ok(());
    }
    let all = scene.transfers(plan.victim)?;
    match all.iter().any(|transfer| transfer["name"] == *struck.file.name) {
        true => Ok(()),
        false => Err("the transfer was forgotten by the restart".to_owned()),
    }
}

/// A file is where it is to be wholly, or not at all, and nothing else lies there.
fn output(struck: &Struck, complaints: &mut Vec<Complaint>) {
    let Some(path) = &struck.output else { return };
    if path.exists() {
        let found = data::hash_of(path);
        if found != struck.file.hash {
            complaints.push(format!("the output is not the file: {found}"));
        }
    } else if struck.acknowledged {
        complaints.push("the client was told that it is done, and there is no output".to_owned());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path() != *path {
            complaints.push(format!("{:?} was left beside the output", entry.file_name()));
        }
    }
}

/// It is the same content, and the first version: nothing else was ever published under this name.
fn same(struck: &Struck, answer: &Value, complaints: &mut Vec<Complaint>) {
    let answer = answer["files"].get(0).unwrap_or(answer);
    let file = &struck.file;
    if answer["hash"] != *file.hash || answer["size"] != file.size || answer["version"] != 1 {
        complaints.push(format!(
            "asked again, it is not version 1 of {} with {} bytes: {answer}",
            file.hash, file.size
        ));
    }
}

/// A large download goes on where it was durable. None where that cannot be seen: it was small, it began anew since it
/// had hardly begun, or the daemon had finished it alone.
fn resumed(
    scene: &Scene,
    plan: &Plan,
    struck: &Struck,
    answer: &Value,
    complaints: &mut Vec<Complaint>,
) -> Option<bool> {
    let cut = plan.kind == Kind::Download && plan.victim == plan.taker;
    if !cut || !scene.verbs.transfers || plan.size < HUGE {
        return None;
    }
    let sources = answer["sources"].as_array()?;
    let came: u64 = sources.iter().filter_map(|source| source["bytes"].as_u64()).sum();
    let resumed = answer["resumed_bytes"].as_u64()?;
    if came + resumed < plan.size {
        return None;
    }
    let lost = struck.written.saturating_sub(resumed);
    if lost > AT_MOST_AGAIN {
        complaints.push(format!(
            "{} bytes had come, and only {resumed} were kept",
            struck.written
        ));
    }
    (struck.written > 64 << 20).then_some(resumed > 0)
}

/// Every transfer ends or stands with a reason; one that could go on is given time for that, and then ended, so that it
/// does not disturb what follows.
fn transfers_end(scene: &Scene, peer: usize) -> Result<(), Complaint> {
    let mut standing = Vec::new();
    let moving = |transfer: &Value| MOVING.iter().any(|state| transfer["state"] == *state);
    let mut look = || match scene.transfers(peer) {
        Err(error) => Some(Err(error)),
        Ok(all) => {
            let moves = all.iter().any(moving);
            let stands = |state: &Value| state == "waiting" || state == "paused";
            standing = all
                .into_iter()
                .filter(|transfer| stands(&transfer["state"]) || moving(transfer))
                .collect();
            let reasonless = standing
                .iter()
                .find(|one| !moving(one) && told_nothing(&one["reason"]));
            match reasonless {
                Some(one) => Some(Err(format!("a transfer stands and does not say why: {one}"))),
                None => (!moves && standing.is_empty()).then_some(Ok(())),
            }
        }
    };
    if let Some(ended) = wait::often(HEALING, &mut look) {
        ended?;
    } else if let Some(all) = wait::often(BOUND, || {
        let all = scene.transfers(peer).ok()?;
        (!all.iter().any(moving)).then_some(all)
    }) {
        for one in all
            .iter()
            .filter(|one| one["state"] == "waiting" || one["state"] == "paused")
        {
            eprintln!("torture: cancelled on {}: {one}", PEERS[peer]);
            let cancelled = scene.ctl(peer, &["cancel", one["id"].as_str().unwrap_or_default()]);
            if cancelled.code != 0 {
                return Err(format!("it cannot be cancelled: {one}: {}", told(&cancelled)));
            }
        }
    } else {
        return Err(format!("on {} a transfer never ends: {standing:?}", PEERS[peer]));
    }
    let failed = scene
        .transfers(peer)?
        .into_iter()
        .filter(|one| one["state"] == "failed");
    match failed
        .into_iter()
        .find(|one| told_nothing(&one["reason"]) && told_nothing(&one["error"]["message"]))
    {
        Some(one) => Err(format!("a transfer failed and does not say why: {one}")),
        None => Ok(()),
    }
}

fn told_nothing(reason: &Value) -> bool {
    reason.as_str().is_none_or(str::is_empty)
}
