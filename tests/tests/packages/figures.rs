//! What `make test-packages` prints at its end.

use std::{fs, io::Write};

use crate::shelf;

/// Adds a line.
pub fn tell(line: &str) {
    println!("{line}");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(shelf::folder().with_file_name("packages-figures.txt"))
        .expect("the figures");
    writeln!(file, "{line}").expect("the figures");
}
