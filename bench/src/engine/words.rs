//! The vocabulary of generated documents, and how often each of its words is drawn.

use crate::measure::Random;

/// The commonest words of English in their usual order: a generated text has the words that every real one has,
/// which an engine may treat apart.
const COMMONEST: [&str; 100] = [
    "the", "of", "and", "to", "a", "in", "is", "that", "for", "it", "as", "was", "with", "be",
    "by", "on", "not", "he", "this", "are", "or", "his", "from", "at", "which", "but", "have",
    "an", "had", "they", "you", "were", "there", "one", "all", "we", "can", "her", "has", "do",
    "been", "if", "who", "when", "will", "more", "no", "would", "so", "said", "what", "up", "its",
    "about", "into", "than", "them", "only", "other", "time", "new", "some", "could", "these",
    "two", "may", "then", "first", "any", "my", "now", "such", "like", "our", "over", "man", "me",
    "even", "most", "made", "after", "also", "did", "many", "before", "must", "through", "years",
    "where", "much", "your", "way", "well", "down", "should", "because", "each", "just", "those",
    "people",
];

const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
const VOWELS: &[u8; 4] = b"aiou";
const SYLLABLES: usize = CONSONANTS.len() * VOWELS.len();

/// The words by rank, the commonest first: English ones, then words of two and more syllables, the rarer the longer.
pub(crate) fn vocabulary(words: usize, seed: u64) -> Vec<String> {
    let mut all: Vec<String> =
        COMMONEST.iter().take(words).map(|word| (*word).to_owned()).collect();
    let mut syllables = 2;
    while all.len() < words {
        let of_length = SYLLABLES.pow(syllables);
        // A part of the words of this length, in drawn order, so that neighbours in the dictionary differ in rank.
        let mut numbers: Vec<usize> = (0..of_length).collect();
        Random::new(seed ^ u64::from(syllables)).shuffle(&mut numbers);
        let wanted = (words - all.len()).min(of_length / 2);
        all.extend(
            numbers
                .into_iter()
                .map(|number| spelled(number, syllables))
                .filter(|word| !COMMONEST.contains(&word.as_str()))
                .take(wanted),
        );
        syllables += 1;
    }
    all
}

fn spelled(mut number: usize, syllables: u32) -> String {
    let mut word = String::with_capacity(8);
    for _ in 0..syllables {
        let syllable = number % SYLLABLES;
        number /= SYLLABLES;
        word.push(char::from(CONSONANTS[syllable / VOWELS.len()]));
        word.push(char::from(VOWELS[syllable % VOWELS.len()]));
    }
    word
}

/// Zipf and Mandelbrot's law: the word of rank r (from 0) is drawn in proportion to 1 / (r + 1 + shift)^exponent.
#[derive(Debug)]
pub(crate) struct Frequencies {
    /// Of each column: the share of it that is its own word, and the other word (Walker's alias method).
    columns: Vec<(f64, u32)>,
}

impl Frequencies {
    /// Of this many words.
    pub(crate) fn new(words: usize, exponent: f64, shift: f64) -> Self {
        let weights: Vec<f64> =
            (1..=words).map(|rank| (rank as f64 + shift).powf(-exponent)).collect();
        let mean = weights.iter().sum::<f64>() / words.max(1) as f64;
        let mut shares: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let mut columns: Vec<(f64, u32)> = (0..).take(words).map(|word| (1.0, word)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..words).partition(|&word| shares[word] < 1.0);
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            columns[low] = (shares[low], u32::try_from(high).unwrap_or(u32::MAX));
            shares[high] -= 1.0 - shares[low];
            if shares[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { columns }
    }

    /// The number of a word.
    pub(crate) fn draw(&self, random: &mut Random) -> u32 {
        let column = random.below(self.columns.len());
        let (share, other) = self.columns[column];
        if random.fraction() < share { u32::try_from(column).unwrap_or(u32::MAX) } else { other }
    }
}

#[cfg(test)]
mod tests {
    use nautilus_analysis::Analyzer;

    use super::*;

    #[test]
    fn words_are_distinct_tokens() {
        let words = vocabulary(20_000, 1);
        assert_eq!(words.len(), 20_000);
        assert_eq!(words.iter().collect::<std::collections::HashSet<_>>().len(), 20_000);
        for word in words.iter().step_by(17) {
            let tokens = Analyzer::new().tokens(word);
            assert_eq!(tokens.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), [word]);
        }
    }

    #[test]
    fn draws_follow_the_law() {
        let frequencies = Frequencies::new(1_000, 1.0, 2.7);
        let mut random = Random::new(3);
        let mut counts = vec![0_u32; 1_000];
        for _ in 0..200_000 {
            counts[frequencies.draw(&mut random) as usize] += 1;
        }
        let of_rank = |rank: f64| 1.0 / (rank + 3.7);
        let total: f64 = (0..1_000).map(|rank| of_rank(f64::from(rank))).sum();
        for rank in [0_u32, 1, 5, 50] {
            let expected = 200_000.0 * of_rank(f64::from(rank)) / total;
            let found = f64::from(counts[rank as usize]);
            assert!((found - expected).abs() < 6.0 * expected.sqrt(), "{rank}: {found} {expected}");
        }
    }
}
