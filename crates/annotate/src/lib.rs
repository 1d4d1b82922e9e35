//! What can be said of a document from its text alone: its language, a title, dates, a fingerprint of near duplicates; and whatever an
//! application adds.
//!
//! ```text
//! document ─► run(annotator, caps) ─► cut to its input ─► annotate, guarded and timed ─► checked values
//!                                                                        └─► or a failure with its reason
//! ```
//!
//! An [`Annotator`] is a pure function with a name and a version. Nothing here has threads or a clock: whoever runs
//! them hands in the time and decides what becomes of one that does not come back. A failure never costs the document:
//! it is kept where the values would have been.
//!
//! Another annotator is one type:
//!
//! ```
//! use nautilus_annotate::{Annotator, Budget, Failure, Input, Value, Values};
//!
//! struct Questions;
//!
//! impl Annotator for Questions {
//!     fn name(&self) -> &'static str {
//!         "questions"
//!     }
//!
//!     fn version(&self) -> u32 {
//!         1
//!     }
//!
//!     fn annotate(&self, input: &Input<'_>, budget: &Budget<'_>) -> Result<Values, Failure> {
//!         let mut questions = 0;
//!         for line in input.body.lines() {
//!             budget.check()?;
//!             questions += i64::from(line.trim_end().ends_with('?'));
//!         }
//!         Ok(Values::from([("count".to_owned(), Value::Integer(questions))]))
//!     }
//! }
//! ```

mod annotator;
mod dates;
mod language;
mod run;
mod simhash;
mod title;

pub use annotator::{Annotator, Budget, Failure, Input, Reason, Value, Values};
pub use dates::Dates;
pub use language::Language;
pub use run::{Annotation, Caps, NAME_BYTES_MAX, OUTPUT_BYTES_MAX, check_name, run};
pub use simhash::{SimHash, distance};
pub use title::Title;

use std::sync::Arc;

/// The built-in annotator of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<Arc<dyn Annotator>> {
    match name {
        "language" => Some(Arc::new(Language)),
        "title" => Some(Arc::new(Title)),
        "dates" => Some(Arc::new(Dates)),
        "simhash" => Some(Arc::new(SimHash)),
        _ => None,
    }
}

/// Names of all built-in annotators.
pub const BUILT_IN: [&str; 4] = ["language", "title", "dates", "simhash"];
