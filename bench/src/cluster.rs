//! Measurements of a running cluster through its public API.
//!
//! ```text
//! data directory of `nautilus dev` ─► endpoint, issuer's key ─► Connection ─► search │ writes │ budgets
//! ```

mod budgets;
mod connection;
mod documents;
mod queries;
mod samples;
mod search;
mod writes;

pub use budgets::{BudgetArgs, measure_budgets};
pub use connection::{Connection, Target};
pub use search::{SearchArgs, measure_search};
pub use writes::{WriteArgs, measure_writes};
