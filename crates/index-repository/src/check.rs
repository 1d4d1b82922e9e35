//! Does a store keep what the port promises? Asked of the real one, in a folder of its own, before it is trusted.
//!
//! A service may honour a condition when it is asked alone and not when several ask at once: only a race shows that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::Instant;

use crate::{IndexRepository, ObjectName, ObjectSource, RepositoryError};

#[cfg(test)]
mod tests;

/// Writers of one name at once.
const WRITERS: u8 = 8;
/// Readers beside them.
const READERS: usize = 4;
/// Objects of a listing, in pages of [`PAGE`].
const LISTED: usize = 7;
const PAGE: usize = 3;
/// Length of the smallest object that is raced for: more than one packet, less than a part of an upload.
const RACED_BYTES: usize = 48 * 1024;

/// What is promised, and how often it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// What is promised.
    pub name: &'static str,
    /// How often it was looked at.
    pub checked: u64,
    /// How often it was not so.
    pub broken: u64,
    /// The first time it was not so.
    pub example: Option<String>,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises {
    /// Each promise, in the order it is checked in.
    pub promises: Vec<Promise>,
    /// Times everything was done.
    pub rounds: u64,
    /// Rounds that were given up because a call was not answered. That is no broken promise.
    pub unanswered: u64,
}

impl Promises {
    /// Whether everything was looked at and nothing was broken.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.promises.iter().all(|promise| promise.checked > 0 && promise.broken == 0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    OneWinner,
    WholeOrAbsent,
    ReadYourWrites,
    NotReplaced,
    Listings,
    Ranges,
    Deletes,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::OneWinner,
        Self::WholeOrAbsent,
        Self::ReadYourWrites,
        Self::NotReplaced,
        Self::Listings,
        Self::Ranges,
        Self::Deletes,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OneWinner => "of several creating one name, exactly one does",
            Self::WholeOrAbsent => {
                "a reader meanwhile sees nothing or the whole, and never another"
            }
            Self::ReadYourWrites => {
                "what was created is read back at once, as its creator wrote it"
            }
            Self::NotReplaced => "what exists is not replaced",
            Self::Listings => "a listing has all there is, in order, over its pages",
            Self::Ranges => "a range is read exactly, also at the ends",
            Self::Deletes => {
                "what was deleted is gone at once, from listings too, and its name is free"
            }
        }
    }
}

/// Hammers `repository` beneath `scratch`, a folder in which nothing else is, until `time` is over, at least once.
/// What it made is removed, also after an error, which says that it could not be checked at all.
pub async fn check_promises(
    repository: Arc<dyn IndexRepository>,
    scratch: &ObjectName,
    time: Duration,
) -> Result<Promises, RepositoryError> {
    let began = Instant::now();
    let checker = Checker { repository, tally: Mutex::default() };
    let (mut rounds, mut unanswered): (u64, u64) = (0, 0);
    let outcome = loop {
        let folder = scratch.join(&format!("{:010}", rounds.saturating_add(unanswered)))?;
        match checker.round(&folder).await {
            Ok(()) => rounds = rounds.saturating_add(1),
            Err(RepositoryError::Unavailable(_)) => unanswered = unanswered.saturating_add(1),
            Err(error) => break Err(error),
        }
        if began.elapsed() >= time {
            break Ok(());
        }
    };
    let cleaned = checker.clean(scratch).await;
    outcome?;
    cleaned?;
    let tally = checker.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let promise = |kind: Kind| {
        let unchecked = Promise { name: kind.name(), checked: 0, broken: 0, example: None };
        tally.get(&kind).cloned().unwrap_or(unchecked)
    };
    Ok(Promises { promises: Kind::ALL.map(promise).to_vec(), rounds, unanswered })
}

struct Checker {
    repository: Arc<dyn IndexRepository>,
    tally: Mutex<BTreeMap<Kind, Promise>>,
}

impl Checker {
    async fn round(&self, folder: &ObjectName) -> Result<(), RepositoryError> {
        self.race(folder, &folder.join("race")?).await?;
        self.listings(&folder.join("listed")?).await?;
        self.ranges(&folder.join("ranges")?).await?;
        self.clean(folder).await
    }

    fn note(&self, kind: Kind, is_kept: bool, problem: impl FnOnce() -> String) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let unchecked = Promise { name: kind.name(), checked: 0, broken: 0, example: None };
        let promise = tally.entry(kind).or_insert(unchecked);
        promise.checked = promise.checked.saturating_add(1);
        if !is_kept {
            promise.broken = promise.broken.saturating_add(1);
            promise.example.get_or_insert_with(problem);
        }
    }

    async fn create(&self, name: &ObjectName, bytes: Bytes) -> Result<bool, RepositoryError> {
        match self.repository.put_new(name, &mut ObjectSource::from_bytes(bytes)).await {
            Ok(()) => Ok(true),
            Err(RepositoryError::Exists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, name: &ObjectName) -> Result<Option<Bytes>, RepositoryError> {
        match self.repository.get(name, 2 * RACED_BYTES).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(RepositoryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Many create one name while others read it; then it is there, stays, and goes.
    async fn race(&self, folder: &ObjectName, name: &ObjectName) -> Result<(), RepositoryError> {
        let contents: Vec<Bytes> = (1..=WRITERS).map(content).collect();
        let is_over = AtomicBool::new(false);
        let writes = async {
            let creates = contents.iter().map(|bytes| self.create(name, bytes.clone()));
            let outcomes = join_all(creates).await;
            is_over.store(true, Ordering::SeqCst);
            outcomes
        };
        let (outcomes, seen) =
            tokio::join!(writes, join_all((0..READERS).map(|_| self.watch(name, &is_over))));
        let (mut winners, mut unclear) = (Vec::new(), 0);
        for (outcome, bytes) in outcomes.into_iter().zip(&contents) {
            match outcome {
                Ok(true) => winners.push(bytes),
                Ok(false) => {}
                Err(RepositoryError::Unavailable(_)) => unclear += 1,
                Err(error) => return Err(error),
            }
        }
        // One that was not answered may be the one.
        let is_one = winners.len() == 1 || (winners.is_empty() && unclear > 0);
        self.note(Kind::OneWinner, is_one, || {
            format!("{name}: {} of {WRITERS} were told that they did", winners.len())
        });
        for seen in seen {
            let problem = watched(&seen?, &contents);
            let is_kept = problem.is_none();
            self.note(Kind::WholeOrAbsent, is_kept, || {
                format!("{name}: {}", problem.unwrap_or_default())
            });
        }
        let [winner] = winners[..] else { return Ok(()) };
        let read = self.read(name).await?;
        let length = self.repository.head(name).await.map(|meta| meta.size_bytes);
        let is_winners = read.as_ref() == Some(winner) && length.ok() == Some(length_of(winner));
        self.note(Kind::ReadYourWrites, is_winners, || {
            format!("{name}: read {} and not what was created", shown(read.as_ref()))
        });
        let is_replaced = self.create(name, content(WRITERS.saturating_add(1))).await?;
        let after = self.read(name).await?;
        self.note(Kind::NotReplaced, !is_replaced && after == read, || {
            format!("{name}: created again: {is_replaced}, then read {}", shown(after.as_ref()))
        });
        self.deletes(folder, name).await
    }

    /// What a reader sees until writers are done, each change once.
    async fn watch(
        &self,
        name: &ObjectName,
        is_over: &AtomicBool,
    ) -> Result<Vec<Option<Bytes>>, RepositoryError> {
        let mut seen = Vec::new();
        loop {
            let is_last = is_over.load(Ordering::SeqCst);
            let now = self.read(name).await?;
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            if is_last {
                return Ok(seen);
            }
            // A store that answers at once must not keep the writers from being asked.
            tokio::task::yield_now().await;
        }
    }

    async fn deletes(&self, folder: &ObjectName, name: &ObjectName) -> Result<(), RepositoryError> {
        self.repository.delete(name).await?;
        let read = self.read(name).await?;
        let is_listed = self.names(folder, None).await?.contains(name);
        self.repository.delete(name).await?;
        let is_free = self.create(name, content(1)).await?;
        let is_kept = read.is_none() && !is_listed && is_free;
        self.note(Kind::Deletes, is_kept, || {
            format!("{name}: after it read {}, free again: {is_free}", shown(read.as_ref()))
        });
        Ok(())
    }

    /// Listings while objects come and go; each step is seen by the next listing.
    async fn listings(&self, folder: &ObjectName) -> Result<(), RepositoryError> {
        let names: Result<Vec<_>, _> =
            (0..LISTED).map(|number| folder.join(&format!("{number:03}"))).collect();
        let mut expected = names?;
        let creates = expected.iter().map(|name| self.create(name, Bytes::from_static(b"listed")));
        for outcome in join_all(creates).await {
            outcome?;
        }
        while !expected.is_empty() {
            for limit in [None, Some(PAGE)] {
                let listed = self.names(folder, limit).await?;
                self.note(Kind::Listings, listed == expected, || {
                    format!("{folder}: {} of {} objects", listed.len(), expected.len())
                });
            }
            let gone = expected.swap_remove(expected.len() / 2);
            expected.sort();
            self.repository.delete(&gone).await?;
        }
        Ok(())
    }

    /// All names beneath a folder, in pages of `limit`.
    async fn names(
        &self,
        folder: &ObjectName,
        limit: Option<usize>,
    ) -> Result<Vec<ObjectName>, RepositoryError> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let limit = limit.unwrap_or(crate::LIST_PAGE_MAX);
            let page = self.repository.list(Some(folder), after.as_ref(), limit).await?;
            names.extend(page.objects.into_iter().map(|object| object.name));
            match page.next_after {
                Some(next_after) => after = Some(next_after),
                None => return Ok(names),
            }
        }
    }

    async fn ranges(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        let bytes: Bytes = (0..=u8::MAX).cycle().take(RACED_BYTES + 77).collect();
        self.create(name, bytes.clone()).await?;
        let length = bytes.len();
        let (large, ends) = (length * 2, length - 1);
        let ranges = [
            (0, 1),
            (0, length),
            (0, large),
            (1, 300),
            (ends, 1),
            (ends, 9),
            (length, 5),
            (large, 5),
        ];
        let reads = ranges.map(|(from, wanted)| async move {
            let from_bytes = u64::try_from(from).unwrap_or(u64::MAX);
            (from, wanted, self.repository.get_range(name, from_bytes, wanted).await)
        });
        for (from, wanted, read) in join_all(reads).await {
            let read = read?;
            let end = from.saturating_add(wanted).min(length);
            let expected = bytes.slice(from.min(end)..end);
            self.note(Kind::Ranges, read == expected, || {
                format!("{name}: {} bytes of {wanted} from {from}", read.len())
            });
        }
        Ok(())
    }

    async fn clean(&self, folder: &ObjectName) -> Result<(), RepositoryError> {
        for object in self.repository.list_all(folder).await? {
            self.repository.delete(&object.name).await?;
        }
        Ok(())
    }
}

/// What one writer writes: no part of it is a part of another's, and none is as long.
fn content(writer: u8) -> Bytes {
    vec![writer; RACED_BYTES + usize::from(writer)].into()
}

/// What is wrong with what a reader saw.
fn watched(seen: &[Option<Bytes>], contents: &[Bytes]) -> Option<String> {
    let is_foreign = |bytes: &&Bytes| !contents.contains(*bytes);
    if let Some(bytes) = seen.iter().flatten().find(is_foreign) {
        return Some(format!("read {} which nobody wrote", shown(Some(bytes))));
    }
    // Nothing, then one object to the end; each change is in it once.
    let is_kept = matches!(seen, [] | [_] | [None, Some(_)]);
    (!is_kept).then(|| format!("it changed {} times", seen.len().saturating_sub(1)))
}

fn shown(read: Option<&Bytes>) -> String {
    match read {
        Some(bytes) => format!("{} bytes", bytes.len()),
        None => "nothing".to_owned(),
    }
}

fn length_of(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
