//! The packages in `target/packages`, installed and used on real Debian machines: `make test-packages`, and not a part of
//! `make test`, since they must be built first. What a person reads in README's "Install" is typed there as it stands.

mod cloud;
mod contents;
mod figures;
mod install;
mod keeping;
mod luck;
mod rpm;
mod running;
mod several;
mod shelf;
mod units;
