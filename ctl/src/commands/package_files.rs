//! `package-files`: what the package has besides the program, for who builds it.

use std::path::Path;

use p2p_packaging::Section;

use crate::{
    cli::Cli,
    exit::{self, Stop},
};

/// Writes man pages and completions there.
pub(crate) fn run(folder: &Path) -> Result<(), Stop> {
    let written = p2p_packaging::package_files::<Cli>(Section::Commands, folder);
    written.map_err(|error| exit::io_failure(&folder.display().to_string(), &error).into())
}
