//! Named operating-system threads with an explicit stack and an owner that joins them.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

/// Stack of a thread that may run a query. The default of 2 MiB overflows on deep query trees,
/// and an overflow aborts the process.
pub const STACK_BYTES: usize = 8 * 1024 * 1024;

/// How much threads that work in the background give way to those that somebody waits for: a third of the weight, so
/// that they go on, slowly, on a machine that is full, and what was written is found soon all the same.
pub const BACKGROUND_NICER: u8 = 5;

/// Makes the calling thread, and those it starts from now on, give way to others: they run in short slices, with a
/// niceness higher by so much.
pub fn give_way(nicer: u8) {
    if let Err(error) = nautilus_scheduling::give_way(nicer) {
        tracing::warn!(%error, nicer, "a background thread is scheduled as others are");
    }
}

/// A running thread. Dropping it without [`NamedThread::join`] leaves it running unowned.
#[derive(Debug)]
pub struct NamedThread {
    name: String,
    handle: JoinHandle<Result<(), String>>,
}

/// A thread ended by a panic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("thread {name} panicked: {message}")]
pub struct ThreadPanicked {
    /// Name of the thread.
    pub name: String,
    /// What the panic said.
    pub message: String,
}

impl NamedThread {
    /// Starts `body` on a thread of its own. Fails as the operating system does when no thread
    /// can be had.
    pub fn spawn<F>(name: impl Into<String>, stack_bytes: usize, body: F) -> io::Result<Self>
    where
        F: FnOnce() + Send + 'static,
    {
        let name = name.into();
        let handle =
            Builder::new().name(name.clone()).stack_size(stack_bytes).spawn(move || {
                catch_unwind(AssertUnwindSafe(body)).map_err(|panic| panic_message(panic.as_ref()))
            })?;
        Ok(Self { name, handle })
    }

    /// The name given at the start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the thread has ended, by itself or by a panic.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Whether the caller is this thread.
    pub(crate) fn is_current(&self) -> bool {
        self.handle.thread().id() == std::thread::current().id()
    }

    /// Blocks until the thread has ended.
    pub fn join(self) -> Result<(), ThreadPanicked> {
        let ended = match self.handle.join() {
            Ok(ended) => ended,
            Err(panic) => Err(panic_message(panic.as_ref())),
        };
        ended.map_err(|message| ThreadPanicked { name: self.name, message })
    }
}

/// The text of a panic, when it has one.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "panic without text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_carries_its_name_and_ends() {
        let thread = NamedThread::spawn("reader-3", STACK_BYTES, || {
            assert_eq!(std::thread::current().name(), Some("reader-3"));
        });
        assert_eq!(thread.expect("thread").join(), Ok(()));
    }

    #[test]
    fn a_panic_comes_back_with_its_text() {
        let thread = NamedThread::spawn("doomed", STACK_BYTES, || panic!("left {}", 7));
        let ended = thread.expect("thread").join();
        assert_eq!(
            ended,
            Err(ThreadPanicked { name: "doomed".to_owned(), message: "left 7".to_owned() })
        );
    }
}
