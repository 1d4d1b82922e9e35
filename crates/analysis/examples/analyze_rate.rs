//! Measures analysis: `cargo run --release -p nautilus-analysis --example analyze_rate -- FILE…`.

use std::time::{Duration, Instant};

use nautilus_analysis::Analyzer;

/// Long enough to average out the first touches of the tables.
const MEASURE_AT_LEAST: Duration = Duration::from_secs(2);

#[allow(clippy::disallowed_methods, reason = "measuring time is what this example is for")]
fn main() -> std::io::Result<()> {
    let mut texts = Vec::new();
    for path in std::env::args_os().skip(1) {
        texts.push(String::from_utf8_lossy(&std::fs::read(path)?).into_owned());
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    if bytes == 0 {
        println!("usage: analyze_rate FILE…");
        return Ok(());
    }
    let analyzer = Analyzer::new();
    let (mut rounds, mut tokens, mut token_bytes) = (0_u64, 0_u64, 0_usize);
    let begin = Instant::now();
    while begin.elapsed() < MEASURE_AT_LEAST {
        rounds += 1;
        for text in &texts {
            analyzer.for_each_token(text, |token| {
                tokens += 1;
                token_bytes += token.text.len();
            });
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    // Only printed: precision beyond 2^53 does not matter.
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    let rate = (bytes as f64) * (rounds as f64) / seconds / 1e6;
    println!(
        "{} files, {bytes} bytes, {} tokens of {} bytes each: {rate:.0} MB/s",
        texts.len(),
        tokens / rounds,
        token_bytes / usize::try_from(tokens.max(1)).unwrap_or(usize::MAX),
    );
    Ok(())
}
