//! One annotator on one document, within its limits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::annotator::{Annotator, Budget, Failure, Input, Reason, Value, Values};

/// An annotator's name, in bytes.
pub const NAME_BYTES_MAX: usize = 32;

/// The name of a value, in bytes.
const KEY_BYTES_MAX: usize = 64;

/// Names and values of one annotator on one document, in bytes: they are kept with the document in every replica and
/// come along with every hit.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024;

/// What a failure says, in bytes.
const DETAIL_BYTES_MAX: usize = 256;

/// What an annotator may take of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Of the body, in bytes; the rest is cut off.
    pub input_bytes_max: usize,
    /// From beginning to end.
    pub time_max: Duration,
}

/// What an annotator made of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Of the annotator.
    pub version: u32,
    /// What it found, or why nothing.
    pub outcome: Result<Values, Failure>,
}

/// Whether an annotator may be called so.
#[must_use]
pub fn check_name(name: &str) -> bool {
    let is_ours = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_ours)
}

/// Runs an annotator on a document. A panic, too long a time and too much output become failures. `now` is monotonic,
/// from any beginning.
pub fn run(
    annotator: &dyn Annotator,
    input: &Input<'_>,
    caps: &Caps,
    now: &dyn Fn() -> Duration,
) -> Annotation {
    let end = input.body.floor_char_boundary(caps.input_bytes_max);
    let input = Input { body: input.body.get(..end).unwrap_or_default(), ..*input };
    let budget = Budget::start(caps.time_max, now);
    // What it holds on to is its own business: it is shared and therefore guards itself.
    let found = catch_unwind(AssertUnwindSafe(|| annotator.annotate(&input, &budget)));
    let outcome = match found {
        Ok(found) => found.and_then(|values| budget.check().map(|()| values)).and_then(checked),
        Err(_) => {
            let detail = "its program failed on this document".to_owned();
            Err(Failure { reason: Reason::Panicked, detail })
        }
    };
    let outcome = outcome.map_err(|mut failure| {
        failure.detail.truncate(failure.detail.floor_char_boundary(DETAIL_BYTES_MAX));
        failure
    });
    Annotation { version: annotator.version(), outcome }
}

fn checked(values: Values) -> Result<Values, Failure> {
    let refusal = |detail: &str| Err(Failure { reason: Reason::Output, detail: detail.to_owned() });
    let mut bytes = 0;
    for (key, value) in &values {
        let is_ours = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        };
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !key.bytes().all(is_ours) {
            return refusal("found something under a name that is not allowed");
        }
        bytes += key.len()
            + match value {
                Value::Text(text) => text.len(),
                Value::Number(number) if !number.is_finite() => {
                    return refusal("found a number that is not finite");
                }
                Value::Integer(_) | Value::Number(_) => 8,
                Value::Flag(_) => 1,
            };
    }
    if bytes > OUTPUT_BYTES_MAX {
        let detail = format!("found {bytes} bytes, at most {OUTPUT_BYTES_MAX} are kept");
        return refusal(&detail);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Does what it is told.
    struct Told<F>(F);

    impl<F> Annotator for Told<F>
    where
        F: Fn(&Input<'_>, &Budget<'_>) -> Result<Values, Failure> + Send + Sync,
    {
        fn name(&self) -> &'static str {
            "told"
        }

        fn version(&self) -> u32 {
            3
        }

        fn annotate(&self, input: &Input<'_>, budget: &Budget<'_>) -> Result<Values, Failure> {
            (self.0)(input, budget)
        }
    }

    const CAPS: Caps = Caps { input_bytes_max: 4, time_max: Duration::from_millis(10) };

    fn outcome<F>(told: F) -> Result<Values, Failure>
    where
        F: Fn(&Input<'_>, &Budget<'_>) -> Result<Values, Failure> + Send + Sync,
    {
        let time = Cell::new(0);
        // Each look at the clock finds it a millisecond later.
        let now = || Duration::from_millis(time.replace(time.get() + 1));
        let input = Input { body: "abcéf", ..Input::default() };
        let annotation = run(&Told(told), &input, &CAPS, &now);
        assert_eq!(annotation.version, 3);
        annotation.outcome
    }

    fn values(key: &str, value: Value) -> Result<Values, Failure> {
        Ok(Values::from([(key.to_owned(), value)]))
    }

    fn reason(outcome: Result<Values, Failure>) -> Reason {
        outcome.expect_err("failed").reason
    }

    #[test]
    fn it_gets_whole_characters_of_what_it_may_see() {
        let seen = outcome(|input, _| values("body", Value::Text(input.body.to_owned())));
        assert_eq!(seen, values("body", Value::Text("abc".to_owned())));
    }

    #[test]
    fn what_goes_wrong_is_a_failure_with_its_reason() {
        assert_eq!(reason(outcome(|_, _| panic!("odd"))), Reason::Panicked);
        let failed = outcome(|_, _| Err(Failure::failed("é".repeat(1_000))));
        assert_eq!(failed.clone().expect_err("failed").detail.len(), 256);
        assert_eq!(reason(failed), Reason::Failed);
        let loops = outcome(|_, budget| {
            loop {
                budget.check()?;
            }
        });
        assert_eq!(reason(loops), Reason::TimeLimit);
        let late = outcome(|_, budget| {
            while budget.elapsed() < Duration::from_millis(20) {}
            Ok(Values::new())
        });
        assert_eq!(reason(late), Reason::TimeLimit);
    }

    #[test]
    fn what_cannot_be_kept_is_not() {
        assert_eq!(reason(outcome(|_, _| values("Name", Value::Flag(true)))), Reason::Output);
        assert_eq!(reason(outcome(|_, _| values("", Value::Flag(true)))), Reason::Output);
        let not_finite = outcome(|_, _| values("n", Value::Number(f64::NAN)));
        assert_eq!(reason(not_finite), Reason::Output);
        let long = |length| {
            move |_: &Input<'_>, _: &Budget<'_>| values("t", Value::Text("x".repeat(length)))
        };
        assert_eq!(reason(outcome(long(OUTPUT_BYTES_MAX))), Reason::Output);
        assert!(outcome(long(OUTPUT_BYTES_MAX - 1)).is_ok());
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(check_name("my-own-2") && crate::BUILT_IN.iter().all(|name| check_name(name)));
        assert!(!check_name("") && !check_name("A") && !check_name("a.b"));
        assert!(!check_name(&"a".repeat(NAME_BYTES_MAX + 1)));
        for name in crate::BUILT_IN {
            assert_eq!(crate::built_in(name).map(|one| one.name()), Some(name));
        }
        assert!(crate::built_in("other").is_none());
    }
}
