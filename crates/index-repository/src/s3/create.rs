//! Creating objects that fit one request, and telling one's own from another's.

use std::borrow::Cow;

use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore as _, PutMode, PutOptions, PutPayload,
};

use super::S3Repository;
use super::failure::{Failure, Meaning};
use crate::{ObjectName, ObjectSource, RepositoryError};

/// Metadata of every object: which call stored it.
const PUT_ATTRIBUTE: Attribute = Attribute::Metadata(Cow::Borrowed("put"));

/// Drawn for one call of a put, over all its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PutId(String);

impl PutId {
    pub(super) fn draw() -> Result<Self, RepositoryError> {
        let mut id = [0; 16];
        match aws_lc_rs::rand::fill(&mut id) {
            Ok(()) => Ok(Self(format!("{:032x}", u128::from_be_bytes(id)))),
            Err(_) => Err(RepositoryError::unavailable("no randomness for the id of a put")),
        }
    }

    pub(super) fn attributes(&self) -> Attributes {
        Attributes::from_iter([(PUT_ATTRIBUTE, self.0.clone())])
    }
}

impl S3Repository {
    /// Stores an object of at most one part's length.
    pub(super) async fn put_whole(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        let mut chunks = Vec::new();
        while let Some(chunk) = source.next_chunk().await? {
            chunks.push(chunk);
        }
        let (key, id) = (self.key(name), PutId::draw()?);
        self.create(name, &key, &id, PutPayload::from_iter(chunks)).await
    }

    /// Creates an object by one request, repeated where that is worth it.
    pub(super) async fn create(
        &self,
        name: &ObjectName,
        key: &Path,
        id: &PutId,
        payload: PutPayload,
    ) -> Result<(), RepositoryError> {
        let mut tries = self.patience().begin();
        let mut is_unclear = false;
        loop {
            let (mode, attributes) = (PutMode::Create, id.attributes());
            let options = PutOptions { mode, attributes, ..PutOptions::default() };
            let outcome = self.shared.store.put_opts(key, payload.clone(), options).await;
            let Err(failure) = outcome.map_err(Failure::of) else { return Ok(()) };
            if failure.meaning == Meaning::Exists {
                return self.settle(name, key, id, is_unclear, failure).await;
            }
            is_unclear |= failure.meaning == Meaning::Unclear;
            if !failure.is_passing() || !tries.again().await {
                return Err(if is_unclear { failure.unclear() } else { failure.of_object(name) });
            }
        }
    }

    /// What a call has come to that was told its name is taken, or its upload gone: done where the object
    /// there is its own. Another's means [`RepositoryError::Exists`], unless an earlier attempt may still
    /// be on its way: the name could be freed and that attempt succeed.
    pub(super) async fn settle(
        &self,
        name: &ObjectName,
        key: &Path,
        id: &PutId,
        is_unclear: bool,
        failure: Failure,
    ) -> Result<(), RepositoryError> {
        let mut tries = self.patience().begin();
        let options = GetOptions { head: true, ..GetOptions::default() };
        loop {
            match self.shared.store.get_opts(key, options.clone()).await.map_err(Failure::of) {
                Ok(found)
                    if found.attributes.get(&PUT_ATTRIBUTE).is_some_and(|put| **put == *id.0) =>
                {
                    return Ok(());
                }
                Ok(_) if is_unclear => return Err(failure.unclear()),
                Ok(_) => return Err(RepositoryError::Exists { name: name.to_string() }),
                Err(passing) if passing.is_passing() && tries.again().await => {}
                // Gone as it was looked at, or not to be looked at.
                Err(_) => return Err(failure.unclear()),
            }
        }
    }
}
