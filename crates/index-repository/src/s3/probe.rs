//! Whether a service honours conditions: without them two writers of one name would both succeed.

use object_store::PutPayload;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;

use super::S3Repository;
use super::create::PutId;
use super::failure::Failure;
use super::multipart::Begun;
use crate::{ObjectName, RepositoryError};

/// Below the prefix. `=` is in no name of an object.
const PROBE_KEY: &str = "=conditional-create";

impl S3Repository {
    /// Creates the probe where it is not there, and then must not be able to create it again, neither by
    /// one request nor in parts.
    pub(super) async fn check_conditions(&self) -> Result<(), RepositoryError> {
        let key = Path::from(format!("{}{PROBE_KEY}", self.shared.key_prefix));
        let name = ObjectName::new("conditional-create")?;
        for _ in 0..2 {
            // The first may find it there already: then the second says nothing new.
            match self.create(&name, &key, &PutId::draw()?, PutPayload::new()).await {
                Ok(()) => {}
                Err(RepositoryError::Exists { .. }) => {
                    return self.check_completion(&name, key).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(overwrites("PutObject"))
    }

    async fn check_completion(&self, name: &ObjectName, key: Path) -> Result<(), RepositoryError> {
        let id = PutId::draw()?;
        let begun = self.begin_upload(&key, &id).await.map_err(Failure::without_object)?;
        let part = PutPayload::from_static(b"x");
        let part = self.shared.store.put_part(&key, &begun.upload_id, 0, part).await;
        let outcome = match part.map_err(Failure::of) {
            Ok(part) => self.complete(name, &begun, &id, vec![part]).await,
            Err(failure) => Err(failure.without_object()),
        };
        self.end_probe(&begun).await;
        match outcome {
            Ok(()) => Err(overwrites("CompleteMultipartUpload")),
            Err(RepositoryError::Exists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn end_probe(&self, begun: &Begun) {
        // Left over it is one stale upload of one byte.
        let _ = self.abort(begun).await;
    }
}

fn overwrites(operation: &str) -> RepositoryError {
    let problem = format!("its {operation} ignores If-None-Match, so objects would be overwritten");
    RepositoryError::Invalid { what: "object store", problem }
}
