//! Snapshots of partitions in an index repository: publish, find, download, prune.

use std::fmt;
use std::sync::Arc;

use crate::pace::Pace;
use crate::{IndexRepository, RepositoryError};

mod collect;
mod download;
mod envelope;
mod file_name;
mod find;
mod layout;
mod list;
mod manifest;
mod prune;
mod publish;
mod retire;
mod reuse;
mod slot_range;
mod stored;
#[cfg(test)]
mod tests;

pub use collect::Collected;
pub use file_name::FileName;
pub use find::{Found, PassedOver, Unusable, Wanted};
pub use layout::{SnapshotName, UploadId};
pub use manifest::{
    BUILD_BYTES_MAX, DIGEST_BYTES_MAX, FILES_MAX, LOG_BUILD, MANIFEST_VERSION, Manifest,
    SnapshotDraft, SnapshotFile, UPLOADER_BYTES_MAX,
};
pub use prune::{Removed, Retention};
pub use retire::GRACE;
pub use slot_range::SlotRange;
pub use stored::{StoredIn, UPLOADS_MAX};

/// Called with the bytes moved so far, over all files of the snapshot, from 0 up to their sum.
pub type Progress<'a> = dyn Fn(u64) + Send + Sync + 'a;

/// As [`Progress`], with the snapshot that was chosen.
pub type RestoreProgress<'a> = dyn Fn(&Manifest, u64) + Send + Sync + 'a;

/// Files of one snapshot on their way at once: enough to hide the round trips of an object store,
/// few enough to leave a machine's network and disk to its searches.
pub const TRANSFERS_MAX: usize = 4;

/// The snapshots of one cluster.
///
/// A snapshot is the files of one partition at one offset. Its files are stored first, each under a
/// name of this upload alone, then its manifest, under a name made of what the snapshot is: so a
/// snapshot is there with all its files or not at all, and none is ever replaced. A file that an earlier
/// upload of the partition has is named where it lies and not stored again.
/// `docs/formats/snapshot.md` lays out names and bytes.
///
/// Epochs are not compared here: a repository cannot tell that a lease has lapsed. An uploader that
/// lost its partition publishes, at worst, a sound snapshot under a name of its own epoch.
#[derive(Clone)]
pub struct Snapshots {
    repository: Arc<dyn IndexRepository>,
    cluster_id: [u8; 16],
    pace: Option<Arc<Pace>>,
}

impl Snapshots {
    /// The snapshots of the cluster `cluster_id` in `repository`, which may hold those of others.
    #[must_use]
    pub fn new(repository: Arc<dyn IndexRepository>, cluster_id: [u8; 16]) -> Self {
        Self { repository, cluster_id, pace: None }
    }

    /// Uploads no more than so many bytes of files a second, over all snapshots that this and its clones publish.
    #[must_use]
    pub fn paced(self, bytes_per_second: u64) -> Self {
        Self { pace: Some(Arc::new(Pace::new(bytes_per_second))), ..self }
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster_id = u128::from_be_bytes(self.cluster_id);
        f.debug_struct("Snapshots")
            .field("cluster_id", &format_args!("{cluster_id:032x}"))
            .finish_non_exhaustive()
    }
}

fn corrupt(name: impl fmt::Display, problem: impl fmt::Display) -> RepositoryError {
    RepositoryError::Corrupt { name: name.to_string(), problem: problem.to_string() }
}
