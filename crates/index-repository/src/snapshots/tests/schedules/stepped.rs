//! A repository in memory that stops each actor before every call and after every effect.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::{IndexRepository, ObjectMeta, ObjectName, ObjectSource, Page, RepositoryError};

/// What all actors share.
#[derive(Default)]
pub(super) struct Store {
    objects: Mutex<BTreeMap<ObjectName, (Bytes, u64)>>,
    pub(super) now_unix_ms: Mutex<u64>,
}

/// A rule that is taken out, to see that the others do not hold without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    Nothing,
    /// Removals leave no mark.
    Unmarked,
    /// Collectors wait for no day.
    Hasty,
}

/// One actor's way to the store: each call takes a permit before its effect and one after it.
pub(super) struct Stepped {
    pub(super) store: Arc<Store>,
    pub(super) steps: Arc<Semaphore>,
    pub(super) planted: Planted,
}

impl Store {
    pub(super) fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectName, (Bytes, u64)>> {
        self.objects.lock().expect("unpoisoned")
    }

    pub(super) fn now(&self) -> u64 {
        *self.now_unix_ms.lock().expect("unpoisoned")
    }

    fn meta(name: &ObjectName, (bytes, stored_unix_ms): &(Bytes, u64)) -> ObjectMeta {
        let (size_bytes, stored_unix_ms) = (bytes.len() as u64, *stored_unix_ms);
        ObjectMeta { name: name.clone(), size_bytes, stored_unix_ms }
    }
}

impl Stepped {
    async fn step(&self) {
        self.steps.acquire().await.expect("open").forget();
    }
}

#[async_trait]
impl IndexRepository for Stepped {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = source.next_chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        if self.planted == Planted::Unmarked && name.as_str().contains("/retired/") {
            return Ok(());
        }
        self.step().await;
        let is_new = {
            let (mut objects, now) = (self.store.objects(), self.store.now());
            let is_new = !objects.contains_key(name);
            objects.entry(name.clone()).or_insert((bytes.into(), now));
            is_new
        };
        self.step().await;
        if is_new { Ok(()) } else { Err(RepositoryError::Exists { name: name.to_string() }) }
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        self.step().await;
        let found = self.store.objects().get(name).map(|(bytes, _)| bytes.clone());
        self.step().await;
        let bytes = found.ok_or_else(|| RepositoryError::NotFound { name: name.to_string() })?;
        let from = usize::try_from(from).expect("small").min(bytes.len());
        Ok(bytes.slice(from..bytes.len().min(from.saturating_add(length_max))))
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        self.step().await;
        let found = self.store.objects().get(name).map(|object| Store::meta(name, object));
        found.ok_or_else(|| RepositoryError::NotFound { name: name.to_string() })
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        self.step().await;
        let page = {
            let objects = self.store.objects();
            let is_listed = |name: &ObjectName| {
                folder.is_none_or(|folder| name.beneath(folder).is_some())
                    && after.is_none_or(|after| name > after)
            };
            let listed = objects.iter().filter(|(name, _)| is_listed(name));
            let metas = listed.map(|(name, object)| Store::meta(name, object));
            // Pages of three, so that listings have seams.
            let mut objects: Vec<_> = metas.take(limit.clamp(1, 3) + 1).collect();
            let has_more = objects.len() > limit.clamp(1, 3);
            objects.truncate(limit.clamp(1, 3));
            let last = objects.last().map(|object| object.name.clone());
            Page { next_after: last.filter(|_| has_more), objects }
        };
        self.step().await;
        Ok(page)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        self.step().await;
        self.store.objects().remove(name);
        self.step().await;
        Ok(())
    }
}
