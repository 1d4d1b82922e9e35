//! The suite: objects by one request, and every object in parts.

use super::*;
use crate::conformance::RepositoryUnderTest;

/// Stores every object as a multipart upload, however short.
struct InParts(S3Repository);

#[async_trait]
impl IndexRepository for InParts {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        self.0.put_in_parts(name, source).await
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        // Both ways of reading are the same.
        let read = self.0.get_range(name, from, length_max).await?;
        assert!(self.0.get_pieces(name, from, length_max).await?.concat() == read);
        Ok(read)
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        self.0.head(name).await
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        self.0.list(folder, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        self.0.delete(name).await
    }
}

struct Subject {
    config: S3Config,
    is_in_parts: bool,
    repository: Arc<dyn IndexRepository>,
}

impl Subject {
    async fn open(prefix: Option<&str>, is_in_parts: bool) -> Option<Self> {
        let config = S3Config { prefix: prefix.map(name), ..bucket()? };
        let repository = Self::repository(&config, is_in_parts).await;
        Some(Self { config, is_in_parts, repository })
    }

    async fn repository(config: &S3Config, is_in_parts: bool) -> Arc<dyn IndexRepository> {
        let repository = open(config).await;
        if is_in_parts { Arc::new(InParts(repository)) } else { Arc::new(repository) }
    }
}

#[async_trait]
impl RepositoryUnderTest for Subject {
    fn repository(&self) -> Arc<dyn IndexRepository> {
        Arc::clone(&self.repository)
    }

    async fn reopen(&mut self) -> Arc<dyn IndexRepository> {
        self.repository = Self::repository(&self.config, self.is_in_parts).await;
        self.repository()
    }
}

mod by_one_request {
    crate::index_repository_conformance!(optional super::Subject::open(None, false).await);
}

mod in_parts {
    crate::index_repository_conformance!(optional super::Subject::open(Some("a/prefix"), true).await);
}
