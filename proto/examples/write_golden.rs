//! Writes the golden files that are not there yet; one that is there is left alone.
//!
//! `cargo run -p nautilus-proto --example write_golden`

use std::io;
use std::path::PathBuf;

use prost::Message;

#[path = "../tests/golden/values.rs"]
mod values;

fn main() -> io::Result<()> {
    let records = values::records().into_iter();
    let records = records.map(|(name, record)| (name, record.encode_to_vec()));
    let manifests = [
        ("manifest", values::manifest().encode_to_vec()),
        ("manifest_with_uploads", values::manifest_with_uploads().encode_to_vec()),
    ];
    for (name, bytes) in records.chain(manifests) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let path = folder.join(format!("{name}.bin"));
        if !path.exists() {
            std::fs::write(path, bytes)?;
        }
    }
    Ok(())
}
