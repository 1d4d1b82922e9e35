//! Words by prefix: every word of every document is looked at.

use std::collections::BTreeMap;

use nautilus_query::{Field, FieldSet};
use nautilus_types::{Incarnation, NamespaceName};

use crate::ReferenceEngine;

impl ReferenceEngine {
    /// The `limit` words that begin with `prefix` and stand in one of the fields of most documents, with how many;
    /// equal ones by their bytes.
    #[must_use]
    pub fn suggest(
        &self,
        scope: &[(NamespaceName, Incarnation)],
        prefix: &str,
        fields: FieldSet,
        limit: usize,
    ) -> Vec<(String, u64)> {
        let mut documents: BTreeMap<&str, u64> = BTreeMap::new();
        for candidate in self.candidates(scope) {
            let searched = Field::ALL.into_iter().filter(|field| fields.contains(*field));
            let mut words: Vec<&str> = searched
                .flat_map(|field| &candidate.fields[field.index()])
                .map(String::as_str)
                .filter(|word| word.starts_with(prefix))
                .collect();
            words.sort_unstable();
            words.dedup();
            for word in words {
                *documents.entry(word).or_default() += 1;
            }
        }
        let mut words: Vec<_> =
            documents.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
        // Stable: equal counts keep the order of the map.
        words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        words.truncate(limit);
        words
    }
}
