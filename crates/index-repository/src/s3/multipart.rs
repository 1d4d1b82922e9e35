//! Uploads in parts: completed on the condition that the name is free, aborted otherwise.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{PutMultipartOptions, PutPayload};

use super::S3Repository;
use super::create::PutId;
use super::failure::{Failure, Meaning, folder_of_another};
use crate::{IndexRepository as _, ObjectName, ObjectSource, RepositoryError};

/// Abandoned uploads that are remembered; those beyond are found as stale ones.
const ABANDONED_MAX: usize = 1000;
/// Of them, how many a put aborts at most before it does its own work.
const ABORTED_BY_PUT_MAX: usize = 4;

/// Uploads whose futures were dropped, to be aborted by somebody who may wait.
#[derive(Debug, Default)]
pub(super) struct Abandoned(Vec<Begun>);

#[cfg(test)]
impl Abandoned {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// A multipart upload at the server.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) key: Path,
    pub(super) upload_id: String,
}

/// An upload that is neither completed nor aborted. Dropped, it is abandoned.
struct Unfinished {
    begun: Option<Begun>,
    abandoned: Arc<Mutex<Abandoned>>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
            if abandoned.0.len() < ABANDONED_MAX {
                abandoned.0.push(begun);
            }
        }
    }
}

impl S3Repository {
    /// Stores an object longer than one part.
    pub(super) async fn put_in_parts(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        // Servers that keep keys in folders say so after all parts were sent, if they say it.
        if !self.list(Some(name), None, 1).await?.objects.is_empty() {
            return Err(folder_of_another(name));
        }
        let (key, id) = (self.key(name), PutId::draw()?);
        let begun =
            self.begin_upload(&key, &id).await.map_err(|failure| failure.of_object(name))?;
        let abandoned = Arc::clone(&self.shared.abandoned);
        let mut unfinished = Unfinished { begun: Some(begun.clone()), abandoned };
        let outcome = match self.send_parts(name, &begun, source).await {
            Ok(parts) => self.complete(name, &begun, &id, parts).await,
            Err(error) => Err(error),
        };
        if outcome.is_ok() || self.abort(&begun).await.is_ok() {
            unfinished.begun = None;
        }
        outcome
    }

    pub(super) async fn begin_upload(&self, key: &Path, id: &PutId) -> Result<Begun, Failure> {
        let mut tries = self.patience().begin();
        loop {
            let options = PutMultipartOptions {
                attributes: id.attributes(),
                ..PutMultipartOptions::default()
            };
            let outcome = self.shared.store.create_multipart_opts(key, options).await;
            match outcome.map_err(Failure::of) {
                Ok(upload_id) => return Ok(Begun { key: key.clone(), upload_id }),
                Err(failure) if failure.is_passing() && tries.again().await => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Reads the next part while others are on their way.
    pub(super) async fn send_parts(
        &self,
        name: &ObjectName,
        begun: &Begun,
        source: &mut ObjectSource<'_>,
    ) -> Result<Vec<PartId>, RepositoryError> {
        let in_flight_max = self.shared.config.parts_in_flight_max;
        let mut left_over = None;
        let mut parts = Vec::new();
        let mut sending = FuturesOrdered::new();
        for index in 0.. {
            let reading = next_part(source, self.shared.config.part_bytes, &mut left_over);
            tokio::pin!(reading);
            let part = loop {
                tokio::select! {
                    biased;
                    part = &mut reading => break part?,
                    Some(sent) = sending.next(), if !sending.is_empty() => parts.push(sent?),
                }
            };
            let Some(part) = part else { break };
            sending.push_back(self.send_part(name, begun, index, part));
            while sending.len() >= in_flight_max.saturating_add(1) {
                if let Some(sent) = sending.next().await {
                    parts.push(sent?);
                }
            }
        }
        while let Some(sent) = sending.next().await {
            parts.push(sent?);
        }
        Ok(parts)
    }

    async fn send_part(
        &self,
        name: &ObjectName,
        Begun { key, upload_id }: &Begun,
        index: usize,
        part: PutPayload,
    ) -> Result<PartId, RepositoryError> {
        let mut tries = self.patience().begin();
        loop {
            let outcome = self.shared.store.put_part(key, upload_id, index, part.clone()).await;
            match outcome.map_err(Failure::of) {
                Ok(part) => return Ok(part),
                Err(failure) if failure.is_passing() && tries.again().await => {}
                Err(failure) => return Err(failure.of_object(name)),
            }
        }
    }

    /// Makes the parts the object, if the name is free.
    pub(super) async fn complete(
        &self,
        name: &ObjectName,
        Begun { key, upload_id }: &Begun,
        id: &PutId,
        parts: Vec<PartId>,
    ) -> Result<(), RepositoryError> {
        let mut tries = self.patience().begin();
        let mut is_unclear = false;
        loop {
            let outcome = self.shared.store.complete_multipart(key, upload_id, parts.clone()).await;
            let Err(failure) = outcome.map_err(Failure::of) else { return Ok(()) };
            match failure.meaning {
                // After a race S3 wants all parts again: it is left to the caller, who has better things
                // to do where the name is taken. No upload: it is completed, or was aborted.
                Meaning::Exists | Meaning::Raced | Meaning::NoUpload | Meaning::Missing => {
                    return self.settle(name, key, id, is_unclear, failure).await;
                }
                Meaning::Unclear => is_unclear = true,
                Meaning::NoBucket
                | Meaning::Behind
                | Meaning::Folder
                | Meaning::Denied
                | Meaning::Busy
                | Meaning::Refused => {}
            }
            if !failure.is_passing() || !tries.again().await {
                return Err(if is_unclear { failure.unclear() } else { failure.of_object(name) });
            }
        }
    }

    /// Ends an upload without an object, in one attempt; one that is not there is as good as ended. A part that the
    /// server is still taking may outlive it ("AbortMultipartUpload" in the S3 API reference): what comes back that way
    /// is left to [`Self::abort_stale_uploads`].
    pub(super) async fn abort(&self, Begun { key, upload_id }: &Begun) -> Result<(), Failure> {
        let outcome = self.shared.store.abort_multipart(key, upload_id).await;
        match outcome.map_err(Failure::of) {
            Err(failure) if !matches!(failure.meaning, Meaning::NoUpload | Meaning::Missing) => {
                Err(failure)
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Ends some uploads that were dropped or could not be ended. Does not go on where that fails: the
    /// server has other worries.
    pub(super) async fn abort_abandoned(&self) {
        for _ in 0..ABORTED_BY_PUT_MAX {
            let next = self.shared.abandoned.lock().unwrap_or_else(PoisonError::into_inner).0.pop();
            let Some(begun) = next else { return };
            // Abandoned once more where this fails or is dropped.
            let abandoned = Arc::clone(&self.shared.abandoned);
            let mut unfinished = Unfinished { begun: Some(begun.clone()), abandoned };
            if self.abort(&begun).await.is_err() {
                return;
            }
            unfinished.begun = None;
        }
    }
}

/// Exactly `part_bytes`, less at the end, none behind it.
async fn next_part(
    source: &mut ObjectSource<'_>,
    part_bytes: usize,
    left_over: &mut Option<bytes::Bytes>,
) -> Result<Option<PutPayload>, RepositoryError> {
    let mut chunks = Vec::new();
    let mut room = part_bytes;
    while room > 0 {
        let chunk = match left_over.take() {
            Some(chunk) => Some(chunk),
            None => source.next_chunk().await?,
        };
        let Some(mut chunk) = chunk else { break };
        if chunk.len() > room {
            *left_over = Some(chunk.split_off(room));
        }
        room = room.saturating_sub(chunk.len());
        chunks.push(chunk);
    }
    Ok((!chunks.is_empty()).then(|| PutPayload::from_iter(chunks)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_are_of_one_length_but_the_last() {
        let bytes: Vec<u8> = (0_u8..251).cycle().take(3 * 1024 * 1024 + 7).collect();
        for part_bytes in [1024 * 1024, 700_001, 3 * 1024 * 1024 + 7, 4 * 1024 * 1024] {
            let mut source = ObjectSource::from_bytes(bytes.clone().into());
            let (mut left_over, mut read) = (None, Vec::new());
            while let Some(part) =
                next_part(&mut source, part_bytes, &mut left_over).await.expect("read")
            {
                assert_eq!(part.content_length(), part_bytes.min(bytes.len() - read.len()));
                part.iter().for_each(|chunk| read.extend_from_slice(chunk));
            }
            assert!(read == bytes && source.sha256().is_some());
        }
    }
}
