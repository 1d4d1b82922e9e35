//! Ctrl-C and SIGTERM, turned into a stop token.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The handlers, installed. From here on neither signal kills the process by itself.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers; call it inside a runtime, before anything is worth draining.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the first of them and cancels `shutdown`; ends early when `stop` is cancelled.
    /// Made for a task: `tasks.spawn("watch-signals", |stop| signals.watch(shutdown, stop))`,
    /// in a group whose parent token is `shutdown`.
    pub async fn watch(mut self, shutdown: CancellationToken, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = self.interrupt.recv() => stop_for("SIGINT", &shutdown),
            _ = self.terminate.recv() => stop_for("SIGTERM", &shutdown),
        }
    }
}

fn stop_for(name: &str, shutdown: &CancellationToken) {
    tracing::info!(signal = name, "stopping");
    shutdown.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_group::{Outcome, TaskGroup};
    use std::time::Duration;

    #[tokio::test]
    async fn sigterm_stops_the_process_group_of_tasks() {
        let shutdown = CancellationToken::new();
        let mut tasks = TaskGroup::new(&shutdown);
        let signals = Signals::install().expect("handlers");
        tasks.spawn("watch-signals", |stop| signals.watch(shutdown.clone(), stop));
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &std::process::id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
        let outcome = tokio::time::timeout(Duration::from_secs(10), tasks.wait_or_signal()).await;
        assert!(matches!(outcome, Ok(Outcome::Stopped)), "{outcome:?}");
        assert!(shutdown.is_cancelled());
        assert!(tasks.drain(Duration::from_secs(5)).await.is_clean());
    }
}
