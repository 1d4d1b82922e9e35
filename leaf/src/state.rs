//! A partition's life on this leaf, as a pure state machine.
//!
//! ```text
//! Opening ─► Replaying ─► Serving ─► Draining
//!     └──────────┴──────────┴─► Failed
//! ```

use nautilus_types::Offset;

/// Where a partition is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its folder is being opened, and rebuilt if its format is old.
    Opening,
    /// It applies the log up to the end seen when it was opened.
    Replaying {
        /// That end.
        until: Offset,
    },
    /// It answers.
    Serving,
    /// The leaf is stopping.
    Draining,
    /// It stopped and waits for a person, or for a restart.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What happens to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The folder is open, at this offset, and the log ends here.
    Opened {
        /// Next offset to apply.
        next: Offset,
        /// The log's end.
        log_end: Offset,
    },
    /// Everything below this offset is applied.
    Applied {
        /// Next offset to apply.
        next: Offset,
    },
    /// It cannot go on.
    Broke {
        /// Why.
        reason: String,
    },
    /// The leaf is told to stop.
    Stop,
}

impl State {
    /// The state after `event`. What makes no sense in a state changes nothing; a failure is final.
    #[must_use]
    pub fn step(self, event: Event) -> Self {
        match (self, event) {
            (failed @ Self::Failed { .. }, _) => failed,
            (_, Event::Broke { reason }) => Self::Failed { reason },
            (_, Event::Stop) => Self::Draining,
            (Self::Opening, Event::Opened { next, log_end }) => {
                if next >= log_end {
                    Self::Serving
                } else {
                    Self::Replaying { until: log_end }
                }
            }
            (Self::Replaying { until }, Event::Applied { next }) if next >= until => Self::Serving,
            (state, Event::Opened { .. } | Event::Applied { .. }) => state,
        }
    }

    /// The name status answers use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opening => "OPENING",
            Self::Replaying { .. } => "REPLAYING",
            Self::Serving => "SERVING",
            Self::Draining => "DRAINING",
            Self::Failed { .. } => "FAILED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_only_once_caught_up() {
        let opened = Event::Opened { next: Offset(3), log_end: Offset(5) };
        let replaying = State::Opening.step(opened);
        assert_eq!(replaying, State::Replaying { until: Offset(5) });
        let replaying = replaying.step(Event::Applied { next: Offset(4) });
        assert_eq!(replaying, State::Replaying { until: Offset(5) });
        assert_eq!(replaying.step(Event::Applied { next: Offset(5) }), State::Serving);
        let at_end = Event::Opened { next: Offset(5), log_end: Offset(5) };
        assert_eq!(State::Opening.step(at_end), State::Serving);
    }

    #[test]
    fn failure_is_final_from_anywhere() {
        let broke = || Event::Broke { reason: "disk".to_owned() };
        for state in [State::Opening, State::Replaying { until: Offset(1) }, State::Serving] {
            let failed = state.step(broke());
            assert_eq!(failed.name(), "FAILED");
            assert_eq!(failed.clone().step(Event::Stop), failed);
            assert_eq!(failed.clone().step(Event::Applied { next: Offset(9) }), failed);
        }
    }

    #[test]
    fn stopping_ends_service() {
        assert_eq!(State::Serving.step(Event::Stop), State::Draining);
        assert_eq!(State::Draining.step(Event::Applied { next: Offset(9) }), State::Draining);
    }
}
