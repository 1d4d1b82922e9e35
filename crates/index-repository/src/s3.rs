//! The production repository: a bucket of an S3-compatible service, one object per object.
//!
//! ```text
//! S3Repository ─► Tries (which attempt, how long to wait) ─► object_store ─► Wire ─► server
//!                     └── Failure: what a failed request means
//! ```
//!
//! `docs/adr/2026-11-22-object-store.md` says why it is done this way.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore as _, ObjectStoreExt as _};

use self::failure::{Failure, Meaning};
use self::multipart::Abandoned;
use self::tries::Patience;
use crate::{
    IndexRepository, LIST_PAGE_MAX, ObjectMeta, ObjectName, ObjectSource, Page, RepositoryError,
};

mod client;
mod config;
mod create;
mod credentials;
mod failure;
mod multipart;
mod probe;
mod stale;
#[cfg(test)]
mod tests;
mod tries;
mod wire;

pub use config::{S3Config, S3Credentials};

/// No object reaches as far; servers and libraries disagree about numbers beyond.
const POSITION_MAX: u64 = 1 << 62;

/// An index repository in a bucket of an S3-compatible service, which several processes may use at once.
///
/// The service must honour `If-None-Match: *` when it stores an object and when it completes a
/// multipart upload, and must answer what it stored last: both are looked at on opening, the first by
/// an object of this repository's own, `=conditional-create`, which stays and is never listed. An
/// object's name is its key, behind the prefix; nothing else may write there.
///
/// A put holds up to [`S3Config::part_bytes`] in memory, one of a longer object that much for each part
/// on its way and one more. It marks its object with metadata `put`, drawn at random, by which it knows
/// its own object when the answer to it was lost.
///
/// An upload in parts that fails is aborted at once; one whose future is dropped, with the next put; one
/// whose process is killed, by [`abort_stale_uploads`](IndexRepository::abort_stale_uploads), which
/// collecting orphans calls. A lifecycle rule of the bucket that aborts incomplete uploads after some days
/// does the same. None of them is ever visible as an object.
#[derive(Clone)]
pub struct S3Repository {
    shared: Arc<Shared>,
}

struct Shared {
    config: S3Config,
    store: AmazonS3,
    http: object_store::client::HttpClient,
    /// What all keys begin with.
    key_prefix: String,
    abandoned: Arc<Mutex<Abandoned>>,
}

impl S3Repository {
    /// Opens a bucket that is there. [`RepositoryError::Invalid`] for a setting that cannot be, a bucket
    /// that is not there or a service that does not honour conditions, [`RepositoryError::Denied`] where
    /// the credentials are refused, [`RepositoryError::Unavailable`] where nobody answers.
    pub async fn open(config: S3Config) -> Result<Self, RepositoryError> {
        config.check()?;
        let (store, http) = client::build(&config).await?;
        let (key_prefix, abandoned) = (config.key_prefix(), Arc::default());
        let shared = Shared { config, store, http, key_prefix, abandoned };
        let repository = Self { shared: Arc::new(shared) };
        repository.list(None, None, 1).await?;
        repository.check_conditions().await?;
        Ok(repository)
    }

    fn patience(&self) -> Patience {
        Patience::of(&self.shared.config)
    }

    fn key(&self, name: &ObjectName) -> Path {
        // Names have no character that a path would write in another way.
        Path::from(format!("{}{name}", self.shared.key_prefix))
    }

    /// The name of an object of ours.
    fn name(&self, key: &Path) -> Option<ObjectName> {
        ObjectName::new(key.as_ref().strip_prefix(&self.shared.key_prefix)?).ok()
    }

    fn meta(&self, name: ObjectName, meta: &object_store::ObjectMeta) -> ObjectMeta {
        // Whole seconds: a head has no more, and it says the same as a listing.
        let seconds = u64::try_from(meta.last_modified.timestamp()).unwrap_or_default();
        ObjectMeta { name, size_bytes: meta.size, stored_unix_ms: seconds.saturating_mul(1000) }
    }

    async fn try_list(
        &self,
        prefix: &str,
        options: PaginatedListOptions,
    ) -> Result<(Vec<ObjectMeta>, Option<String>), RepositoryError> {
        let mut tries = self.patience().begin();
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        loop {
            let outcome = self.shared.store.list_paginated(prefix, options.clone()).await;
            match outcome.map_err(Failure::of) {
                Ok(page) => {
                    let objects = page.result.objects.iter();
                    // What others left here is none of ours.
                    let ours = objects
                        .filter_map(|meta| Some(self.meta(self.name(&meta.location)?, meta)));
                    return Ok((ours.collect(), page.page_token));
                }
                Err(failure) if failure.is_passing() && tries.again().await => {}
                Err(failure) => return Err(failure.without_object()),
            }
        }
    }

    /// The bytes of a range, which `collect` makes of the answer.
    async fn read<T: Default>(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
        collect: impl AsyncFn(GetResult) -> object_store::Result<T> + Sync,
    ) -> Result<T, RepositoryError> {
        if length_max == 0 || from >= POSITION_MAX {
            return self.head(name).await.map(|_| T::default());
        }
        let length_max = u64::try_from(length_max).unwrap_or(u64::MAX);
        let range = from..from.saturating_add(length_max).min(POSITION_MAX);
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let (key, mut tries) = (self.key(name), self.patience().begin());
        loop {
            let outcome = match self.shared.store.get_opts(&key, options.clone()).await {
                Ok(answer) => collect(answer).await,
                Err(error) => Err(error),
            };
            match outcome.map_err(Failure::of) {
                Ok(read) => return Ok(read),
                // Said of objects only that are there.
                Err(failure) if failure.meaning == Meaning::Behind => return Ok(T::default()),
                Err(failure) if failure.is_passing() && tries.again().await => {}
                Err(failure) => return Err(failure.of_object(name)),
            }
        }
    }
}

async fn pieces(answer: GetResult) -> object_store::Result<Vec<Bytes>> {
    answer.into_stream().try_collect().await
}

impl fmt::Debug for S3Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Repository").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl IndexRepository for S3Repository {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        self.abort_abandoned().await;
        let part_bytes = u64::try_from(self.shared.config.part_bytes).unwrap_or(u64::MAX);
        if source.size_bytes() <= part_bytes {
            self.put_whole(name, source).await
        } else {
            self.put_in_parts(name, source).await
        }
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        self.read(name, from, length_max, GetResult::bytes).await
    }

    async fn get_pieces(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Vec<Bytes>, RepositoryError> {
        self.read(name, from, length_max, pieces).await
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        let (key, mut tries) = (self.key(name), self.patience().begin());
        loop {
            match self.shared.store.head(&key).await.map_err(Failure::of) {
                Ok(meta) => return Ok(self.meta(name.clone(), &meta)),
                Err(failure) if failure.is_passing() && tries.again().await => {}
                Err(failure) => return Err(failure.of_object(name)),
            }
        }
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        let key_prefix = &self.shared.key_prefix;
        let limit = limit.clamp(1, LIST_PAGE_MAX);
        let prefix = match folder {
            Some(folder) => format!("{key_prefix}{folder}/"),
            None => key_prefix.clone(),
        };
        let mut options = PaginatedListOptions {
            offset: after.map(|after| format!("{key_prefix}{after}")),
            max_keys: Some(limit),
            ..PaginatedListOptions::default()
        };
        let mut objects = Vec::new();
        loop {
            let (more, token) = self.try_list(&prefix, options.clone()).await?;
            objects.extend(more);
            let is_ascending = objects
                .is_sorted_by(|left: &ObjectMeta, right| left.name < right.name)
                && objects
                    .first()
                    .is_none_or(|first| after.is_none_or(|after| first.name > *after));
            if !is_ascending {
                return Err(RepositoryError::unavailable("the server lists keys out of order"));
            }
            // What is not ours leaves room in a page.
            if token.is_some() && objects.len() < limit {
                options.page_token = token;
                continue;
            }
            let has_more = token.is_some() || objects.len() > limit;
            objects.truncate(limit);
            let last = objects.last().map(|object| object.name.clone());
            return Ok(Page { next_after: last.filter(|_| has_more), objects });
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        let (key, mut tries) = (self.key(name), self.patience().begin());
        loop {
            match self.shared.store.delete(&key).await.map_err(Failure::of) {
                Ok(()) => return Ok(()),
                Err(failure) if matches!(failure.meaning, Meaning::Missing | Meaning::Folder) => {
                    return Ok(());
                }
                Err(failure) if failure.is_passing() && tries.again().await => {}
                Err(failure) => return Err(failure.of_object(name)),
            }
        }
    }

    async fn abort_stale_uploads(
        &self,
        folder: Option<&ObjectName>,
        older_than_unix_ms: u64,
    ) -> Result<u64, RepositoryError> {
        self.abort_stale(folder, older_than_unix_ms).await
    }
}
