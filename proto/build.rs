//! Compiles the protobuf contracts with protox, so that no `protoc` is needed on the machine. Their descriptors are kept beside
//! the code, for who asks a server what it can do.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["p2p/v1/control.proto", "p2p/v1/peer.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, [Path::new(".")])?;
    let encoded = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("p2p.v1.bin"), encoded)?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
