//! Key files: made once, whole or not at all, and private.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{KeyError, KeyPair, PublicKey};
use crate::TokenKey;

/// Label of a private key in PEM (RFC 7468).
const PRIVATE_LABEL: &str = "PRIVATE KEY";
/// Label of a token key: no standard names such a thing.
const TOKEN_LABEL: &str = "NAUTILUS TOKEN KEY";

impl KeyPair {
    /// Reads the pair `name` from `dir`, or makes it there: `NAME.key` (mode 600) and, for those who
    /// only verify, `NAME.pub`. Of several processes that do this at once all get the same pair.
    pub fn open(dir: &Path, name: &str) -> Result<Self, KeyError> {
        fs::create_dir_all(dir).map_err(io_error("make the folder", dir))?;
        let path = private_path(dir, name);
        let pair = match Self::load(&path) {
            Ok(pair) => pair,
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::create(dir, &path)?;
                // Read back: another process may have been first.
                Self::load(&path)?
            }
            Err(error) => return Err(error),
        };
        pair.store_public(dir, name)?;
        Ok(pair)
    }

    /// Reads a private key file; refuses one that others can read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { what: "private key" };
        Self::from_pkcs8(&load_private(path, PRIVATE_LABEL, malformed)?)
    }

    /// Makes a new key at `path` unless there is one.
    fn create(dir: &Path, path: &Path) -> Result<(), KeyError> {
        create_private(dir, path, PRIVATE_LABEL, Self::generate()?.pkcs8())
    }

    /// Writes the public part where it is missing or another key's.
    fn store_public(&self, dir: &Path, name: &str) -> Result<(), KeyError> {
        let path = public_path(dir, name);
        let text = self.public().to_pem();
        match fs::read_to_string(&path) {
            Ok(stored) if stored == text => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("read the public key", &path)(error)),
        }
        let file = write_aside(dir, &path, text.as_bytes(), 0o644)?;
        file.persist(&path).map_err(|e| io_error("store the public key", &path)(e.error))?;
        sync_dir(dir)
    }
}

impl PublicKey {
    /// Reads `NAME.pub` from `dir`, where [`KeyPair::open`] put it.
    pub fn load(dir: &Path, name: &str) -> Result<Self, KeyError> {
        let path = public_path(dir, name);
        let text = fs::read_to_string(&path).map_err(io_error("read the public key", &path))?;
        Self::from_pem(&text)
    }
}

impl TokenKey {
    /// Reads the key from `path`, or makes it there (mode 600). Of several processes that do this at
    /// once all get the same key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let load =
            || Self::from_bytes(&load_private(path, TOKEN_LABEL, || KeyError::TokenKeyMalformed)?);
        match load() {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
                let dir = dir.unwrap_or(Path::new("."));
                fs::create_dir_all(dir).map_err(io_error("make the folder", dir))?;
                create_private(dir, path, TOKEN_LABEL, &Self::random_bytes()?)?;
                // Read back: another process may have been first.
                load()
            }
            loaded => loaded,
        }
    }
}

/// The contents of a private file; refuses one that others can read.
fn load_private(
    path: &Path,
    label: &str,
    malformed: impl Fn() -> KeyError,
) -> Result<Vec<u8>, KeyError> {
    let mode =
        fs::metadata(path).map_err(io_error("look at the private key", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyError::TooOpen { path: path.to_path_buf(), mode: mode & 0o777 });
    }
    let text = fs::read_to_string(path).map_err(io_error("read the private key", path))?;
    let pem = pem::parse(text).map_err(|_| malformed())?;
    if pem.tag() == label { Ok(pem.into_contents()) } else { Err(malformed()) }
}

/// Writes a private file at `path` unless there is one.
fn create_private(dir: &Path, path: &Path, label: &str, contents: &[u8]) -> Result<(), KeyError> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = pem::encode_config(&pem::Pem::new(label, contents), config);
    let file = write_aside(dir, path, text.as_bytes(), 0o600)?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_dir(dir),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error("store the private key", path)(error.error)),
    }
}

fn private_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.key"))
}

fn public_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pub"))
}

/// The bytes, synced, in a file of another name in the same folder. Nobody ever sees half of a key.
fn write_aside(
    dir: &Path,
    path: &Path,
    bytes: &[u8],
    mode: u32,
) -> Result<tempfile::NamedTempFile, KeyError> {
    let failed = || io_error("write", path);
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)
        .map_err(failed())?;
    file.write_all(bytes).map_err(failed())?;
    // Independent of the umask, which only takes bits away.
    file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed())?;
    file.as_file().sync_all().map_err(failed())?;
    Ok(file)
}

/// Makes the new name itself durable.
fn sync_dir(dir: &Path) -> Result<(), KeyError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync the folder", dir))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::Io { action, path: path.to_path_buf(), source }
}
