//! The scanner: finds runs, cuts them into pieces, hands out tokens.

use icu_segmenter::WordSegmenterBorrowed;

use crate::{
    TOKEN_BYTES_MAX, Token,
    classes::{is_apostrophe, is_joiner, is_letter_or_number, is_word, needs_dictionary},
    fold::fold_into,
};

/// One pass over one text.
pub(crate) struct Scanner<F> {
    words: WordSegmenterBorrowed<'static>,
    emit: F,
    position: u32,
    /// The folded piece; kept between pieces so that most need no allocation.
    folded: String,
}

impl<F: FnMut(Token<'_>)> Scanner<F> {
    pub(crate) fn new(words: WordSegmenterBorrowed<'static>, emit: F) -> Self {
        Self { words, emit, position: 0, folded: String::new() }
    }

    /// Emits the tokens of `text`.
    pub(crate) fn scan(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte.is_ascii_alphanumeric() {
                let end = ascii_word_end(bytes, at);
                // An apostrophe or a character beyond ASCII may carry the run on.
                if bytes.get(end).is_none_or(|&b| b != b'\'' && b.is_ascii()) {
                    self.emit_ascii(text, at, end);
                    at = end;
                } else {
                    at = self.scan_run(text, at);
                }
            } else if byte.is_ascii() {
                at += 1;
            } else {
                at = self.scan_run(text, at);
            }
        }
    }

    /// The same tokens by the general path alone; tests hold it against [`Self::scan`].
    #[cfg(test)]
    pub(crate) fn scan_slowly(&mut self, text: &str) {
        let mut at = 0;
        while at < text.len() {
            at = self.scan_run(text, at);
        }
    }

    /// A run of ASCII letters and digits alone: one token, no tables.
    fn emit_ascii(&mut self, text: &str, start: usize, end: usize) {
        let source = &text[start..end.min(start + TOKEN_BYTES_MAX)];
        if source.bytes().any(|b| b.is_ascii_uppercase()) {
            self.folded.clear();
            self.folded.push_str(source);
            self.folded.make_ascii_lowercase();
            let token = Token { text: &self.folded, position: self.position, start, end };
            (self.emit)(token);
        } else {
            (self.emit)(Token { text: source, position: self.position, start, end });
        }
        self.position = self.position.saturating_add(1);
    }

    /// Handles the run at `start`, if one begins there; returns where to go on.
    fn scan_run(&mut self, text: &str, start: usize) -> usize {
        let mut end = start;
        let mut has_dictionary_script = false;
        let mut joiner_bytes = 0;
        for c in text[start..].chars() {
            if is_word(c) {
                has_dictionary_script |= needs_dictionary(c);
                end += joiner_bytes + c.len_utf8();
                joiner_bytes = 0;
            } else if is_joiner(c) && joiner_bytes == 0 && end > start {
                joiner_bytes = c.len_utf8();
            } else if end == start {
                return start + c.len_utf8();
            } else {
                break;
            }
        }
        let run = &text[start..end];
        if has_dictionary_script {
            let mut from = 0;
            for to in self.words.segment_str(run).filter(|&to| to > 0) {
                self.emit_piece(&run[from..to], start + from);
                from = to;
            }
        } else {
            self.emit_piece(run, start);
        }
        // The last character looked at was a separator or a joiner: neither begins a run.
        end
    }

    /// Folds a piece and emits what tokens it has; `start` is its place in the text.
    fn emit_piece(&mut self, piece: &str, start: usize) {
        let piece = without_possessive(piece);
        let end = start + piece.len();
        let mut folded = std::mem::take(&mut self.folded);
        folded.clear();
        fold_into(piece, TOKEN_BYTES_MAX, &mut folded);
        self.emit_folded(&folded, start, end);
        self.folded = folded;
    }

    /// Emits a folded piece, cut until its parts segment to themselves.
    ///
    /// A part has at least one character less than what it was cut from and the first is at most
    /// [`TOKEN_BYTES_MAX`] bytes, so the recursion is at most that deep; in practice it is one.
    fn emit_folded(&mut self, folded: &str, start: usize, end: usize) {
        if folded.chars().any(needs_dictionary) {
            let words = self.words;
            let mut from = 0;
            for to in words.segment_str(folded).filter(|&to| to > 0 && to < folded.len()) {
                self.emit_folded(&folded[from..to], start, end);
                from = to;
            }
            if from > 0 {
                return self.emit_folded(&folded[from..], start, end);
            }
        }
        if folded.chars().any(is_letter_or_number) {
            (self.emit)(Token { text: folded, position: self.position, start, end });
            self.position = self.position.saturating_add(1);
        }
    }
}

/// End of the ASCII letters and digits from `start`.
fn ascii_word_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..]
        .iter()
        .position(|b| !b.is_ascii_alphanumeric())
        .map_or(bytes.len(), |length| start + length)
}

/// Without a trailing apostrophe and `s`.
fn without_possessive(piece: &str) -> &str {
    piece
        .strip_suffix(['s', 'S'])
        .and_then(|rest| rest.strip_suffix(is_apostrophe))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(piece)
}
