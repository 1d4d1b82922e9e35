//! A temporary folder that is gone with the process, however that ends.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Removes the folder when its own input ends, which is when the process that made it is gone. Tries again,
/// since a service in it may be ending at that moment.
const REMOVER: &str = r#"
read -r _
tries=100
until rm -rf "$1" || [ "$tries" = 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
"#;

/// A folder for a service that is kept in a `static`, whose `Drop` never runs.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    remover: Child,
}

impl Folder {
    /// A new one that other users may pass through, since some services run as somebody else.
    pub(crate) fn new() -> io::Result<Self> {
        let folder =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o711)).tempdir()?;
        let remover = Command::new("sh")
            .args(["-c", REMOVER, "remover"])
            .arg(folder.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { path: folder.keep(), remover })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_gone_with_what_is_in_it() {
        let folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
