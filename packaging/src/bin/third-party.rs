//! `third-party CRATE...`: writes what of others is linked into the programs of these crates, and under which terms, as who
//! distributes the programs has to pass it on.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// How files begin that have terms.
const TERMS: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "NOTICE",
    "UNLICENSE",
    "COPYRIGHT",
];

/// What cargo tells of the workspace and of all that it depends on.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    /// None for what is of this workspace.
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// None for what is linked.
    kind: Option<String>,
}

impl Package {
    /// It runs in the compiler alone.
    fn is_of_the_build(&self) -> bool {
        let mut kinds = self.targets.iter().flat_map(|target| &target.kind);
        kinds.any(|kind| kind == "proc-macro")
    }

    /// Its terms, by file.
    fn terms(&self) -> io::Result<BTreeMap<PathBuf, String>> {
        let folder = self.manifest_path.parent().unwrap_or(Path::new("/"));
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().to_uppercase();
            if TERMS.iter().any(|term| name.starts_with(term)) && entry.file_type()?.is_file() {
                let text = String::from_utf8_lossy(&fs::read(entry.path())?).replace("\r\n", "\n");
                found.insert(entry.path(), text.trim_end().to_owned());
            }
        }
        Ok(found)
    }
}

fn asked(command: &mut Command) -> io::Result<Vec<u8>> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr))),
    }
}

/// What is linked on this machine's platform.
fn metadata() -> io::Result<Metadata> {
    let version = asked(Command::new("rustc").arg("-vV"))?;
    let version = String::from_utf8_lossy(&version);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| io::Error::other("rustc names no host"))?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    let args = [
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        host,
    ];
    Ok(serde_json::from_slice(&asked(cargo.args(args))?)?)
}

/// All that is linked into these crates and is not of this workspace, by name and version.
fn linked<'a>(metadata: &'a Metadata, roots: &BTreeSet<String>) -> BTreeMap<(&'a str, &'a str), &'a Package> {
    let packages: BTreeMap<&str, &Package> = metadata.packages.iter().map(|one| (&*one.id, one)).collect();
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (&*node.id, node))
        .collect();
    let mut found = BTreeMap::new();
    let of_roots = metadata.packages.iter().filter(|one| roots.contains(&one.name));
    let mut left: Vec<&str> = of_roots.map(|one| &*one.id).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(id) = left.pop() {
        let package = packages[id];
        if !seen.insert(id) || package.is_of_the_build() {
            continue;
        }
        if package.source.is_some() {
            found.insert((&*package.name, &*package.version), package);
        }
        let deps = nodes[id].deps.iter();
        let linked = deps.filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        left.extend(linked.map(|dep| &*dep.pkg));
    }
    found
}

fn main() -> io::Result<()> {
    let roots: BTreeSet<String> = env::args().skip(1).collect();
    let metadata = metadata()?;
    let linked = linked(&metadata, &roots);
    if linked.is_empty() {
        return Err(io::Error::other(
            "third-party CRATE... with crates of this workspace",
        ));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "These works of others are part of the programs.\n")?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked.values() {
        let (name, version) = (&package.name, &package.version);
        let license = package.license.as_deref().unwrap_or("see its terms below");
        let repository = package.repository.as_deref().unwrap_or_default();
        writeln!(
            out,
            "{}",
            format!("{name} {version}: {license} {repository}").trim_end()
        )?;
        for (file, text) in package.terms()? {
            let file = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            texts
                .entry(text)
                .or_default()
                .push(format!("{name} {version} ({file})"));
        }
    }
    let mut texts: Vec<(Vec<String>, String)> = texts.into_iter().map(|(text, of)| (of, text)).collect();
    texts.sort();
    for (of, text) in texts {
        writeln!(out, "\n{}\n{}\n\n{text}", "-".repeat(72), of.join(", "))?;
    }
    Ok(())
}
