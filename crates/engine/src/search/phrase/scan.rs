//! Counting a phrase without analysing the whole text.
//!
//! An ASCII byte that is neither letter, digit nor apostrophe ends a run wherever it stands, and no
//! token depends on what is beyond its run. So the tokens of a text are those of its *stretches*,
//! the longest sequences of all other bytes, in order. A stretch of ASCII letters and digits is
//! *plain*: one token, known without a table of characters. What any other holds, the analyzer says.
//!
//! Each occurrence of the phrase has its *anchor*, the word with the rarest byte that all its forms have, in one stretch:
//!
//! - one that has this byte, in either case; or
//! - one that has characters beyond ASCII, which may fold into anything.
//!
//! Only these are looked at, with the stretches beside them.

use std::ops::Range;

use nautilus_analysis::Analyzer;

use super::{BYTES_PER_BUDGET_CHECK, pass};
use crate::search::Budget;

/// Bytes of tokens from rare to common in English and source text.
const RARE_FIRST: &[u8] = b"zqxjkvwybghpumfdclnsoairte9876543210";

/// How often `tokens` stand side by side in `text`; occurrences may overlap. None if the analyzer
/// should better pass over the whole text: for words beyond ASCII, and where the neighbours of
/// candidates that have to be analysed come to more than an eighth of the text; or if the time has ended.
pub(super) fn count(
    analyzer: &Analyzer,
    text: &str,
    tokens: &[String],
    time: &mut dyn Budget,
) -> Option<u32> {
    count_within(analyzer, text, tokens, text.len() / 8, time)
}

/// As [`count`], analysing at most `budget` bytes of neighbours.
fn count_within(
    analyzer: &Analyzer,
    text: &str,
    tokens: &[String],
    budget: usize,
    time: &mut dyn Budget,
) -> Option<u32> {
    let mut rarest: Option<(usize, usize)> = None;
    for (anchor, token) in tokens.iter().enumerate() {
        for byte in analyzer.common_beginning(token).bytes() {
            let rank = RARE_FIRST.iter().position(|rare| *rare == byte)?;
            if rarest.is_none_or(|(least, _)| rank < least) {
                rarest = Some((rank, anchor));
            }
        }
    }
    let (rank, anchor) = rarest?;
    Scan { analyzer, text, tokens, anchor, budget, time, untimed: 0 }.run(*RARE_FIRST.get(rank)?)
}

/// One search for a phrase in a text.
struct Scan<'a> {
    analyzer: &'a Analyzer,
    text: &'a str,
    tokens: &'a [String],
    /// Index of the word that is searched for.
    anchor: usize,
    /// Bytes of neighbours that may yet be analysed.
    budget: usize,
    time: &'a mut dyn Budget,
    /// Bytes analysed since the time was last looked at.
    untimed: usize,
}

impl Scan<'_> {
    /// Counts occurrences by the stretches that hold their anchor; `rare` is a byte of the anchor.
    fn run(&mut self, rare: u8) -> Option<u32> {
        let bytes = self.text.as_bytes();
        let upper = rare.to_ascii_uppercase();
        let mut found = 0_u32;
        // Before `from` all is counted; it is never inside a stretch.
        let mut from = 0;
        let mut foreign = next_foreign(bytes, 0);
        while from < bytes.len() {
            // The next byte beyond ASCII, if the rare one is not before it.
            let hit = memchr::memchr2(rare, upper, &bytes[from..foreign])
                .map_or(foreign, |ahead| from + ahead);
            if hit == bytes.len() {
                break;
            }
            let stretch = stretch_before(bytes, hit).start..stretch_after(bytes, hit).end;
            from = stretch.end;
            if foreign < from {
                foreign = next_foreign(bytes, from);
            }
            let occurrences = match self.is_token(&stretch, self.anchor) {
                Some(false) => 0,
                Some(true) => self.beside(&stretch)?,
                None => self.around(&stretch, rare)?,
            };
            found = found.saturating_add(occurrences);
        }
        Some(found)
    }

    /// Whether a stretch is the token `index` of the phrase and nothing else; None if it is not plain.
    fn is_token(&self, stretch: &Range<usize>, index: usize) -> Option<bool> {
        let bytes = self.text.as_bytes().get(stretch.clone())?;
        let is_plain = bytes.iter().all(u8::is_ascii_alphanumeric);
        let becomes = |token: &String| self.analyzer.ascii_becomes(bytes, token);
        is_plain.then(|| self.tokens.get(index).is_some_and(becomes))
    }

    /// Occurrences, 0 or 1, whose anchor is the plain stretch `anchor`.
    fn beside(&mut self, anchor: &Range<usize>) -> Option<u32> {
        let bytes = self.text.as_bytes();
        let mut start = anchor.start;
        for index in (0..self.anchor).rev() {
            let stretch = stretch_before(bytes, gap_before(bytes, start));
            match self.is_token(&stretch, index) {
                Some(true) => start = stretch.start,
                Some(false) => return Some(0),
                None => return self.neighbourhood(anchor),
            }
        }
        let mut end = anchor.end;
        for index in self.anchor + 1..self.tokens.len() {
            let stretch = stretch_after(bytes, gap_after(bytes, end));
            match self.is_token(&stretch, index) {
                Some(true) => end = stretch.end,
                Some(false) => return Some(0),
                None => return self.neighbourhood(anchor),
            }
        }
        Some(1)
    }

    /// Occurrences whose anchor is in `stretch`, which is not plain.
    fn around(&mut self, stretch: &Range<usize>, rare: u8) -> Option<u32> {
        let piece = self.text.get(stretch.clone())?;
        // U+2000–203F are punctuation, spaces and joiners: no part of any token. So the anchor's
        // letters would stand here as they are.
        let is_ascii_word = |c: char| c.is_ascii() || matches!(c, '\u{2000}'..='\u{203f}');
        if !piece.bytes().any(|b| b.eq_ignore_ascii_case(&rare)) && piece.chars().all(is_ascii_word)
        {
            return Some(0);
        }
        self.untimed += piece.len();
        if self.untimed >= BYTES_PER_BUDGET_CHECK {
            self.untimed = 0;
            if self.time.is_exhausted() {
                return None;
            }
        }
        // Not off the budget: once for each stretch, so together no more than the pass would do.
        let wanted = self.tokens.get(self.anchor)?;
        let mut is_here = false;
        self.analyzer.for_each_token(piece, |token| is_here |= token.text == wanted);
        if is_here { self.neighbourhood(stretch) } else { Some(0) }
    }

    /// Occurrences whose anchor is in `stretch`, by the analyzer over as many stretches to the left
    /// and right as hold the other words.
    fn neighbourhood(&mut self, stretch: &Range<usize>) -> Option<u32> {
        let bytes = self.text.as_bytes();
        let (mut start, mut missing) = (stretch.start, self.anchor);
        while missing > 0 && start > 0 {
            let before = stretch_before(bytes, gap_before(bytes, start));
            missing = missing.saturating_sub(self.tokens_in(&before)?);
            start = before.start;
        }
        let (mut end, mut missing) = (stretch.end, self.tokens.len() - 1 - self.anchor);
        while missing > 0 && end < bytes.len() {
            let after = stretch_after(bytes, gap_after(bytes, end));
            missing = missing.saturating_sub(self.tokens_in(&after)?);
            end = after.end;
        }
        self.spend(end - start)?;
        Some(pass(self.analyzer, self.text.get(start..end)?, self.tokens, |index, at| {
            index != self.anchor || stretch.contains(&(start + at))
        }))
    }

    fn tokens_in(&mut self, stretch: &Range<usize>) -> Option<usize> {
        self.spend(stretch.len())?;
        let mut tokens = 0;
        self.analyzer.for_each_token(self.text.get(stretch.clone())?, |_| tokens += 1);
        Some(tokens)
    }

    /// Takes `bytes` off the budget; None if it does not have them.
    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(bytes)?;
        Some(())
    }
}

/// Whether a byte belongs to a stretch.
fn is_inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'\'' || !byte.is_ascii()
}

/// End of the first stretch that ends at or after `from` and of the byte that ends it; the text's end if there is none.
pub(super) fn end_of_stretch(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    rest.iter().position(|b| !is_inside(*b)).map_or(text.len(), |at| from + at + 1)
}

/// The part before `at` of the stretch there, empty if none ends at `at`.
fn stretch_before(bytes: &[u8], at: usize) -> Range<usize> {
    at - bytes[..at].iter().rev().take_while(|b| is_inside(**b)).count()..at
}

/// The part from `at` on of the stretch there, empty if none begins at `at`.
fn stretch_after(bytes: &[u8], at: usize) -> Range<usize> {
    at..at + bytes[at..].iter().take_while(|b| is_inside(**b)).count()
}

/// End of the nearest stretch before `at`, which is not inside one; 0 if there is none.
fn gap_before(bytes: &[u8], at: usize) -> usize {
    at - bytes[..at].iter().rev().take_while(|b| !is_inside(**b)).count()
}

/// Start of the nearest stretch after `at`, which is not inside one; the text's end if there is none.
fn gap_after(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|b| !is_inside(**b)).count()
}

/// Place of the first byte beyond ASCII from `from` on; the text's end if there is none.
fn next_foreign(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    // Chunks are looked at many bytes at once, and bound what is looked at twice.
    let clean: usize = rest.chunks(256).take_while(|chunk| chunk.is_ascii()).map(<[u8]>::len).sum();
    from + clean + rest[clean..].iter().take_while(|b| b.is_ascii()).count()
}

#[cfg(test)]
mod tests {
    use nautilus_analysis::{ANALYZER_VERSION_MAX, TOKEN_BYTES_MAX};
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

    use super::super::Counter;
    use super::*;
    use crate::search::Unlimited;

    const WORDS: [&str; 14] = [
        "dont", "zoo", "s", "t", "9", "x", "y", "don", "tu", "fi", "kernel", "long", "pony",
        "kernels",
    ];
    const PIECES: [&str; 37] = [
        "ponies",
        "Pony",
        "kernelS",
        "dont",
        "Don",
        "T",
        "s",
        "S",
        "zoo",
        "ZOO",
        "zo",
        "zoos",
        "x",
        "Y",
        "9",
        "99",
        "tu",
        "tü",
        "TÜ",
        "ﬁ",
        "fi",
        "fí",
        "ſ",
        "x9",
        "kernel",
        "KERNEL",
        "\u{212a}ernel",
        "kernel's",
        "u\u{308}",
        "東京",
        "カ",
        "ทุกสอง",
        "½",
        "①",
        "\u{301}",
        "é",
        "long",
    ];
    const GAPS: [&str; 26] = [
        "",
        "",
        " ",
        " ",
        " ",
        " ",
        "_",
        ".",
        "\n-- ",
        "'",
        "''",
        "'s ",
        "'S",
        " '' ",
        "\u{2019}",
        "\u{2019}s ",
        " \u{2014} ",
        " \u{201c}",
        "\u{201d} ",
        "\u{ad}",
        "\u{200d}",
        "\u{feff}",
        " § ",
        "\u{2028}",
        "\u{a0}",
        "(*",
    ];

    /// Equal to the analyzer's pass, whatever the budget, on texts that meet all its rules.
    #[test]
    fn agrees_with_the_pass() {
        for version in 1..=ANALYZER_VERSION_MAX {
            agrees_with_the_pass_of(&Analyzer::of(version).expect("there is one"));
        }
    }

    fn agrees_with_the_pass_of(analyzer: &Analyzer) {
        let mut random = StdRng::seed_from_u64(11);
        let long = "a1".repeat(TOKEN_BYTES_MAX / 2);
        let (mut held, mut given_up) = (0, 0);
        for round in 0..60_000 {
            // Few different pieces, so that words repeat and phrases overlap.
            let few = random.random_range(1..=4);
            let own: Vec<&str> =
                (0..few).filter_map(|_| PIECES.choose(&mut random)).copied().collect();
            let gaps = if random.random() { &GAPS[..8] } else { &GAPS[..] };
            let mut text = String::new();
            for _ in 0..random.random_range(0..24) {
                let anything = random.random_ratio(1, 4);
                let piece =
                    if anything { PIECES.choose(&mut random) } else { own.choose(&mut random) };
                match piece.copied().unwrap_or_default() {
                    "long" => {
                        let cut = random.random_range(long.len() - 2..=long.len());
                        text.push_str(&long[..cut]);
                        text.push_str(["", "x", "\u{e9}", "'s"].choose(&mut random).unwrap());
                    }
                    piece => text.push_str(piece),
                }
                text.push_str(gaps.choose(&mut random).unwrap());
            }
            // Half of the phrases are taken from the text.
            let n = random.random_range(2..=4);
            let there = analyzer.tokens(&text);
            let phrase: Vec<String> = if random.random() && there.len() >= n {
                let first = random.random_range(0..=there.len() - n);
                there[first..first + n].iter().map(|t| t.text.clone()).collect()
            } else {
                (0..n)
                    .filter_map(|_| WORDS.choose(&mut random))
                    .map(|w| if *w == "long" { long.clone() } else { (*w).to_owned() })
                    .map(|w| analyzer.normalized(&w).into_owned())
                    .collect()
            };
            let expected = pass(analyzer, &text, &phrase, |_, _| true);
            let is_ascii = phrase.iter().all(|token| token.is_ascii());
            let found = count_within(analyzer, &text, &phrase, usize::MAX, &mut Unlimited);
            assert_eq!(found, is_ascii.then_some(expected), "{round}: {text:?} {phrase:?}");
            let found = count(analyzer, &text, &phrase, &mut Unlimited);
            assert_eq!(found.unwrap_or(expected), expected, "{round}: {text:?} {phrase:?}");
            // Cut between stretches, the pieces hold the same tokens.
            let mut counter = Counter::default();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(end_of_stretch(rest, random.random_range(0..9)));
                counter.pass(analyzer, piece, &phrase, |_, _| true);
                rest = after;
            }
            assert_eq!(counter.found, expected, "{round}: {text:?} {phrase:?}");
            held += usize::from(is_ascii && expected > 0);
            given_up += usize::from(is_ascii && found.is_none());
        }
        assert!(held > 15_000 && given_up > 1_000, "{held} held their phrase, {given_up} gave up");
    }

    #[test]
    fn many_foreign_neighbours_are_left_to_the_pass() {
        let text = "the слово of ".repeat(100);
        let tokens = ["the", "of"].map(str::to_owned);
        assert_eq!(count(&Analyzer::new(), &text, &tokens, &mut Unlimited), None);
    }
}
