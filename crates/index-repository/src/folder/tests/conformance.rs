//! The suite for the folder, and for the folder behind a wrapper that injects nothing.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::conformance::RepositoryUnderTest;
use crate::{FaultPlan, Faulty};

struct TempFolder {
    dir: TempDir,
    repository: Arc<dyn IndexRepository>,
    is_wrapped: bool,
}

impl TempFolder {
    async fn open(is_wrapped: bool) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let repository = wrapped(super::open(dir.path()).await, is_wrapped);
        Self { dir, repository, is_wrapped }
    }
}

fn wrapped(repository: FolderRepository, is_wrapped: bool) -> Arc<dyn IndexRepository> {
    if is_wrapped {
        Arc::new(Faulty::new(Arc::new(repository), FaultPlan::default()))
    } else {
        Arc::new(repository)
    }
}

#[async_trait]
impl RepositoryUnderTest for TempFolder {
    fn repository(&self) -> Arc<dyn IndexRepository> {
        Arc::clone(&self.repository)
    }

    async fn reopen(&mut self) -> Arc<dyn IndexRepository> {
        self.repository = wrapped(super::open(self.dir.path()).await, self.is_wrapped);
        self.repository()
    }
}

mod plain {
    crate::index_repository_conformance!(super::TempFolder::open(false).await);
}

mod faulty_without_faults {
    crate::index_repository_conformance!(super::TempFolder::open(true).await);
}
