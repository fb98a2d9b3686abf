//! What the fuzz targets of `tests/fuzz` do with one input. They are plain functions, so that a test of the stable
//! toolchain replays the committed corpus through the very same. A broken promise is a panic.
//!
//! Those that need a store or a directory are values: who makes one owns its temporary folder, which goes with it.

pub mod config;
pub mod frames;
pub mod grants;
mod input;
mod model;
pub mod names;
pub mod rest;
mod script;
mod world;

use std::{fs, path::PathBuf};

/// Every target.
pub const TARGETS: [&str; 5] = ["config", "frames", "grants", "names", "rest"];

/// What is done with an input.
pub type Target = Box<dyn Fn(&[u8])>;

/// What the target of this name does with an input.
///
/// # Panics
/// When there is no such target, or what it needs cannot be made.
#[must_use]
pub fn target(name: &str) -> Target {
    match name {
        "config" => Box::new(config::run),
        "frames" => {
            let frames = frames::Frames::new();
            Box::new(move |data| frames.run(data))
        }
        "grants" => Box::new(grants::run),
        "names" => Box::new(names::run),
        "rest" => {
            let rest = rest::Rest::new(rest::Hashing::Always);
            Box::new(move |data| rest.run(data))
        }
        _ => panic!("no target {name}"),
    }
}

/// The committed corpus of a target: file names and contents, sorted.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("a folder of seeds")
        .map(|entry| entry.expect("a seed").path())
        .map(|path| (path.clone(), fs::read(&path).expect("a seed")))
        .collect();
    files.sort();
    files
}
