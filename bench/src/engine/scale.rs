//! How much is measured: within two minutes, or at the sizes the targets are set for.

use super::data::{Group, LENGTH_MEDIAN, Namespace, Shape};
use super::dataset::Size;
use super::lines::bytes::zipf;
use super::lines::top10::{Edits, Effort};
use super::lines::{churn, namespaces, sustained, visible};

/// The numbers of one scale.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) name: &'static str,
    pub(crate) effort: Effort,
    /// The corpus that is searched.
    pub(crate) searched: Shape,
    /// Groups of `searched` that are queried, and how many of their namespaces.
    queried: Vec<(usize, u32)>,
    pub(crate) live: Edits,
    /// The corpus that is edited one by one.
    pub(crate) edited: Shape,
    pub(crate) visible: visible::Effort,
    /// Edits of the one document that is edited all the time.
    pub(crate) hot_edits: usize,
    /// Documents of each corpus whose bytes are counted.
    pub(crate) sized_documents: u32,
    /// The corpus that is built again in each round.
    pub(crate) built: Shape,
    pub(crate) churned: Shape,
    pub(crate) churn: churn::Effort,
    pub(crate) sustained: sustained::Effort,
    pub(crate) namespaces: namespaces::Effort,
}

impl Scale {
    /// Two minutes on two cores.
    pub(crate) fn quick(seed: u64) -> Self {
        Self {
            name: "quick",
            effort: Effort { rounds: 5, queries: 8, pass_micros: 1_000.0, seed },
            searched: Shape {
                groups: vec![
                    Group { namespaces: 1, documents: 20_000 },
                    Group { namespaces: 1, documents: 10_000 },
                    Group { namespaces: 50, documents: 100 },
                    Group { namespaces: 500, documents: 10 },
                ],
                length_median: LENGTH_MEDIAN,
                seed,
            },
            queried: vec![(2, 8), (1, 1), (0, 1)],
            live: Edits { before: 1_000, between: 100 },
            edited: zipf(30, 3_000, seed),
            visible: visible::Effort { rounds: 5, edits: 50, batched: 1_000, seed },
            hot_edits: 3_000,
            sized_documents: 4_000,
            built: zipf(30, 1_500, seed),
            churned: zipf(30, 2_000, seed),
            churn: churn::Effort { edits: 10_000, rounds: 5, asked: 12, seed },
            sustained: sustained::Effort { rounds: 5, seconds: 0.5, seed },
            namespaces: namespaces::Effort {
                rounds: 5,
                queried: 1_000,
                others: 20_000,
                scope: 500,
                seed,
            },
        }
    }

    /// The sizes of the targets. Some hours.
    pub(crate) fn full(seed: u64) -> Self {
        Self {
            name: "full",
            effort: Effort { rounds: 7, queries: 30, pass_micros: 3_000.0, seed },
            searched: Shape {
                groups: vec![
                    Group { namespaces: 1, documents: 1_000_000 },
                    Group { namespaces: 3, documents: 10_000 },
                    Group { namespaces: 200, documents: 100 },
                    Group { namespaces: 10_000, documents: 10 },
                ],
                ..Self::quick(seed).searched
            },
            queried: vec![(2, 20), (1, 3), (0, 1)],
            live: Edits { before: 20_000, between: 500 },
            edited: zipf(30, 20_000, seed),
            visible: visible::Effort { rounds: 7, edits: 500, batched: 2_000, seed },
            hot_edits: 100_000,
            sized_documents: 50_000,
            built: zipf(30, 50_000, seed),
            churned: zipf(30, 200_000, seed),
            churn: churn::Effort { edits: 10_000_000, rounds: 7, asked: 10, seed },
            sustained: sustained::Effort { rounds: 7, seconds: 10.0, seed },
            namespaces: namespaces::Effort {
                rounds: 7,
                queried: 10_000,
                others: 1_000_000,
                scope: 1_000,
                seed,
            },
        }
    }

    /// Whether making the documents takes longer than measuring.
    pub(crate) fn is_large(&self) -> bool {
        self.searched.groups.iter().any(|group| group.documents >= 1_000_000)
    }

    /// The queried namespaces by their size.
    pub(crate) fn sizes(&self) -> Vec<Size> {
        let first_of = |group: usize| -> Namespace {
            self.searched.groups.iter().take(group).map(|group| group.namespaces).sum()
        };
        let of_group = |&(group, namespaces): &(usize, u32)| Size {
            documents: self.searched.groups[group].documents,
            namespaces: (first_of(group)..first_of(group) + namespaces).collect(),
        };
        self.queried.iter().map(of_group).collect()
    }
}
