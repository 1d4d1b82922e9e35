//! Compiles `power-cut/shim.c`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::process::run;

const COMPILE_TIME_MAX: Duration = Duration::from_secs(60);

/// The shared library, in `dir`.
pub(super) fn compile(dir: &Path) -> anyhow::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("power-cut").join("shim.c");
    let library = dir.join("power-cut.so");
    let mut command = Command::new("cc");
    command
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl");
    run(command, dir, "cc", COMPILE_TIME_MAX)
        .context("compile the power-cut shim (`make deps` installs a C compiler)")?;
    Ok(library)
}
