//! Compiles the messages with a pure-Rust compiler (no protoc) and gives them readable JSON.
use std::{error::Error, path::PathBuf};

use prost_build::Config;

const FILES: [&str; 4] = ["spec", "control", "status", "audit"];

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = FILES.iter().map(|f| format!("changeover/v1/{f}.proto")).collect();
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut encoded = Vec::new();
    prost_build_encode(&descriptors, &mut encoded)?;
    Config::new().compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .ignore_unknown_fields()
        .out_dir(out)
        .build(&[".changeover.v1"])?;
    Ok(())
}

fn prost_build_encode(
    descriptors: &prost_types::FileDescriptorSet,
    into: &mut Vec<u8>,
) -> Result<(), prost::EncodeError> {
    prost::Message::encode(descriptors, into)
}
