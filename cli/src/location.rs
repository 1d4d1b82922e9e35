//! Where the cluster is: what was said, what `nautilus dev` wrote down, or the usual address.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::{ENDPOINT_DEFAULT, Global};
use crate::exit::Failure;

/// The file in the data directory that holds the address of the running `nautilus dev`.
pub(crate) fn endpoint_file(data_dir: &Path) -> PathBuf {
    data_dir.join("endpoint")
}

/// The file that holds the address of the index builder, where that is not the same.
pub(crate) fn ingest_endpoint_file(data_dir: &Path) -> PathBuf {
    data_dir.join("ingest-endpoint")
}

/// The folder in the data directory that holds the development issuer's key.
pub(crate) fn identity_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("identity")
}

/// Host and port to connect to.
pub(crate) fn endpoint(global: &Global) -> anyhow::Result<String> {
    let text = match &global.endpoint {
        Some(given) => given.clone(),
        None => {
            let written = written(endpoint_file(&global.data_dir))?;
            written.unwrap_or_else(|| ENDPOINT_DEFAULT.to_owned())
        }
    };
    checked(&text)
}

/// Host and port to write to.
pub(crate) fn ingest_endpoint(global: &Global) -> anyhow::Result<String> {
    let written = || match global.endpoint {
        // The address in the folder may be of another cluster.
        Some(_) => Ok(None),
        None => written(ingest_endpoint_file(&global.data_dir)),
    };
    match global.ingest_endpoint.clone().map_or_else(written, |given| Ok(Some(given)))? {
        Some(text) => checked(&text),
        None => endpoint(global),
    }
}

fn checked(text: &str) -> anyhow::Result<String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if address.is_empty() || address.contains('/') {
        return Err(Failure::usage(format!(
            "{text:?} is not an endpoint; one looks like {ENDPOINT_DEFAULT}"
        ))
        .into());
    }
    Ok(address.to_owned())
}

/// Whether it is known where to connect, rather than guessed.
pub(crate) fn is_known(global: &Global) -> bool {
    global.endpoint.is_some() || endpoint_file(&global.data_dir).exists()
}

fn written(file: PathBuf) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn global(line: &[&str]) -> Global {
        Cli::try_parse_from(line).expect("parses").global
    }

    #[test]
    fn said_comes_before_written_before_usual() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().to_str().expect("text");
        let silent = ["nautilus", "version", "--data-dir", path];
        assert_eq!(endpoint(&global(&silent)).expect("usual"), ENDPOINT_DEFAULT);
        fs::write(endpoint_file(dir.path()), "127.0.0.1:4711\n").expect("write");
        assert_eq!(endpoint(&global(&silent)).expect("written"), "127.0.0.1:4711");
        let said = ["nautilus", "version", "--data-dir", path, "--endpoint", "http://h:1/"];
        assert_eq!(endpoint(&global(&said)).expect("said"), "h:1");
        let odd = ["nautilus", "version", "--endpoint", "h:1/path"];
        assert!(endpoint(&global(&odd)).is_err());
    }
}
