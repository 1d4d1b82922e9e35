//! The sections of a configuration, one for each role.

use nautilus_service::config::{ConfigError, Layers, environment};
use serde::Deserialize;
use std::path::Path;

/// Names of the sections.
const SECTIONS: [&str; 5] = ["leaf", "root", "coordinator", "merger", "indexbuilder"];

/// What every role is told. Where a process makes several of a kind, each gets these but for what must
/// differ: names, addresses, folders.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
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

impl Roles {
    /// Those of a TOML file, with `NAUTILUS_<SECTION>_<KEY>` variables over it. A setting nobody knows is
    /// an error.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let layers = match file {
            Some(file) => Layers::new().file(file)?,
            None => Layers::new(),
        };
        // Variables of the command line (`NAUTILUS_DATA_DIR`) name no section.
        let of_roles = |name: &String| {
            let rest = name.strip_prefix("NAUTILUS_").map(str::to_ascii_lowercase);
            rest.is_some_and(|rest| {
                SECTIONS.iter().any(|role| rest.starts_with(&format!("{role}_")))
            })
        };
        let variables = environment().into_iter().filter(|(name, _)| of_roles(name)).collect();
        layers.variables(&variables, &SECTIONS, &[], &[])?.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Roles, String> {
        let layers = Layers::new().text(text).map_err(|error| error.to_string())?;
        layers.parse().map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    #[test]
    fn sections_reach_their_roles() {
        let roles = parsed("[merger]\nquery_words_max = 1000\n[leaf]\nread_threads = 3\n");
        let roles = roles.expect("valid");
        assert_eq!((roles.merger.query_words_max, roles.leaf.read_threads), (1000, 3));
        assert_eq!(roles.root.partitions, 4);
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        assert!(parsed("[leaf]\nread_treads = 3\n").expect_err("refused").contains("read_treads"));
        assert!(parsed("[leaves]\n").expect_err("refused").contains("leaves"));
    }
}
