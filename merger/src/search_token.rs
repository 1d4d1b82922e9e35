//! Page tokens of searches: where a page ended and what page one froze, sealed.
//!
//! A token holds the place of the last hit, the statistics it was ranked by, the total, whether the
//! query was relaxed, the offsets page one was served at, and by a hash each the namespaces it saw.
//! It opens no door: the scope of every page is asked of the catalog again, and only shrinks.

use nautilus_catalog::UserId;
use nautilus_identity::{LogIdentity, TokenError, TokenKey, TokenKind, query_hash};
use nautilus_proto::leaf::v1::Statistics;
use nautilus_types::{DocumentId, NamespaceName, Offset, PartitionId};
use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::coverage::Asked;
use crate::error::PageTokenProblem;
use crate::rank::{Namespace, Place};
use crate::wish::Wish;

/// Most partitions whose offsets a token holds; a scope of more has one page.
const PARTITIONS_MAX: usize = 256;
/// Up to this many namespaces are kept by 32 bits of their hash, more by 24, which are shorter as
/// gaps: a namespace shared between two pages is then taken for one of page one once in 16,000.
const WIDE_HASHES_MAX: usize = 64;

/// What page one froze, and how far the pages have come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    /// The last hit of the page before.
    pub(crate) place: Place,
    /// What all pages are ranked by.
    pub(crate) statistics: Statistics,
    /// Matches, as page one counted them.
    pub(crate) total_hits: u64,
    /// All words found nothing, so any are searched for.
    pub(crate) is_relaxed: bool,
    /// By partition, the offset at which these pages first showed it: later pages show at least
    /// that, and nothing that changed since.
    pub(crate) offsets: Asked,
    /// Which build they are of; none in tokens from before there were builds.
    pub(crate) build: Option<String>,
    /// The scope of page one.
    pub(crate) namespaces: NamespaceSet,
}

/// What a token is good for: this request of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    user: String,
    query: u64,
    namespaces: u64,
    filter: u64,
    sort: u64,
}

impl Binding {
    /// `names` as the request lists them.
    pub(crate) fn of(user: &UserId, query: &str, names: &[String], wish: &Wish) -> Self {
        let mut sorted: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let names = Names { names: sorted.into_iter().map(<[u8]>::to_vec).collect() };
        let mut text = vec![wish.syntax.number(), wish.matching.number()];
        text.extend_from_slice(query.as_bytes());
        let filter = wish.filter.map(|filter| filter.encode_to_vec());
        let sort = wish.sort.map(|sort| sort.encode_to_vec());
        Self {
            user: user.as_str().to_owned(),
            query: query_hash(&text),
            namespaces: query_hash(&names.encode_to_vec()),
            filter: filter.map_or(0, |filter| query_hash(&filter)),
            sort: sort.map_or(0, |sort| query_hash(&sort)),
        }
    }
}

/// Lives of namespaces, by hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespaceSet {
    /// Ascending.
    hashes: Vec<u32>,
}

impl NamespaceSet {
    pub(crate) fn of(scope: &[Namespace]) -> Self {
        let mut hashes: Vec<u32> = scope.iter().map(|life| hash_of(life, scope.len())).collect();
        hashes.sort_unstable();
        Self { hashes }
    }

    pub(crate) fn contains(&self, life: &Namespace) -> bool {
        self.hashes.binary_search(&hash_of(life, self.hashes.len())).is_ok()
    }

    fn to_gaps(&self) -> Vec<u32> {
        let before = std::iter::once(0).chain(self.hashes.iter().copied());
        self.hashes.iter().zip(before).map(|(hash, before)| hash - before).collect()
    }

    fn of_gaps(gaps: &[u32]) -> Option<Self> {
        let hashes = gaps.iter().scan(Some(0_u32), |last, gap| {
            *last = last.and_then(|last| last.checked_add(*gap));
            Some(*last)
        });
        Some(Self { hashes: hashes.collect::<Option<_>>()? })
    }
}

fn hash_of((name, incarnation): &Namespace, count: usize) -> u32 {
    let bytes = [&incarnation.0.to_le_bytes()[..], name.as_bytes()].concat();
    let bits = if count <= WIDE_HASHES_MAX { 32 } else { 24 };
    u32::try_from(xxh3_64(&bytes) >> (64 - bits)).unwrap_or(u32::MAX)
}

#[derive(Clone, PartialEq, prost::Message)]
struct Names {
    #[prost(bytes = "vec", repeated, tag = "1")]
    names: Vec<Vec<u8>>,
}

/// The sealed content. Fields are only added: clients keep tokens over upgrades.
#[derive(Clone, PartialEq, prost::Message)]
struct Content {
    #[prost(bytes = "vec", tag = "1")]
    cluster_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    log_generation: u64,
    #[prost(string, tag = "3")]
    user: String,
    #[prost(fixed64, tag = "4")]
    query: u64,
    #[prost(fixed64, tag = "5")]
    names: u64,
    #[prost(fixed64, tag = "6")]
    filter: u64,
    #[prost(fixed64, tag = "7")]
    sort: u64,
    #[prost(double, tag = "8")]
    score: f64,
    #[prost(sint64, optional, tag = "9")]
    sort_value: Option<i64>,
    #[prost(bytes = "vec", tag = "10")]
    document_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "11")]
    namespace: Vec<u8>,
    #[prost(uint64, tag = "12")]
    documents: u64,
    #[prost(uint64, tag = "13")]
    total_length: u64,
    #[prost(uint64, repeated, tag = "14")]
    document_frequencies: Vec<u64>,
    #[prost(uint64, tag = "15")]
    total_hits: u64,
    #[prost(bool, tag = "16")]
    is_relaxed: bool,
    /// Ascending, one for each of `next_offsets`.
    #[prost(uint32, repeated, tag = "17")]
    partitions: Vec<u32>,
    #[prost(uint64, repeated, tag = "18")]
    next_offsets: Vec<u64>,
    /// From each hash of [`NamespaceSet`] to the next.
    #[prost(uint32, repeated, tag = "19")]
    namespace_gaps: Vec<u32>,
    #[prost(string, optional, tag = "20")]
    build: Option<String>,
}

/// The token of the next page; none where it would not fit.
pub(crate) fn seal(
    key: &TokenKey,
    log: &LogIdentity,
    binding: &Binding,
    progress: &Progress,
) -> Result<Option<String>, TokenError> {
    if progress.offsets.len() > PARTITIONS_MAX {
        return Ok(None);
    }
    let Progress { place, statistics, .. } = progress;
    let content = Content {
        cluster_id: log.cluster_id.to_vec(),
        log_generation: log.generation.0,
        user: binding.user.clone(),
        query: binding.query,
        names: binding.namespaces,
        filter: binding.filter,
        sort: binding.sort,
        score: place.score,
        sort_value: place.sort_value,
        document_id: place.document_id.as_bytes().to_vec(),
        namespace: place.namespace.as_bytes().to_vec(),
        documents: statistics.documents,
        total_length: statistics.total_length,
        document_frequencies: statistics.document_frequencies.clone(),
        total_hits: progress.total_hits,
        is_relaxed: progress.is_relaxed,
        partitions: progress.offsets.keys().map(|partition| partition.0).collect(),
        next_offsets: progress.offsets.values().map(|offset| offset.0).collect(),
        namespace_gaps: progress.namespaces.to_gaps(),
        build: progress.build.clone(),
    };
    match key.seal(TokenKind::SearchPage, &content.encode_to_vec()) {
        Ok(token) => Ok(Some(token)),
        Err(TokenError::TooLarge { .. }) => Ok(None),
        Err(error @ (TokenError::Forged | TokenError::Foreign | TokenError::SealFailed)) => {
            Err(error)
        }
    }
}

/// What a token holds, if it is one of this request.
pub(crate) fn open(
    key: &TokenKey,
    log: &LogIdentity,
    binding: &Binding,
    token: &str,
) -> Result<Progress, PageTokenProblem> {
    let content = key.open(TokenKind::SearchPage, token).map_err(|_| PageTokenProblem::Forged)?;
    let content = Content::decode(&*content).map_err(|_| PageTokenProblem::Forged)?;
    if content.cluster_id != log.cluster_id || content.log_generation != log.generation.0 {
        return Err(PageTokenProblem::Foreign);
    }
    for (is_same, problem) in [
        (content.user == binding.user, PageTokenProblem::User),
        (content.query == binding.query, PageTokenProblem::Query),
        (content.names == binding.namespaces, PageTokenProblem::Scope),
        (content.filter == binding.filter, PageTokenProblem::Filter),
        (content.sort == binding.sort, PageTokenProblem::Sort),
    ] {
        if !is_same {
            return Err(problem);
        }
    }
    progress(content).ok_or(PageTokenProblem::Forged)
}

fn progress(content: Content) -> Option<Progress> {
    if content.partitions.len() != content.next_offsets.len() {
        return None;
    }
    let partitions = content.partitions.into_iter().map(PartitionId);
    Some(Progress {
        place: Place {
            score: content.score,
            sort_value: content.sort_value,
            document_id: DocumentId::new(&content.document_id).ok()?,
            namespace: NamespaceName::new(&content.namespace).ok()?,
        },
        statistics: Statistics {
            documents: content.documents,
            total_length: content.total_length,
            document_frequencies: content.document_frequencies,
        },
        total_hits: content.total_hits,
        is_relaxed: content.is_relaxed,
        build: content.build,
        offsets: partitions.zip(content.next_offsets.into_iter().map(Offset)).collect(),
        namespaces: NamespaceSet::of_gaps(&content.namespace_gaps)?,
    })
}

#[cfg(test)]
mod tests;
