//! The world in which the points happen: a directory and three peers of one account, and the files that must be
//! there. The folders are removed with it, unless `KEEP` is set and something was
//! wrong.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{
    Complaint,
    client::{Client, Listed, listed, ok},
    descriptors::Descriptors,
    plan::{Kind, Plan},
};
use crate::{Answer, World};

/// Their names.
pub(super) const PEERS: [&str; 3] = ["a", "b", "c"];

/// The longest that anything may take that is waited for: longer than the 30 s after which silence is named.
pub(super) const BOUND: Duration = Duration::from_secs(60);

/// So many files stay from point to point, and so many bytes of one.
const STAYING: usize = 6;
const STAYING_SIZE: u64 = 4 << 20;

/// What never belongs into a log when disks and networks are well: an error, a panic, a record that cannot be read.
const OUTCRIES: [&str; 4] = [" ERROR ", "panicked at", "cannot be read", "damaged"];

/// So many of one program are shown.
const MOST_OUTCRIES: usize = 3;

/// What this p2pctl can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verbs {
    pub(super) transfers: bool,
    pub(super) replicate: bool,
}

/// A file and what is promised of it.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) size: u64,
    pub(super) path: PathBuf,
    /// Where it must be, since that was acknowledged.
    pub(super) holders: BTreeSet<usize>,
}

/// The world.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) verbs: Verbs,
    /// Those that stay from point to point, oldest first.
    pub(super) files: Vec<File>,
    names: u32,
    looks: Cell<usize>,
    /// How much of each log was read.
    logs: [usize; 4],
    pub(super) descriptors: Descriptors,
}

impl Scene {
    pub(super) fn boot() -> Self {
        let world = World::start(&PEERS);
        let has = |verb| world.peers[0].ctl(&[verb, "--help"]).code == 0;
        let verbs = Verbs {
            transfers: has("transfers"),
            replicate: has("replicate"),
        };
        Self {
            world,
            verbs,
            files: Vec::new(),
            names: 0,
            looks: Cell::new(0),
            logs: [0; 4],
            descriptors: Descriptors::default(),
        }
    }

    /// What can be tortured.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let can = |kind: &Kind| *kind != Kind::Replicate || self.verbs.replicate;
        Kind::ALL.into_iter().filter(can).collect()
    }

    /// A name that no file had.
    pub(super) fn next_name(&mut self) -> String {
        self.names += 1;
        format!("f{}.bin", self.names)
    }

    /// Whom to ask what all know: each in turn.
    pub(super) fn looker(&self) -> usize {
        self.looks.set(self.looks.get() + 1);
        self.looks.get() % PEERS.len()
    }

    /// The folder for downloads; between points it is empty.
    pub(super) fn outputs(&self) -> PathBuf {
        let folder = self.world.path("outputs");
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// Runs `p2pctl --json`, for a bounded time.
    pub(super) fn ctl(&self, peer: usize, args: &[&str]) -> Answer {
        let client = self.begin(peer, args, None);
        client.end(BOUND)
    }

    /// Starts `p2pctl --json`, with this file as its standard input.
    pub(super) fn begin(&self, peer: usize, args: &[&str], stdin: Option<&Path>) -> Client {
        Client::start(self.world.peers[peer].command(args), stdin)
    }

    /// What each peer says that it holds.
    pub(super) fn lists(&self) -> Result<Vec<Listed>, Complaint> {
        let running: Vec<Client> = (0..PEERS.len())
            .map(|peer| self.begin(peer, &["list"], None))
            .collect();
        let mut lists = Vec::new();
        for (peer, client) in running.into_iter().enumerate() {
            let answer =
                ok(&client.end(BOUND)).map_err(|error| format!("list on {}: {error}", PEERS[peer]))?;
            lists.push(listed(&answer)?);
        }
        Ok(lists)
    }

    /// The numbers of holders that the directory knows, online and in all, of every file; asked of this peer.
    pub(super) fn search(&self, peer: usize) -> Result<BTreeMap<String, (u64, u64)>, Complaint> {
        let answer = ok(&self.ctl(peer, &["search"]))
            .map_err(|error| format!("search on {}: {error}", PEERS[peer]))?;
        let hits = answer["files"].as_array().ok_or("search has no files")?;
        let one = |hit: &Value| {
            let name = hit["name"].as_str()?.to_owned();
            Some((
                name,
                (hit["holders_online"].as_u64()?, hit["holders_total"].as_u64()?),
            ))
        };
        let all: Option<BTreeMap<_, _>> = hits.iter().map(one).collect();
        all.ok_or_else(|| format!("search is not what was promised: {answer}"))
    }

    /// The transfers of a peer; none where that verb does not exist.
    pub(super) fn transfers(&self, peer: usize) -> Result<Vec<Value>, Complaint> {
        if !self.verbs.transfers {
            return Ok(Vec::new());
        }
        let answer = ok(&self.ctl(peer, &["transfers"]))
            .map_err(|error| format!("transfers on {}: {error}", PEERS[peer]))?;
        let all = answer["transfers"].as_array().cloned();
        all.ok_or_else(|| format!("transfers is not what was promised: {answer}"))
    }

    /// A peer's store.
    pub(super) fn store(&self, peer: usize) -> PathBuf {
        self.world.peers[peer].folder.join("state/store")
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, peer: usize) {
        self.world.peers[peer].process.kill();
    }

    /// Starts a killed peer again.
    pub(super) fn restart(&mut self, peer: usize) -> Result<(), Complaint> {
        let restarted = self.world.peers[peer].try_restart(BOUND);
        restarted.map_err(|error| format!("{} does not come up again: {error}", PEERS[peer]))
    }

    /// Removes what a point made, or keeps the file among those that stay.
    pub(super) fn tidy(&mut self, file: &File, plan: &Plan, complaints: &mut Vec<Complaint>) {
        let _ = fs::remove_dir_all(self.world.path("outputs"));
        if !complaints.is_empty() {
            return;
        }
        if plan.stays && file.size <= STAYING_SIZE && !file.holders.is_empty() {
            self.files.push(file.clone());
            if self.files.len() > STAYING {
                let oldest = self.files.remove(0);
                self.forget(&oldest, complaints);
            }
        } else {
            self.forget(file, complaints);
        }
    }

    /// Withdraws a file and removes every copy.
    fn forget(&self, file: &File, complaints: &mut Vec<Complaint>) {
        let _ = fs::remove_file(&file.path);
        let lists = match self.lists() {
            Ok(lists) => lists,
            Err(error) => return complaints.push(error),
        };
        let mut holders: Vec<usize> = (0..PEERS.len())
            .filter(|peer| lists[*peer].contains_key(&file.name))
            .collect();
        let last = holders.pop();
        for peer in holders {
            self.must(peer, &["rm", &file.name, "--force"], complaints);
        }
        if let Some(last) = last {
            self.must(last, &["rm", &file.name, "--unpublish", "--force"], complaints);
        }
    }

    fn must(&self, peer: usize, args: &[&str], complaints: &mut Vec<Complaint>) {
        if let Err(error) = ok(&self.ctl(peer, args)) {
            complaints.push(format!("{} on {}: {error}", args.join(" "), PEERS[peer]));
        }
    }

    /// What the programs said since the last time that no program should say.
    pub(super) fn outcries(&mut self) -> Vec<Complaint> {
        let peers = self
            .world
            .peers
            .iter()
            .map(|peer| (peer.name.as_str(), peer.process.log()));
        let directory = ("the directory", self.world.directory.process.log());
        let mut complaints = Vec::new();
        for ((name, log), read) in peers.chain([directory]).zip(&mut self.logs) {
            let new = log.get(*read..).unwrap_or_default();
            let bad = |line: &&str| OUTCRIES.iter().any(|word| line.contains(word));
            let bad = new.lines().filter(bad).take(MOST_OUTCRIES);
            complaints.extend(bad.map(|line| format!("{name} says: {line}")));
            *read = log.len();
        }
        complaints
    }

    /// The peers' processes in the order of [`PEERS`], and the directory's.
    pub(super) fn processes(&self) -> [u32; 4] {
        let [a, b, c] = std::array::from_fn(|peer| self.world.peers[peer].process.id());
        [a, b, c, self.world.directory.process.id()]
    }

    /// The last lines of each log.
    pub(super) fn last_words(&mut self, out: &mut dyn Write) -> io::Result<()> {
        const LINES: usize = 6;
        for peer in &self.world.peers {
            let log = peer.process.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
                writeln!(out, "    {}: {line}", peer.name)?;
            }
        }
        if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty()) {
            self.world.folder.disable_cleanup(true);
            writeln!(out, "    kept in {}", self.world.folder.path().display())?;
        }
        Ok(())
    }
}
