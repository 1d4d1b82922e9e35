//! The suite every implementation of [`IndexRepository`] runs: the port's rules, one case each.
//!
//! ```ignore
//! mod folder {
//!     nautilus_index_repository::index_repository_conformance!(TempFolder::open().await);
//! }
//! ```
//!
//! The expression makes a fresh [`RepositoryUnderTest`] for each case, in a tokio test with several
//! threads. Behind `optional` it makes an `Option`, and a case without a subject ends: whoever makes
//! none says why.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{IndexRepository, ObjectName, ObjectSource, RepositoryError};

mod list;
mod read;
mod write;

pub use list::*;
pub use read::*;
pub use write::*;

/// An empty repository.
#[async_trait]
pub trait RepositoryUnderTest: Send {
    /// The repository as it is open now.
    fn repository(&self) -> Arc<dyn IndexRepository>;

    /// Opens the repository again with what it holds, as after a restart of the process.
    async fn reopen(&mut self) -> Arc<dyn IndexRepository>;
}

/// Stamps the suite for one implementation: a test per case. Put it in a module of its own.
#[macro_export]
macro_rules! index_repository_conformance {
    ($subject:expr) => {
        $crate::index_repository_conformance! { optional Some($subject) }
    };
    (optional $subject:expr) => {
        $crate::index_repository_conformance! { @cases $subject =>
            objects_come_back_whole
            readers_see_the_whole_object_or_none
            one_of_many_creators_wins
            a_taken_name_keeps_its_object
            a_failing_source_stores_nothing
            objects_survive_reopening
            missing_is_not_found
            ranges_end_where_the_object_ends
            whole_reads_are_bounded
            deleting_again_changes_nothing
            a_deleted_name_is_free
            listings_are_complete_sorted_and_paged
            pages_are_bounded
            listings_keep_to_their_folder
            listings_say_length_and_age
        }
    };
    (@cases $subject:expr => $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let Some(subject) = $subject else { return };
                $crate::conformance::$case(subject).await;
            }
        )+
    };
}

/// No step of the suite takes this long unless it hangs.
const STEP_MAX: Duration = Duration::from_secs(60);

/// The result of a step that must end.
async fn bounded<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_MAX, step).await.expect("the step ended in time")
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).expect("an allowed name")
}

/// Bytes that differ from position to position and from seed to seed.
fn content(seed: usize, length: usize) -> Bytes {
    (0..length).map(|i| u8::try_from((i + seed * 31) % 251).expect("below 251")).collect()
}

async fn put(
    repository: &dyn IndexRepository,
    object: &ObjectName,
    content: Bytes,
) -> Result<(), RepositoryError> {
    bounded(repository.put_new(object, &mut ObjectSource::from_bytes(content))).await
}

async fn get(
    repository: &dyn IndexRepository,
    object: &ObjectName,
) -> Result<Bytes, RepositoryError> {
    bounded(repository.get(object, 64 * 1024 * 1024)).await
}

#[track_caller]
fn assert_not_found(outcome: Result<impl std::fmt::Debug, RepositoryError>, object: &ObjectName) {
    match outcome {
        Err(RepositoryError::NotFound { name }) => assert_eq!(name, object.as_str()),
        other => panic!("expected not found, got {other:?}"),
    }
}

#[track_caller]
fn assert_exists(outcome: Result<(), RepositoryError>, object: &ObjectName) {
    match outcome {
        Err(RepositoryError::Exists { name }) => assert_eq!(name, object.as_str()),
        other => panic!("expected exists, got {other:?}"),
    }
}
