//! The line on stderr that shows how a feed goes; nothing where stderr is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nautilus_service::Clock;

use super::tally::Tally;
use crate::format;

/// Often enough to look alive, seldom enough not to flicker.
const TICK: Duration = Duration::from_millis(200);

/// The line.
pub(super) struct Progress {
    bar: ProgressBar,
    clock: Clock,
    start: std::time::Instant,
}

impl Progress {
    /// Starts the line with what is going on.
    pub(super) fn start(clock: Clock, what: &'static str) -> Self {
        // Draws nothing off a terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        let start = clock.now();
        Self { bar, clock, start }
    }

    /// Says something else is going on.
    pub(super) fn say(&self, what: &'static str) {
        self.bar.set_message(what);
    }

    /// Shows how far it is.
    pub(super) fn show(&self, tally: &Tally) {
        if self.bar.is_hidden() {
            return;
        }
        let ms = self.clock.now().duration_since(self.start).as_millis().max(1);
        let rate = |number: u64| u64::try_from(u128::from(number) * 1_000 / ms).unwrap_or(u64::MAX);
        let failed = match tally.failed {
            0 => String::new(),
            failed => format!("  {} failed", format::count(failed)),
        };
        self.bar.set_message(format!(
            "{} documents  {}/s  {}/s  ({} new, {} changed, {} unchanged){failed}",
            format::count(tally.settled()),
            format::count(rate(tally.settled())),
            format::size(rate(tally.bytes_sent)),
            format::count(tally.new),
            format::count(tally.changed),
            format::count(tally.unchanged),
        ));
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
