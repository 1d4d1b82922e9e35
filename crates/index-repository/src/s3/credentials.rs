//! Keys from a file, read again when it changes, so that they can be exchanged under a running process.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The credentials in a file.
pub(super) struct FileCredentials {
    path: PathBuf,
    last: Mutex<Option<(Version, Arc<AwsCredential>)>>,
}

/// What changes when a file is written or replaced.
type Version = (Option<SystemTime>, u64);

impl FileCredentials {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::new(None) }
    }

    async fn current(&self) -> std::io::Result<Arc<AwsCredential>> {
        let metadata = tokio::fs::metadata(&self.path).await?;
        let version = (metadata.modified().ok(), metadata.len());
        if let Some((known, credential)) =
            &*self.last.lock().unwrap_or_else(PoisonError::into_inner)
            && *known == version
        {
            return Ok(Arc::clone(credential));
        }
        if metadata.len() > FILE_BYTES_MAX {
            return Err(std::io::Error::other("it is too long"));
        }
        let text = tokio::fs::read_to_string(&self.path).await?;
        let credential = parse(&text).ok_or_else(|| {
            std::io::Error::other(
                "it has no aws_access_key_id and aws_secret_access_key in [default]",
            )
        })?;
        let credential = Arc::new(credential);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((version, Arc::clone(&credential)));
        Ok(credential)
    }
}

impl fmt::Debug for FileCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCredentials").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a file gives no key.
#[derive(Debug, thiserror::Error)]
#[error("read the credentials in {path}", path = path.display())]
pub(super) struct UnreadCredentials {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

#[async_trait]
impl CredentialProvider for FileCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.current().await.map_err(|source| {
            let error = UnreadCredentials { path: Path::to_owned(&self.path), source };
            object_store::Error::Generic { store: "S3", source: Box::new(error) }
        })
    }
}

/// The key of the section `[default]`; lines before the first section count as its.
fn parse(text: &str) -> Option<AwsCredential> {
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    let mut is_default = true;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_default = section.trim_end_matches(']').trim() == "default";
        } else if is_default
            && !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
        {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => key_id = value,
                "aws_secret_access_key" => secret_key = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(AwsCredential { key_id: key_id?, secret_key: secret_key?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("credentials");
        let provider = FileCredentials::new(path.clone());
        assert!(provider.get_credential().await.is_err(), "no file");
        let write = |key_id: &str| {
            let text = format!(
                "# a comment\n[other]\naws_access_key_id = no\n[default]\naws_access_key_id = {key_id}\n\
                 aws_secret_access_key=hush=\naws_session_token = \n"
            );
            std::fs::write(&path, text).expect("written");
        };
        for key_id in ["one", "another"] {
            write(key_id);
            for _ in 0..2 {
                let credential = provider.get_credential().await.expect("read");
                assert_eq!((&*credential.key_id, &*credential.secret_key), (key_id, "hush="));
                assert_eq!(credential.token, None);
            }
        }
        assert!(!format!("{provider:?}").contains("hush"));
        std::fs::write(&path, "[default]\naws_access_key_id = half\n").expect("written");
        assert!(provider.get_credential().await.is_err(), "no secret");
    }
}
