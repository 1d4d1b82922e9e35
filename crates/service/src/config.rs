//! Layered configuration: a TOML file, `NAUTILUS_*` variables over it, flags over both.
//!
//! The result is one table that the role parses into a raw struct of its own with
//! `deny_unknown_fields`, so that a key nobody knows is an error and never ignored. The only home
//! of the process environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nautilus_types::Class;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

#[cfg(test)]
mod tests;
mod units;

pub use units::{ByteSize, HumanDuration};

/// Prefix of the variables.
const PREFIX: &str = "NAUTILUS_";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("parse configuration {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A `NAUTILUS_*` variable names no section or setting.
    #[error("variable {name} names no setting; sections are {sections}")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The sections there are.
        sections: String,
    },
    /// A dotted key goes through something that is not a table.
    #[error("{key} cannot be set: {part} is not a section")]
    NotASection {
        /// The whole key.
        key: String,
        /// The part that is a plain value.
        part: String,
    },
    /// The settings do not fit what the role expects: unknown key, wrong type, bad unit.
    #[error("configuration is not valid")]
    Invalid(#[source] Box<toml::de::Error>),
}

impl ConfigError {
    /// What the caller should conclude: a person has to change something.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Read { .. } => Class::NotFound,
            Self::Parse { .. }
            | Self::UnknownVariable { .. }
            | Self::NotASection { .. }
            | Self::Invalid(_) => Class::Invalid,
        }
    }
}

/// Layers merged so far; later ones win key by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    table: Table,
}

impl Layers {
    /// No settings: the raw struct's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays a TOML file over what is there.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.text(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Lays TOML text over what is there.
    pub fn text(mut self, text: &str) -> Result<Self, toml::de::Error> {
        merge(&mut self.table, text.parse()?);
        Ok(self)
    }

    /// Lays `NAUTILUS_<SECTION>_<KEY>` variables over what is there.
    ///
    /// `sections` are all section names of the configuration, nested ones dotted
    /// (`leaf.memory`); the longest that fits a variable is meant, and what follows it is the
    /// key. A variable without a section is a top-level key if `top_keys` has it. Other
    /// `NAUTILUS_*` variables are errors unless `reserved` lists them (full names, for those that
    /// are no settings). A value is read as TOML where it parses as such (`5`, `true`,
    /// `["a", "b"]`, `"7"`), else taken as a string.
    pub fn variables(
        mut self,
        variables: &BTreeMap<String, String>,
        sections: &[&str],
        top_keys: &[&str],
        reserved: &[&str],
    ) -> Result<Self, ConfigError> {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if reserved.contains(&name.as_str()) {
                continue;
            }
            let rest = rest.to_ascii_lowercase();
            let key = key_of(&rest, sections, top_keys).ok_or_else(|| {
                ConfigError::UnknownVariable { name: name.clone(), sections: sections.join(", ") }
            })?;
            self = self.set(&key, value_of(text))?;
        }
        Ok(self)
    }

    /// Sets one dotted key, such as `leaf.listen_address`, from a flag.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Result<Self, ConfigError> {
        let (sections, last) = match key.rsplit_once('.') {
            Some((sections, last)) => (sections.split('.').collect(), last),
            None => (Vec::new(), key),
        };
        let mut table = &mut self.table;
        for part in sections {
            let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            table = match entry {
                Value::Table(inner) => inner,
                Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_) => {
                    let (key, part) = (key.to_owned(), part.to_owned());
                    return Err(ConfigError::NotASection { key, part });
                }
            };
        }
        table.insert(last.to_owned(), value.into());
        Ok(self)
    }

    /// The merged settings, to be shown with secrets hidden by whoever knows which those are.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Parses the merged settings into the role's raw struct.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        Value::Table(self.table).try_into().map_err(|error| ConfigError::Invalid(Box::new(error)))
    }
}

/// All `NAUTILUS_*` variables of this process. Variables that are not text are left out.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

/// One variable of this process, for the few that are no settings (a seed to replay, a home).
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one home of the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn key_of(rest: &str, sections: &[&str], top_keys: &[&str]) -> Option<String> {
    let in_section = |section: &&&str| {
        let flat = section.replace('.', "_");
        rest.strip_prefix(&flat)?.strip_prefix('_').filter(|key| !key.is_empty()).map(str::len)
    };
    // The longest section leaves the shortest key.
    let best = sections
        .iter()
        .filter_map(|section| in_section(&section).map(|key_len| (key_len, section)))
        .min_by_key(|(key_len, _)| *key_len);
    match best {
        Some((key_len, section)) => Some(format!("{section}.{}", &rest[rest.len() - key_len..])),
        None => top_keys.contains(&rest).then(|| rest.to_owned()),
    }
}

fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(table)) => merge(inner, table),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}
