//! What holds after every point, for everything that is there: what is listed is whole, what was acknowledged is listed,
//! the directory knows just that, no file and no descriptor is left over. Owns nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{
    Complaint,
    client::{Held, Listed, ok},
    descriptors,
    plan::Plan,
    scene::{File, PEERS, Scene},
    store::{content, inside, strangers, unfinished},
    strike::text,
};
use crate::{data, wait};

/// So long may the directory take to hear of it, and a transfer's last files to go: pings come every half second.
const HEALING: Duration = Duration::from_secs(10);

/// What must hold of the file as soon as the daemon is back and before anybody asks for anything: what was acknowledged
/// is there, what was not is published and held or neither, and the store has nothing that it does not list, but for
/// what can go on.
pub(super) fn untouched(scene: &Scene, plan: &Plan, file: &File) -> Vec<Complaint> {
    let mut found = Vec::new();
    let known = scene.search(plan.asker());
    let (known, lists) = match known.and_then(|known| Ok((known, scene.lists()?))) {
        Ok(both) => both,
        Err(error) => return vec![error],
    };
    let holders = listing(&lists, &file.name);
    match known.get(&file.name) {
        None if holders.is_empty() => {}
        None => found.push(format!(
            "half published: {holders:?} list it, and the directory does not know the name"
        )),
        Some((_, total)) if holders.is_empty() => found.push(format!(
            "half published: the directory knows the name and {total} holders, and nobody lists it"
        )),
        Some((_, total)) if *total == holders.len() as u64 => {}
        Some((_, total)) => found.push(format!(
            "{holders:?} list it, and the directory knows {total} holders"
        )),
    }
    let ledger = BTreeMap::from([(file.name.as_str(), file)]);
    for (peer, listed) in lists.iter().enumerate() {
        acknowledged(peer, listed, &ledger, &mut found);
        if let Some(held) = listed.get(&file.name) {
            whole(scene, peer, &file.name, held, &mut found);
        }
    }
    let store = scene.store(plan.victim);
    let mut left = strangers(&store, &lists[plan.victim]);
    left.extend(inside(&store.join("tmp")));
    unexplained(plan.victim, &store, left, &mut found);
    found
}

/// Looks at everything; `file` is what the point was about.
pub(super) fn check(scene: &mut Scene, plan: &Plan, file: &File, complaints: &mut Vec<Complaint>) {
    let mut ledger: BTreeMap<&str, &File> = scene
        .files
        .iter()
        .map(|file| (file.name.as_str(), file))
        .collect();
    ledger.insert(&file.name, file);
    let mut found = Vec::new();
    let mut lists = Vec::new();
    wait::often(HEALING, || {
        found.clear();
        match scene.lists() {
            Ok(listed) => {
                directory_agrees(scene, &listed, &ledger, file, &mut found);
                for (peer, listed) in listed.iter().enumerate() {
                    only_what_is_listed(scene, peer, listed, &mut found);
                }
                lists = listed;
            }
            Err(error) => found.push(error),
        }
        found.is_empty().then_some(())
    });
    complaints.append(&mut found);
    for (peer, listed) in lists.iter().enumerate() {
        acknowledged(peer, listed, &ledger, complaints);
        for (name, held) in listed {
            whole(scene, peer, name, held, complaints);
        }
    }
    if plan.exports {
        export(scene, plan.victim, file, complaints);
    }
    complaints.append(&mut scene.outcries());
    complaints.append(&mut descriptors::look(scene, HEALING));
}

/// The holders that the directory knows are those that list it, and all of them are online.
fn directory_agrees(
    scene: &Scene,
    lists: &[Listed],
    ledger: &BTreeMap<&str, &File>,
    file: &File,
    found: &mut Vec<Complaint>,
) {
    let asked = scene.looker();
    let known = match scene.search(asked) {
        Ok(known) => known,
        Err(error) => return found.push(error),
    };
    let listed = lists.iter().flat_map(|listed| listed.keys().map(String::as_str));
    let names: BTreeSet<&str> = listed.chain(known.keys().map(String::as_str)).collect();
    for name in names.iter().filter(|name| !ledger.contains_key(**name)) {
        found.push(format!(
            "{name} is still there, and was removed; {:?} list it",
            listing(lists, name)
        ));
    }
    for name in names {
        let holders = listing(lists, name);
        let (online, total) = known.get(name).copied().unwrap_or_default();
        if total != holders.len() as u64 || online != total {
            found.push(format!(
                "the directory knows {total} holders of {name}, {online} of them online; {holders:?} list it"
            ));
        }
    }
    if known.contains_key(&file.name) {
        match ok(&scene.ctl(asked, &["info", &file.name])) {
            Ok(info) => advertised(&info, &listing(lists, &file.name), found),
            Err(error) => found.push(format!("info on {}: {error}", PEERS[asked])),
        }
    }
}

/// One by one, and not only in number.
fn advertised(info: &Value, listing: &BTreeSet<&str>, found: &mut Vec<Complaint>) {
    let holders = info["holders"].as_array().cloned().unwrap_or_default();
    let complete = holders
        .iter()
        .filter(|holder| holder["complete"] == true && holder["online"] == true);
    let complete: BTreeSet<&str> = complete.filter_map(|holder| holder["peer"].as_str()).collect();
    if complete != *listing {
        found.push(format!(
            "the directory says that {complete:?} hold it; {listing:?} list it"
        ));
    }
}

/// The names of the peers that list all of it.
fn listing(lists: &[Listed], name: &str) -> BTreeSet<&'static str> {
    let complete = |listed: &Listed| listed.get(name).is_some_and(|held| held.complete);
    let peers = lists.iter().zip(PEERS);
    peers
        .filter(|(listed, _)| complete(listed))
        .map(|(_, peer)| peer)
        .collect()
}

/// Below the store there is nothing that no listed content explains. All transfers have ended.
fn only_what_is_listed(scene: &Scene, peer: usize, listed: &Listed, found: &mut Vec<Complaint>) {
    let store = scene.store(peer);
    let mut left = strangers(&store, listed);
    left.extend(unfinished(&store));
    unexplained(peer, &store, left, found);
}

fn unexplained(peer: usize, store: &Path, left: Vec<PathBuf>, found: &mut Vec<Complaint>) {
    for path in left {
        let shown = path.strip_prefix(store).unwrap_or(&path);
        found.push(format!(
            "{} has {} that nothing explains",
            PEERS[peer],
            shown.display()
        ));
    }
}

fn acknowledged(
    peer: usize,
    listed: &Listed,
    ledger: &BTreeMap<&str, &File>,
    complaints: &mut Vec<Complaint>,
) {
    for file in ledger.values().filter(|file| file.holders.contains(&peer)) {
        let wanted = Held {
            hash: file.hash.clone(),
            size: file.size,
            complete: true,
        };
        if listed.get(&file.name) != Some(&wanted) {
            let found = listed.get(&file.name);
            complaints.push(format!(
                "{} was acknowledged on {}, which lists {found:?}",
                file.name, PEERS[peer]
            ));
        }
    }
}

/// The stored bytes are what they are called.
fn whole(scene: &Scene, peer: usize, name: &str, held: &Held, complaints: &mut Vec<Complaint>) {
    let path = content(&scene.store(peer), &held.hash);
    let layer = scene
        .store(peer)
        .join("layer")
        .join(&held.hash[..2])
        .join(&held.hash);
    if !held.complete {
        complaints.push(format!(
            "{} lists {name} in part, and nothing fetches it",
            PEERS[peer]
        ));
    } else if !path.exists() {
        complaints.push(format!("{} lists {name} and has not its bytes", PEERS[peer]));
    } else if data::hash_of(&path) != held.hash {
        complaints.push(format!("{} lists {name} and has other bytes", PEERS[peer]));
    } else if held.size > 256 << 10 && !layer.exists() {
        complaints.push(format!("{} lists {name} and has no layer of it", PEERS[peer]));
    }
}

/// The product's own way out.
fn export(scene: &Scene, peer: usize, file: &File, complaints: &mut Vec<Complaint>) {
    let output = scene.outputs().join("export");
    let args = ["download", &file.name, "-o", text(&output), "--no-keep"];
    match ok(&scene.ctl(peer, &args)) {
        Ok(_) if data::hash_of(&output) == file.hash => {}
        Ok(_) => complaints.push("its export has other bytes".to_owned()),
        Err(error) => complaints.push(format!("export on {}: {error}", PEERS[peer])),
    }
}
