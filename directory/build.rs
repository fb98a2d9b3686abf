//! Builds again when a migration is added: cargo does not see that the code embeds that folder.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
