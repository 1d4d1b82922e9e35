//! What is stored: bytes or a local file, read in chunks, hashed and counted on the way.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::RepositoryError;
use crate::pace::Pace;

/// Largest chunk, in bytes: big enough that handing over costs nothing, small enough that hashing
/// one does not hold up a runtime thread (about half a millisecond).
pub const CHUNK_BYTES: usize = 512 * 1024;

/// Largest object, in bytes.
pub const OBJECT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// SHA-256 (FIPS 180-4) of an object.
pub type Sha256 = [u8; 32];

/// The content of an object on its way into a repository.
pub struct ObjectSource<'a> {
    content: Content,
    size_bytes: u64,
    sent_bytes: u64,
    hashing: digest::Context,
    sha256: Option<Sha256>,
    observer: Option<&'a (dyn Fn(u64) + Send + Sync)>,
    pace: Option<&'a Pace>,
}

enum Content {
    Bytes(Bytes),
    File { file: File, path: PathBuf },
}

impl<'a> ObjectSource<'a> {
    /// Bytes in memory.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self::new(Content::Bytes(bytes), size_bytes)
    }

    /// A local file, which must be a regular one of at most [`OBJECT_BYTES_MAX`] and not change
    /// while it is read.
    pub async fn from_file(path: &Path) -> Result<Self, RepositoryError> {
        let metadata = tokio::fs::symlink_metadata(path).await.map_err(|e| unread(path, e))?;
        let size_bytes = metadata.len();
        if !metadata.is_file() {
            return Err(invalid(path, "not a regular file".to_owned()));
        }
        if size_bytes > OBJECT_BYTES_MAX {
            let problem =
                format!("{size_bytes} bytes long, at most {OBJECT_BYTES_MAX} are allowed");
            return Err(invalid(path, problem));
        }
        let file = File::open(path).await.map_err(|e| unread(path, e))?;
        Ok(Self::new(Content::File { file, path: path.to_owned() }, size_bytes))
    }

    fn new(content: Content, size_bytes: u64) -> Self {
        let hashing = digest::Context::new(&digest::SHA256);
        Self {
            content,
            size_bytes,
            sent_bytes: 0,
            hashing,
            sha256: None,
            observer: None,
            pace: None,
        }
    }

    /// Calls `observer` with the length of every chunk that is handed out.
    #[must_use]
    pub fn observed_by(mut self, observer: &'a (dyn Fn(u64) + Send + Sync)) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Waits before a chunk is handed out, for as long as `pace` says.
    #[must_use]
    pub(crate) fn paced_by(mut self, pace: Option<&'a Pace>) -> Self {
        self.pace = pace;
        self
    }

    /// The length of the whole, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Of all bytes; there once [`next_chunk`](Self::next_chunk) has returned `None`.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256> {
        self.sha256
    }

    /// The next 1 to [`CHUNK_BYTES`] bytes; `None` at the end. [`RepositoryError::Local`] where the
    /// file cannot be read or is no longer as long as it was.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, RepositoryError> {
        if self.sha256.is_some() {
            return Ok(None);
        }
        let chunk = match &mut self.content {
            Content::Bytes(bytes) => {
                let start = usize::try_from(self.sent_bytes).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(start..bytes.len().min(start.saturating_add(CHUNK_BYTES)))
            }
            Content::File { file, path } => {
                let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
                file.read_buf(&mut chunk).await.map_err(|e| unread(path, e))?;
                chunk.freeze()
            }
        };
        if chunk.is_empty() {
            return self.end().map(|()| None);
        }
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.sent_bytes = self.sent_bytes.saturating_add(length);
        if self.sent_bytes > self.size_bytes {
            return Err(self.changed());
        }
        if let Some(pace) = self.pace {
            pace.pay(length).await;
        }
        self.hashing.update(&chunk);
        if let Some(observer) = self.observer {
            observer(length);
        }
        Ok(Some(chunk))
    }

    /// Begins again, for an implementation that repeats an upload.
    pub async fn rewind(&mut self) -> Result<(), RepositoryError> {
        if let Content::File { file, path } = &mut self.content {
            file.seek(SeekFrom::Start(0)).await.map_err(|e| unread(path, e))?;
        }
        self.sent_bytes = 0;
        self.sha256 = None;
        self.hashing = digest::Context::new(&digest::SHA256);
        Ok(())
    }

    fn end(&mut self) -> Result<(), RepositoryError> {
        if self.sent_bytes != self.size_bytes {
            return Err(self.changed());
        }
        self.sha256 = Some(finish(self.hashing.clone()));
        Ok(())
    }

    fn changed(&self) -> RepositoryError {
        let problem = std::io::Error::other("its length changed while it was read");
        match &self.content {
            Content::File { path, .. } => unread(path, problem),
            // Bytes in memory do not change; said rather than asserted.
            Content::Bytes(_) => unread(Path::new("memory"), problem),
        }
    }
}

/// The result of a SHA-256 context.
pub(crate) fn finish(hashing: digest::Context) -> Sha256 {
    let mut sha256 = [0; 32];
    // SHA-256 gives 32 bytes; with another algorithm the copy would panic in every test.
    sha256.copy_from_slice(hashing.finish().as_ref());
    sha256
}

/// SHA-256 of bytes in memory.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    let mut hashing = digest::Context::new(&digest::SHA256);
    hashing.update(bytes);
    finish(hashing)
}

fn unread(path: &Path, source: std::io::Error) -> RepositoryError {
    RepositoryError::Local { operation: "read", path: path.to_owned(), source }
}

fn invalid(path: &Path, problem: String) -> RepositoryError {
    let problem = format!("{} is {problem}", path.display());
    RepositoryError::Invalid { what: "local file", problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(source: &mut ObjectSource<'_>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(chunk) = source.next_chunk().await.expect("chunk") {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK_BYTES);
            all.extend_from_slice(&chunk);
        }
        all
    }

    #[tokio::test]
    async fn bytes_and_files_give_the_same_and_rewind() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("f");
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1] {
            let content: Vec<u8> = (0_u8..251).cycle().take(length).collect();
            std::fs::write(&path, &content).expect("written");
            let mut file = ObjectSource::from_file(&path).await.expect("opened");
            let mut bytes = ObjectSource::from_bytes(Bytes::from(content.clone()));
            let sha256 = sha256(&content);
            for source in [&mut file, &mut bytes] {
                for _ in 0..2 {
                    assert_eq!(source.sha256(), None);
                    assert_eq!(all(source).await, content);
                    assert_eq!(source.sha256(), Some(sha256));
                    source.rewind().await.expect("rewound");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_its_length_is_refused() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("f");
        for (before, after) in [("four", "longer"), ("four", "two")] {
            std::fs::write(&path, before).expect("written");
            let mut source = ObjectSource::from_file(&path).await.expect("opened");
            std::fs::write(&path, after).expect("written");
            let outcome = async {
                while source.next_chunk().await?.is_some() {}
                Ok(())
            };
            assert!(matches!(outcome.await, Err(RepositoryError::Local { .. })));
        }
    }

    #[tokio::test]
    async fn only_regular_files_of_bounded_length() {
        let dir = tempfile::tempdir().expect("folder");
        let (file, link) = (dir.path().join("f"), dir.path().join("l"));
        std::fs::write(&file, "x").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        for path in [&link, &dir.path().to_owned()] {
            let refused = ObjectSource::from_file(path).await;
            assert!(matches!(refused, Err(RepositoryError::Invalid { .. })));
        }
        let big = std::fs::OpenOptions::new().write(true).open(&file).expect("opened");
        big.set_len(OBJECT_BYTES_MAX + 1).expect("sparse");
        let refused = ObjectSource::from_file(&file).await;
        assert!(matches!(refused, Err(RepositoryError::Invalid { .. })));
    }
}
