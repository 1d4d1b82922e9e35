//! Where a file of a snapshot lies: with the snapshot's own upload, or with an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_proto::snapshot::v1 as proto;

use super::manifest::{exactly, invalid};
use super::{SnapshotFile, SnapshotName, UploadId};
use crate::RepositoryError;

/// Most earlier uploads that one manifest names: each costs a listing before a download.
pub const UPLOADS_MAX: usize = 64;

/// The folder of one attempt to publish one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredIn {
    /// The snapshot that was published.
    pub snapshot: SnapshotName,
    /// The attempt.
    pub upload: UploadId,
}

/// The earlier uploads that files name, ascending, each once.
pub(super) fn to_proto(files: &[SnapshotFile]) -> (Vec<proto::SnapshotFile>, Vec<proto::Upload>) {
    let uploads: BTreeSet<&StoredIn> =
        files.iter().filter_map(|file| file.stored_in.as_ref()).collect();
    let numbers: BTreeMap<&StoredIn, u32> = uploads.iter().copied().zip(1..).collect();
    let file = |file: &SnapshotFile| proto::SnapshotFile {
        name: file.name.to_string(),
        size_bytes: file.size_bytes,
        sha256: file.sha256.to_vec(),
        stored_in: file.stored_in.as_ref().and_then(|stored| numbers.get(stored)).map_or(0, |n| *n),
    };
    let upload = |stored: &&StoredIn| proto::Upload {
        snapshot: stored.snapshot.to_string(),
        upload_id: stored.upload.0.to_vec(),
    };
    (files.iter().map(file).collect(), uploads.iter().map(upload).collect())
}

/// The earlier uploads of a manifest, and which of them its files name.
pub(super) struct Uploads {
    uploads: Vec<StoredIn>,
    named: BTreeSet<usize>,
}

impl Uploads {
    pub(super) fn from_proto(uploads: Vec<proto::Upload>) -> Result<Self, RepositoryError> {
        if uploads.len() > UPLOADS_MAX {
            let found = uploads.len();
            return Err(invalid(format!("it names {found} uploads, at most {UPLOADS_MAX}")));
        }
        let mut checked = Vec::with_capacity(uploads.len());
        for upload in uploads {
            let snapshot = SnapshotName::parse(&upload.snapshot)
                .ok_or_else(|| invalid("it names an upload of what is no snapshot"))?;
            let upload = UploadId(exactly("upload id", &upload.upload_id)?);
            checked.push(StoredIn { snapshot, upload });
        }
        if !checked.is_sorted_by(|left, right| left < right) {
            return Err(invalid("its uploads are not ascending"));
        }
        Ok(Self { uploads: checked, named: BTreeSet::new() })
    }

    /// What a file means by `stored_in`.
    pub(super) fn of(&mut self, stored_in: u32) -> Result<Option<StoredIn>, RepositoryError> {
        let Some(index) = usize::try_from(stored_in).unwrap_or(usize::MAX).checked_sub(1) else {
            return Ok(None);
        };
        let stored = self.uploads.get(index).cloned();
        let stored =
            stored.ok_or_else(|| invalid("a file lies with an upload it does not name"))?;
        self.named.insert(index);
        Ok(Some(stored))
    }

    /// There is one way to write a manifest: nothing is named for nothing, and what is its own has no number.
    pub(super) fn finish(self, own: &StoredIn) -> Result<(), RepositoryError> {
        if self.named.len() != self.uploads.len() {
            return Err(invalid("it names an upload of none of its files"));
        }
        if self.uploads.contains(own) {
            return Err(invalid("it names its own upload as an earlier one"));
        }
        Ok(())
    }
}
