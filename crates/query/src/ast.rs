//! The query tree: n-ary, made of analysed tokens, bounded in depth and size by whoever builds it.

/// A searchable field of a document. The discriminant is its bit in [`FieldSet`] and its index in frequency arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The document's title.
    Title = 0,
    /// Its path, relative to the namespace.
    Path = 1,
    /// Its text.
    Body = 2,
}

impl Field {
    /// Every field, in index order.
    pub const ALL: [Self; 3] = [Self::Title, Self::Path, Self::Body];

    /// Position in arrays that hold one value per field.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A set of fields, as bits `1 << Field::index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldSet(u8);

impl FieldSet {
    /// All fields: what a bare word searches.
    pub const ALL: Self = Self(0b111);

    /// The set holding one field.
    #[must_use]
    pub fn only(field: Field) -> Self {
        Self(1 << field.index())
    }

    /// From its bits; `None` for the empty set or unknown bits.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits != 0 && bits & !Self::ALL.0 == 0).then_some(Self(bits))
    }

    /// Its bits.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether the set holds `field`.
    #[must_use]
    pub fn contains(self, field: Field) -> bool {
        self.0 & (1 << field.index()) != 0
    }
}

/// A query, or part of one. Which documents match is defined here; how they score, in the engine's documentation.
///
/// A well-formed tree has no empty `And`/`Or`, no `Not` except directly inside an `And` that also has
/// a child which is not a `Not`, phrases of at least two tokens, and no empty token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// Every child matches.
    And(Vec<Self>),
    /// At least one child matches.
    Or(Vec<Self>),
    /// The child does not match.
    Not(Box<Self>),
    /// A document with this token in one of these fields.
    Term {
        /// Where to look.
        fields: FieldSet,
        /// The analysed token.
        token: String,
    },
    /// These tokens at consecutive positions of one field.
    Phrase {
        /// Where to look; all tokens must stand in the same field.
        fields: FieldSet,
        /// The analysed tokens, two or more.
        tokens: Vec<String>,
    },
    /// A token that starts with these bytes.
    Prefix {
        /// Where to look.
        fields: FieldSet,
        /// The folded prefix.
        prefix: String,
    },
}

impl Node {
    /// The leaves that score, left to right: terms, phrases and prefixes not under a `Not`. Duplicates stay.
    #[must_use]
    pub fn scoring_leaves(&self) -> Vec<&Self> {
        // An explicit stack: a tree from the wire may be as deep as its decoder allows.
        let mut leaves = Vec::new();
        let mut stack = vec![self];
        while let Some(node) = stack.pop() {
            match node {
                Self::And(children) | Self::Or(children) => stack.extend(children.iter().rev()),
                Self::Not(_) => {}
                Self::Term { .. } | Self::Phrase { .. } | Self::Prefix { .. } => leaves.push(node),
            }
        }
        leaves
    }
}
