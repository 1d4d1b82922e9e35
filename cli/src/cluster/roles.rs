//! What each role is told.

/// What every role is told. Where a process makes several of a kind, each gets these but for what must
/// differ: names, addresses, folders.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Of leaves.
    pub leaf: nautilus_leaf::RawConfig,
    /// Of roots.
    pub root: nautilus_root::RawConfig,
    /// Of coordinators.
    pub coordinator: nautilus_coordinator::RawConfig,
    /// Of mergers.
    pub merger: nautilus_merger::RawConfig,
    /// Of index builders.
    pub indexbuilder: nautilus_indexbuilder::RawConfig,
}
