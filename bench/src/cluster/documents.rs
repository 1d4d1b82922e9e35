//! Documents of a production-like size: 150 words drawn from a skewed vocabulary.

use nautilus_proto::ingest::v1::{DocumentContent, Write, write::Operation};

/// Words of a document.
pub(super) const WORDS: usize = 150;
/// Words there are.
const VOCABULARY: u64 = 60_000;

/// A seeded generator (SplitMix64; Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A word whose frequency falls with its rank about as in prose (Zipf with exponent near 1): the
    /// rank is drawn evenly on a logarithmic scale.
    pub(super) fn word(&mut self) -> String {
        let rank = (VOCABULARY as f64).powf(self.unit());
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and VOCABULARY"
        )]
        let rank = rank as u64;
        spell(rank)
    }
}

/// A word of letters for a rank, never the same for two ranks.
fn spell(mut rank: u64) -> String {
    let mut word = String::from("w");
    loop {
        word.push(char::from(b'a' + u8::try_from(rank % 26).unwrap_or(0)));
        rank /= 26;
        if rank == 0 {
            return word;
        }
    }
}

/// A new document, or a new text of an old one.
pub(super) fn write(draws: &mut Draws, namespace: &str, id: String, mark: &str) -> Write {
    let mut body = String::with_capacity(WORDS * 6);
    for _ in 0..WORDS {
        body.push_str(&draws.word());
        body.push(' ');
    }
    body.push_str(mark);
    Write {
        namespace: namespace.to_owned(),
        document_id: id.clone(),
        operation: Some(Operation::Upsert(DocumentContent {
            title: id,
            body,
            ..DocumentContent::default()
        })),
        ..Write::default()
    }
}
