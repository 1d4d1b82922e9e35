//! The items that digests sum, each as bytes that no other item has.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128, xxh3_128_with_seed};

use crate::keys::Kind;
use crate::mutation::Attributes;
use crate::rows::document::Header;
use crate::rows::id::IdRow;
use crate::rows::namespace::NamespaceRow;
use crate::rows::posting::Frequencies;

/// Stands for a namespace's life, or a document in it, in what belongs to it.
pub(super) type Seed = u64;

/// Items begin with what they are.
const NAMESPACE: u8 = b'N';
const DELETED: u8 = b'X';
const ID: u8 = b'I';
const CONTENT: u8 = b'D';
const POSTINGS: [u8; 2] = [b'P', b'G'];

/// Builds the bytes of one item.
#[derive(Default)]
pub(super) struct Item(Vec<u8>);

impl Item {
    fn begin(&mut self, kind: u8) -> &mut Self {
        self.0.clear();
        self.0.push(kind);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn optional(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            None => self.0.push(0),
            Some(number) => {
                self.0.push(1);
                self.number(number);
            }
        }
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    fn hash(&self) -> u128 {
        xxh3_128(&self.0)
    }

    pub(super) fn namespace(&mut self, name: &[u8], row: &NamespaceRow) -> u128 {
        self.begin(NAMESPACE).bytes(name).number(row.incarnation);
        self.0.push(u8::from(row.is_live));
        self.hash()
    }

    /// The id and what is known without the document; a deleted one without version leaves nothing to know.
    pub(super) fn id(&mut self, ns: Seed, id: &[u8], row: &IdRow) -> Option<u128> {
        match (row.live, row.version) {
            (None, None) => return None,
            (None, Some(version)) => self.begin(DELETED).number(ns).bytes(id).number(version),
            (Some(live), version) => {
                let item = self.begin(ID).number(ns).bytes(id).optional(version);
                item.bytes(&live.content_hash)
            }
        };
        Some(self.hash())
    }

    pub(super) fn content(
        &mut self,
        document: Seed,
        header: &Header,
        body: &[u8],
        attributes: &Attributes,
    ) -> u128 {
        let Attributes { size_bytes, created_unix_ms, modified_unix_ms } = *attributes;
        self.begin(CONTENT).number(document);
        for text in [header.title.as_bytes(), header.path.as_bytes(), &header.metadata, body] {
            self.bytes(text);
        }
        for number in [size_bytes, created_unix_ms, modified_unix_ms] {
            self.optional(number.map(i64::cast_unsigned));
        }
        self.hash()
    }

    /// Begins the postings of a token, or of two common words.
    pub(super) fn begin_list(&mut self, kind: Kind, token: &[u8]) {
        self.begin(POSTINGS[usize::from(kind == Kind::PairPosting)]);
        self.0.extend_from_slice(&[0; FREQUENCIES_BYTES]);
        self.0.extend_from_slice(token);
    }

    /// One of them.
    pub(super) fn posting(&mut self, document: Seed, frequencies: Frequencies) -> u128 {
        let places = self.0[1..].chunks_exact_mut(4);
        for (place, frequency) in places.zip(frequencies.0) {
            place.copy_from_slice(&frequency.to_be_bytes());
        }
        xxh3_128_with_seed(&self.0, document)
    }
}

/// A number for each field.
const FREQUENCIES_BYTES: usize = 12;

/// Of one life of a namespace.
pub(super) fn seed_of_namespace(name: &[u8], incarnation: u64) -> Seed {
    xxh3_64_with_seed(name, incarnation)
}

/// Of one document in it; never 0.
pub(super) fn seed_of_document(ns: Seed, id: &[u8]) -> Seed {
    xxh3_64_with_seed(id, ns).max(1)
}
