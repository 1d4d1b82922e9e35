//! What `nautilus feed --ack-log` wrote: the documents whose writes were acknowledged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Content hash in hexadecimal by document id.
pub type Hashes = BTreeMap<String, String>;

/// The acknowledged writes in the file, none where there is no file. A line that was not written to
/// its end speaks for nothing.
pub fn read(path: &Path) -> anyhow::Result<Hashes> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Hashes::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let mut acks = Hashes::new();
    for line in text.split_inclusive('\n') {
        let Some(line) = line.strip_suffix('\n') else { break };
        let Some((id, hash)) = line.split_once('\t') else {
            bail!("{}: the line {line:?} is not `id<TAB>hash`", path.display());
        };
        acks.insert(id.to_owned(), hash.to_owned());
    }
    Ok(acks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_count() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("acks");
        assert!(read(&path).expect("no file").is_empty());
        fs::write(&path, "a\t01\nb c\t02\nd\t0").expect("write");
        let acks = read(&path).expect("reads");
        assert_eq!(acks.into_keys().collect::<Vec<_>>(), ["a", "b c"]);
        fs::write(&path, "nonsense\n").expect("write");
        assert!(read(&path).is_err());
    }
}
