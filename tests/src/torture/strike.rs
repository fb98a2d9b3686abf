//! Does the work of a point and kills in the midst of it. When the work begins is seen in the store of the peer that gets
//! the bytes: a file appears there; and when an import is over: the content has its name. Owns nothing; what came of it
//! is in [`Struck`].

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Complaint,
    client::{Client, ok, told},
    plan::{Kind, Plan, Way},
    scene::{BOUND, File, PEERS, Scene},
    store::{content, unfinished, written},
};
use crate::{Answer, data, wait};

/// What came of it.
pub(super) struct Struck {
    pub(super) file: File,
    /// Somebody was killed.
    pub(super) killed: bool,
    /// And work was in flight.
    pub(super) hit: bool,
    /// From the beginning of the work to the kill.
    pub(super) after: Duration,
    /// How long it would have taken.
    pub(super) expected: Duration,
    /// How long the daemon took to come up again.
    pub(super) up: Duration,
    /// What ended by itself, and how long that took.
    pub(super) lengths: [Option<(Kind, Duration)>; 2],
    /// Bytes that were on their way into the store of a peer that was killed.
    pub(super) written: u64,
    /// Where a download was to go.
    pub(super) output: Option<PathBuf>,
    /// The client was told that all is done.
    pub(super) acknowledged: bool,
}

impl Struck {
    /// The share of the work that was over.
    pub(super) fn share(&self) -> f64 {
        let share = self.after.as_secs_f64() / self.expected.as_secs_f64().max(1e-6);
        share.clamp(0.0, 0.999_999)
    }
}

/// What was seen while the work ran.
#[derive(Default)]
struct Seen {
    began: Option<Instant>,
    named: Option<Instant>,
    ended: Option<Instant>,
}

/// Does what the plan says. Without an expected length nobody is killed.
pub(super) fn strike(
    scene: &mut Scene,
    plan: &Plan,
    name: &str,
    expected: Option<Duration>,
    complaints: &mut Vec<Complaint>,
) -> Struck {
    let path = scene.world.path(name);
    let hash = data::file(&path, plan.data, plan.size);
    let mut struck = Struck {
        file: File {
            name: name.to_owned(),
            hash,
            size: plan.size,
            path,
            holders: BTreeSet::new(),
        },
        killed: false,
        hit: false,
        after: Duration::ZERO,
        expected: expected.unwrap_or_default(),
        up: Duration::ZERO,
        lengths: [None, None],
        written: 0,
        output: (plan.way == Way::Output).then(|| scene.outputs().join(name)),
        acknowledged: false,
    };
    if plan.prepares() {
        match ok(&scene.ctl(plan.giver, &["upload", text(&struck.file.path)])) {
            Ok(_) => struck.file.holders.insert(plan.giver),
            Err(error) => {
                complaints.push(format!("upload on {}: {error}", PEERS[plan.giver]));
                return struck;
            }
        };
    }
    let mut client = begin(scene, plan, &struck);
    let kill_after = expected.map(|length| length.mul_f64(plan.share));
    let seen = watch(scene, plan, &struck.file, &mut client, kill_after);
    // One that came too late is still made: what was just acknowledged must be there.
    if kill_after.is_some() {
        kill(scene, plan, &seen, &mut client, &mut struck, complaints);
    }
    let answer = client.end(BOUND);
    struck.lengths = lengths(plan, &seen);
    judge(plan, &answer, &mut struck, complaints);
    struck
}

fn kill(
    scene: &mut Scene,
    plan: &Plan,
    seen: &Seen,
    client: &mut Client,
    struck: &mut Struck,
    complaints: &mut Vec<Complaint>,
) {
    let began = match plan.kind {
        Kind::Publish => seen.named,
        _ => seen.began,
    };
    struck.after = began.map(|began| began.elapsed()).unwrap_or_default();
    scene.kill(plan.victim);
    struck.killed = true;
    let named = named(scene, plan, &struck.file.hash);
    // A client of another daemon is in the midst of its work when it still runs; one of this daemon says it in the end.
    struck.hit = seen.ended.is_none() && (client.runs() || plan.asker() == plan.victim);
    struck.hit &= plan.kind != Kind::Import || !named;
    if plan.kind == Kind::Download && plan.victim == plan.taker {
        struck.written = unfinished(&scene.store(plan.taker))
            .iter()
            .map(|path| written(path))
            .max()
            .unwrap_or(0);
    }
    let restarted = Instant::now();
    if let Err(error) = scene.restart(plan.victim) {
        complaints.push(error);
    }
    struck.up = restarted.elapsed();
}

/// What the client was told in the end.
fn judge(plan: &Plan, answer: &Answer, struck: &mut Struck, complaints: &mut Vec<Complaint>) {
    let own = plan.asker() == plan.victim;
    struck.acknowledged = answer.code == 0;
    match answer.code {
        0 => {
            struck.hit &= !own;
            acknowledge(plan, answer, &mut struck.file, complaints);
        }
        -1 => complaints.push(format!("the client got no answer in {BOUND:?}")),
        // The daemon is gone; the peers broke off or are not online; not all copies could be made.
        3 | 8 if struck.killed && own => {}
        7 | 8 | 12 if struck.killed && !own => {}
        12 if struck.killed && plan.kind == Kind::Replicate => {}
        code => complaints.push(format!("the client was told {code}: {}", told(answer))),
    }
}

/// Who must hold it now, since that was said.
pub(super) fn acknowledge(plan: &Plan, answer: &Answer, file: &mut File, complaints: &mut Vec<Complaint>) {
    if answer.code != 0 {
        return;
    }
    file.holders.insert(plan.giver);
    match plan.way {
        Way::File | Way::Pipe => {}
        Way::Output | Way::Fetch | Way::To | Way::UploadTo => {
            file.holders.insert(plan.taker);
        }
        Way::Everywhere => file.holders.extend(0..PEERS.len()),
        Way::UploadTwo => {
            let answer: Value = serde_json::from_slice(&answer.out).unwrap_or_default();
            let copies = answer["files"][0]["copies"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let durable = copies.iter().filter(|copy| copy["state"] == "durable");
            let named = durable.filter_map(|copy| PEERS.iter().position(|peer| copy["peer"] == *peer));
            file.holders.extend(named);
            if file.holders.len() < 2 {
                complaints.push(format!("two copies were acknowledged, and not where: {answer}"));
            }
        }
    }
}

/// Starts the command of the plan.
pub(super) fn begin(scene: &Scene, plan: &Plan, struck: &Struck) -> Client {
    let file = &struck.file;
    let path = text(&file.path);
    let (args, stdin): (Vec<&str>, Option<&Path>) = match plan.way {
        Way::File => (vec!["upload", path], None),
        Way::Pipe => (vec!["upload", "-", "--name", &file.name], Some(&file.path)),
        Way::Output => {
            let output = struck.output.as_deref().map_or("-", text);
            (vec!["download", &file.name, "-o", output], None)
        }
        Way::Fetch => (vec!["fetch", &file.name], None),
        Way::To => (vec!["replicate", &file.name, "--to", PEERS[plan.taker]], None),
        Way::Everywhere => (vec!["replicate", &file.name, "--copies", "3"], None),
        Way::UploadTo => (vec!["upload", path, "--to", PEERS[plan.taker]], None),
        Way::UploadTwo => (vec!["upload", path, "--copies", "2"], None),
    };
    scene.begin(plan.asker(), &args, stdin)
}

/// Looks until it is time to kill, or the client has its answer.
fn watch(scene: &Scene, plan: &Plan, file: &File, client: &mut Client, kill_after: Option<Duration>) -> Seen {
    let stores: Vec<PathBuf> = plan
        .receivers()
        .into_iter()
        .map(|peer| scene.store(peer))
        .collect();
    let mut seen = Seen::default();
    let look = || {
        if !client.runs() {
            seen.ended = Some(Instant::now());
            return Some(());
        }
        if seen.named.is_none() && stores.iter().any(|store| content(store, &file.hash).exists()) {
            seen.named = Some(Instant::now());
            seen.began = seen.began.or(seen.named);
        }
        if seen.began.is_none() && stores.iter().any(|store| !unfinished(store).is_empty()) {
            seen.began = Some(Instant::now());
        }
        let since = match plan.kind {
            Kind::Publish => seen.named,
            _ => seen.began,
        };
        (since?.elapsed() >= kill_after?).then_some(())
    };
    wait::closely(BOUND, look);
    seen
}

/// The parts that ended by themselves.
fn lengths(plan: &Plan, seen: &Seen) -> [Option<(Kind, Duration)>; 2] {
    let span = |from: Option<Instant>, to: Option<Instant>| Some(to?.duration_since(from?));
    match plan.kind {
        Kind::Import | Kind::Publish => [
            span(seen.began, seen.named).map(|length| (Kind::Import, length)),
            span(seen.named, seen.ended).map(|length| (Kind::Publish, length)),
        ],
        kind => [span(seen.began, seen.ended).map(|length| (kind, length)), None],
    }
}

fn named(scene: &Scene, plan: &Plan, hash: &str) -> bool {
    let mut receivers = plan.receivers().into_iter();
    receivers.any(|peer| content(&scene.store(peer), hash).exists())
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
