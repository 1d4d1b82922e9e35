//! Waiting for a state, never for a time to pass unseen. The only sleep of these tests is here.

use std::time::Duration;

use nautilus_service::Clock;

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Looks until `probe` finds something or `at_most` has passed, then once more.
pub fn poll_for<T>(
    at_most: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let clock = Clock::system();
    let until = clock.now() + at_most;
    loop {
        let is_last = clock.now() >= until;
        match probe()? {
            Some(found) => return Ok(Some(found)),
            None if is_last => return Ok(None),
            None => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// As [`poll_for`]; to find nothing is an error.
pub fn wait_until<T>(
    what: &str,
    at_most: Duration,
    probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let found = poll_for(at_most, probe)?;
    found.ok_or_else(|| anyhow::anyhow!("waited {at_most:?} in vain for {what}"))
}
