//! A beat whenever something that others look at has changed; many beats at once are one.

use std::sync::Arc;

use tokio::sync::watch;

/// Cheap to clone; every clone beats for all listeners.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(Arc<watch::Sender<()>>);

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    pub(crate) fn beat(&self) {
        self.0.send_replace(());
    }

    /// Sees every later beat.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// What is listened to.
#[derive(Debug, Clone)]
pub(crate) struct Pulses {
    /// States and epochs: seldom.
    pub(crate) life: Pulse,
    /// Offsets and requests, and all that `life` beats for: with every record.
    pub(crate) load: Pulse,
}

impl Pulses {
    pub(crate) fn new() -> Self {
        Self { life: Pulse::new(), load: Pulse::new() }
    }
}
