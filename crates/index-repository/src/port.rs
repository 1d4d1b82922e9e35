//! The port: what any index repository promises, without naming a backend.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ObjectName, ObjectSource, RepositoryError};

/// Most objects of one page of a listing.
pub const LIST_PAGE_MAX: usize = 1_000;

/// What a listing says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its name.
    pub name: ObjectName,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// When it was stored, by the repository's clock, in milliseconds since the Unix epoch. For
    /// telling old from new by hours, never for order.
    pub stored_unix_ms: u64,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Ascending by name.
    pub objects: Vec<ObjectMeta>,
    /// Where there is more: what to give as `after` for the next page.
    pub next_after: Option<ObjectName>,
}

/// Objects that are written once, read often, and deleted in the end.
///
/// **Whole or absent.** An object is visible under its name with all its bytes, or not at all, to
/// every reader at every moment, also after a crash of the writer. Its content never changes.
///
/// **Durability.** What [`put_new`](Self::put_new) answered without an error survives the loss of
/// the process and of power.
///
/// **Outcomes.** [`RepositoryError::Unavailable`] from `put_new` or [`delete`](Self::delete) leaves
/// open whether it happened; so does dropping their futures. Every other error of `put_new` says
/// that this call stored nothing. Reads may be dropped freely.
///
/// **Folders.** No object's name may be the folder of another's: where an implementation cannot
/// store both it answers [`RepositoryError::Invalid`].
#[async_trait]
pub trait IndexRepository: Send + Sync {
    /// Stores the bytes of `source` under a name that is free, else [`RepositoryError::Exists`]: of
    /// several calls at once for one name at most one succeeds, and the object is that call's.
    /// Holds a bounded part of the object in memory, which the implementation says. A source that cannot be read or has another
    /// length than it said is [`RepositoryError::Local`] and nothing is stored.
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError>;

    /// Reads up to `length_max` bytes from position `from`: fewer only where the object ends, none
    /// at and behind its end. [`RepositoryError::NotFound`] where there is no object.
    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError>;

    /// What [`get_range`](Self::get_range) reads, in pieces as they came and in order, for those who pass
    /// them on and need no copy of it in one piece.
    async fn get_pieces(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Vec<Bytes>, RepositoryError> {
        Ok(vec![self.get_range(name, from, length_max).await?])
    }

    /// The length of an object, or [`RepositoryError::NotFound`].
    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError>;

    /// Lists the objects beneath `folder` (all there are for `None`) whose names are above `after`,
    /// at most `limit` and at most [`LIST_PAGE_MAX`] of them, `limit` 0 counting as 1. Complete:
    /// what was stored before the first page was asked for and is not deleted meanwhile is listed.
    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError>;

    /// Removes an object; one that is not there is as good as removed.
    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError>;

    /// Ends uploads beneath `folder` (all for `None`) that began before `older_than_unix_ms` by the
    /// repository's clock and were not completed, and frees what they hold; returns how many. They are
    /// no objects and were never visible. An upload that is still going on would fail: leave it much
    /// more time than one ever takes. Where the implementation keeps no such thing, it does nothing.
    async fn abort_stale_uploads(
        &self,
        folder: Option<&ObjectName>,
        older_than_unix_ms: u64,
    ) -> Result<u64, RepositoryError> {
        let _ = (folder, older_than_unix_ms);
        Ok(0)
    }

    /// A whole object of at most `bytes_max`, else [`RepositoryError::TooLarge`].
    async fn get(&self, name: &ObjectName, bytes_max: usize) -> Result<Bytes, RepositoryError> {
        let bytes = self.get_range(name, 0, bytes_max.saturating_add(1)).await?;
        if bytes.len() > bytes_max {
            return Err(RepositoryError::TooLarge { name: name.to_string(), bytes_max });
        }
        Ok(bytes)
    }

    /// All pages of [`list`](Self::list) together.
    async fn list_all(&self, folder: &ObjectName) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.list(Some(folder), after.as_ref(), LIST_PAGE_MAX).await?;
            all.extend(page.objects);
            match page.next_after {
                Some(next_after) => after = Some(next_after),
                None => return Ok(all),
            }
        }
    }
}
