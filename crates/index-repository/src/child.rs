//! A test's own program, run once more as a child for one test of it, which may end itself by SIGKILL.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// Where a child finds what it is to do.
const TASK: &str = "NAUTILUS_TEST_CHILD";

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By its own SIGKILL.
    Killed,
    /// Its test passed.
    Done,
}

/// Moments until this process ends itself.
pub(crate) struct Doom(AtomicU64);

impl Doom {
    /// At the moment after `moments` others.
    pub(crate) fn after(moments: u64) -> Self {
        Self(AtomicU64::new(moments))
    }

    /// One of them. At the last one all threads end where they are; nothing is dropped and nothing said.
    pub(crate) fn moment(&self) {
        let less = |left: u64| left.checked_sub(1);
        if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            kill_process(getpid(), Signal::KILL).expect("killed");
            unreachable!("SIGKILL is not survived");
        }
    }
}

/// What this process is to do, where it is a child.
#[allow(clippy::disallowed_methods, reason = "how a test tells its own second run from the first")]
pub(crate) fn task<const N: usize>() -> Option<[String; N]> {
    let task = std::env::var(TASK).ok()?;
    let words: Vec<_> = task.lines().map(str::to_owned).collect();
    Some(words.try_into().expect("as many words as were given"))
}

/// Runs the test `child` of the module `of` in a process of its own, and waits for its end.
///
/// # Panics
/// Where that test fails, or there is none.
pub(crate) fn run(of: &str, task: &[&str]) -> Ended {
    let (_, module) = of.split_once("::").expect("a module of a crate");
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", &format!("{module}::child"), "--nocapture"]);
    let ended = again.env(TASK, task.join("\n")).output().expect("runs");
    if ended.status.signal() == Some(Signal::KILL.as_raw()) {
        return Ended::Killed;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&ended.stdout), text(&ended.stderr));
    assert!(ended.status.success() && out.contains("1 passed"), "{}: {out}{error}", ended.status);
    Ended::Done
}
