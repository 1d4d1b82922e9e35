//! A term's bytes, held such that two short ones are compared without a loop or another look into memory.

/// Bytes of a term that stand with it: nearly every token is that short, and is told from others without another look
/// into memory, which is most of what a token costs where terms are looked up.
const INLINE_BYTES: usize = 14;
/// Bytes of a longer term that stand with it, for sorting; its place among the long texts follows them.
const START_BYTES: usize = 8;

/// A term's bytes; those of a long one stand elsewhere once it is [`Self::placed`].
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    len: u8,
    /// All of a short term, and zeros; of a long one the first bytes.
    start: [u8; INLINE_BYTES],
}

impl Spelling {
    /// Of a token, which has at most 128 bytes.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut start = [0; INLINE_BYTES];
        let here = if text.len() <= INLINE_BYTES { text.len() } else { START_BYTES };
        start[..here].copy_from_slice(&text[..here]);
        Self { len: u8::try_from(text.len()).unwrap_or(u8::MAX), start }
    }

    pub(crate) fn is_long(&self) -> bool {
        usize::from(self.len) > INLINE_BYTES
    }

    /// Bytes of a long text, none of a short one.
    pub(crate) fn long_len(&self) -> usize {
        if self.is_long() { usize::from(self.len) } else { 0 }
    }

    /// The text, if it is short.
    pub(crate) fn short(&self) -> Option<&[u8]> {
        self.start.get(..usize::from(self.len))
    }

    /// The first bytes, as a number that compares as they do.
    pub(crate) fn start(&self) -> u64 {
        self.start.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
    }

    /// As it is kept: a long text goes to the others, and its place here.
    pub(crate) fn placed(mut self, long: &[u8], texts: &mut Vec<u8>) -> Self {
        if self.is_long() {
            // Memory is full long before there are as many.
            let place = u32::try_from(texts.len()).unwrap_or(u32::MAX).to_be_bytes();
            self.start[START_BYTES..START_BYTES + place.len()].copy_from_slice(&place);
            texts.extend_from_slice(long);
        }
        self
    }

    /// Whether one that is placed is spelled like this; `long` is the text of a long one.
    #[inline]
    pub(crate) fn is(&self, spelling: Self, long: &[u8], texts: &[u8]) -> bool {
        self.len == spelling.len
            && if spelling.is_long() {
                self.text(texts) == long
            } else {
                self.start == spelling.start
            }
    }

    /// The text of one that is placed.
    pub(crate) fn text<'a>(&'a self, texts: &'a [u8]) -> &'a [u8] {
        if let Some(text) = self.short() {
            return text;
        }
        let place = self.start.get(START_BYTES..).and_then(<[u8]>::first_chunk);
        let place = place.and_then(|place| usize::try_from(u32::from_be_bytes(*place)).ok());
        let place = place.unwrap_or(usize::MAX);
        texts.get(place..place.saturating_add(usize::from(self.len))).unwrap_or_default()
    }
}
