//! Who shall serve what: a pure function of what is seen, what is wanted and what was decided before.
//!
//! ```text
//! leaves, replicas ─► Roster (who is missing, since when) ─► Outlook ─┐
//!        └────────────────────────────────────────────────────────────┼─► plan ─► changes with reasons
//! cordons, moves asked for ───────────────────────────────────────────┤           unassigned, and why
//! partitions, bounds ─────────────────────────────────────────────────┤           refused, and why
//! assignments so far ─────────────────────────────────────────────────┘           held back, and why
//! ```
//!
//! Rules, in the order in which they apply:
//!
//! 1. While something is held back nothing changes at all: what serves goes on serving.
//! 2. A move ends: its new owner serves, or one of its two leaves is gone or has failed. When the new owner is
//!    gone, failed or draining before it served, the retiring leaf owns the partition again.
//! 3. A partition without a live owner goes to a live leaf that is neither draining nor cordoned: one that
//!    serves it already, else the one that owns the fewest, an idle one first, then by name. A partition that
//!    never had an owner leaves the spares idle, unless nobody else has room.
//! 4. A partition whose owner failed goes to a leaf where it has not failed lately, or stays.
//! 5. Moves that people ask for are made, also of what is balanced, and also while another move of the
//!    partition is under way whose new owner does not serve yet. What can never be done is refused.
//! 6. Draining leaves are emptied, then the owned counts are evened out while two of them differ by more than
//!    one. What a person has placed is *pinned*: it stays where it is, and its leaf may own one more for each, so
//!    that no such move is undone. The pin ends when the partition gets another owner.
//!
//! Moves under 5 and 6 are make-before-break, together at most [`Wanted::moves_max`] at once. A cordoned leaf keeps
//! what it has; evening out passes it by. *Spares* are idle open leaves, [`Wanted::spare_percent`] of the open ones,
//! rounded up: while there are no more idle ones than that, evening out leaves them alone.
//!
//! Every change of an owner takes an epoch above all ever seen for the partition, also when a leaf gets back
//! what it had. A leaf that restarts under its name while its assignment stands keeps the epoch: it announces
//! SERVING again only after it has replayed the log to the end it saw at its start, which is not below any
//! offset its earlier life has answered at, so answers under one epoch never go back; and announcements of the
//! earlier life do not count, since they hang on another lease than the leaf's registration.

mod check;
mod forecast;
mod model;
mod observed;
mod placement;
mod reason;
mod roster;

#[cfg(test)]
mod tests;

pub use check::{PlanFault, check_plan};
pub use forecast::forecast;
pub use model::{Assignments, HeldBack, Outlook, Plan, PlannedChange, Wanted};
pub use observed::Observed;
pub use reason::{Reason, WhyRefused, WhyUnassigned};
pub use roster::{Patience, Roster};

use placement::Placement;

/// What to change now. A settled state gives a plan without changes.
///
/// `previous` may hold partitions that are no longer wanted; they are left alone.
#[must_use]
pub fn plan(
    observed: &Observed,
    wanted: &Wanted,
    previous: &Assignments,
    outlook: &Outlook,
) -> Plan {
    let mut placement = Placement::new(observed, wanted, previous, outlook);
    if outlook.held_back.is_none() {
        placement.end_moves();
        placement.give_ownerless();
        placement.replace_failed();
        placement.answer_requests();
        placement.empty_draining();
        placement.even_out();
    }
    placement.into_plan()
}
