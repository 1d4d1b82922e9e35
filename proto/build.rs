//! Generates the messages and services from the `.proto` files, and the descriptor set that reflection serves.

use std::path::PathBuf;

const PACKAGES: [&str; 9] =
    ["common", "log", "snapshot", "search", "ingest", "admin", "leaf", "root", "coordinator"];

const FILES: [&str; 9] = [
    "common/v1/common.proto",
    "log/v1/mutation.proto",
    "snapshot/v1/manifest.proto",
    "search/v1/search.proto",
    "ingest/v1/ingest.proto",
    "admin/v1/admin.proto",
    "leaf/v1/leaf.proto",
    "root/v1/root.proto",
    "coordinator/v1/coordinator.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[allow(clippy::disallowed_methods, reason = "Cargo hands a build script its folder this way")]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files: Vec<String> = FILES.iter().map(|file| format!("nautilus/{file}")).collect();
    let mut builder = tonic_prost_build::configure()
        .file_descriptor_set_path(out.join("nautilus.bin"))
        // Maps in the order of their keys: encodings that are hashed or kept must not vary.
        .btree_map(".");
    for package in PACKAGES {
        builder = builder.type_attribute(format!(".nautilus.{package}"), "#[allow(missing_docs)]");
    }
    builder.compile_protos(&files, &[".".to_owned()])?;
    Ok(())
}
