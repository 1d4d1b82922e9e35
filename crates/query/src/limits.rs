//! How large a query may be.

/// Bounds of one query. Values above the hard caps count as the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Query text, in bytes.
    pub text_bytes_max: usize,
    /// Words of the query: terms, prefixes and each token of a phrase, also under `NOT`.
    pub leaves_max: usize,
    /// Levels of the tree; a single term has one.
    pub depth_max: usize,
    /// Parentheses open at the same time.
    pub parens_max: usize,
}

impl QueryLimits {
    /// No limit can be configured above these.
    ///
    /// A level of the tree is two protobuf messages and decoders stop at 100, hence the depth.
    pub const HARD: Self =
        Self { text_bytes_max: 8 * 1024, leaves_max: 1024, depth_max: 32, parens_max: 64 };

    /// Each limit, at most its hard cap.
    #[must_use]
    pub fn capped(&self) -> Self {
        Self {
            text_bytes_max: self.text_bytes_max.min(Self::HARD.text_bytes_max),
            leaves_max: self.leaves_max.min(Self::HARD.leaves_max),
            depth_max: self.depth_max.min(Self::HARD.depth_max),
            parens_max: self.parens_max.min(Self::HARD.parens_max),
        }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { text_bytes_max: 2 * 1024, leaves_max: 64, depth_max: 16, parens_max: 32 }
    }
}
