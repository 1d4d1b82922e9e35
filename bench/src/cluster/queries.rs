//! Query sets: lines of JSON with a `query` and the `tags` of its class.

use std::path::Path;

use anyhow::Context as _;
use nautilus_proto::search::v1::{MatchMode, SearchRequest};
use serde_json::Value;

/// A query and the class it is reported under.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) class: String,
    pub(super) match_mode: MatchMode,
}

impl Query {
    pub(super) fn request(&self, namespaces: &[String]) -> SearchRequest {
        SearchRequest {
            query: self.text.clone(),
            match_mode: self.match_mode.into(),
            namespaces: namespaces.to_vec(),
            include_timing: true,
            ..SearchRequest::default()
        }
    }
}

/// Reads a file. `+a +b` becomes `a b` with all words, a union any word; `is_auto` leaves both to the server.
pub(super) fn read(file: &Path, is_auto: bool) -> anyhow::Result<Vec<Query>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let query = |line: &str| -> anyhow::Result<Query> {
        let json: Value = serde_json::from_str(line)?;
        let text = json["query"].as_str().context("a line without `query`")?;
        let class = json["tags"][0].as_str().unwrap_or("query").to_owned();
        let match_mode = match class.as_str() {
            _ if is_auto => MatchMode::Auto,
            "union" => MatchMode::Any,
            _ => MatchMode::All,
        };
        Ok(Query { text: text.replace('+', ""), class, match_mode })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(query).collect()
}
