//! A run in stages: what a stage found is kept, so that an interrupted run goes on after the last whole one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::report::Line;
use crate::measure::Watch;

/// Stages of one run and their lines.
pub(crate) struct Stages {
    /// Where whole stages are kept; `None` where the run is not resumed.
    kept: Option<PathBuf>,
    /// Only these, if any are named.
    only: Vec<String>,
    scale: &'static str,
    pub(crate) lines: Vec<Value>,
}

impl Stages {
    pub(crate) fn new(kept: Option<&Path>, only: &[String], scale: &'static str) -> Self {
        Self { kept: kept.map(Path::to_owned), only: only.to_vec(), scale, lines: Vec::new() }
    }

    /// Of `churn-1` the first part names it too.
    fn is_wanted(&self, name: &str) -> bool {
        let is_named = |only: &String| name == only || name.split('-').next() == Some(only);
        self.only.is_empty() || self.only.iter().any(is_named)
    }

    /// What a line of an earlier stage found.
    pub(crate) fn found(&self, name: &str) -> Option<f64> {
        self.lines.iter().find(|line| line["name"] == name)?["ours"].as_f64()
    }

    /// Runs a stage, or takes what an earlier run found. `size` says what was measured.
    pub(crate) fn stage(
        &mut self,
        name: &str,
        size: &str,
        measure: impl FnOnce() -> Result<Vec<Line>>,
    ) -> Result<()> {
        if !self.is_wanted(name) {
            return Ok(());
        }
        let file = self.kept.as_ref().map(|dir| dir.join(format!("{name}.json")));
        if let Some(file) = file.as_ref().filter(|file| file.exists()) {
            let text = std::fs::read_to_string(file)?;
            let kept: Vec<Value> =
                serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            eprintln!("{name}: taken from {}", file.display());
            self.lines.extend(kept);
            return Ok(());
        }
        let watch = Watch::start();
        let lines = measure().with_context(|| format!("stage {name}"))?;
        eprintln!("{name}: {} lines in {:.1} s", lines.len(), watch.seconds());
        let scale = format!("{}: {size}", self.scale);
        let lines: Vec<Value> =
            lines.into_iter().map(|line| Line { scale: scale.clone(), ..line }.json()).collect();
        if let Some(file) = file {
            let text = serde_json::to_string_pretty(&lines)?;
            let unfinished = file.with_extension("part");
            std::fs::write(&unfinished, text)?;
            std::fs::rename(unfinished, file)?;
        }
        self.lines.extend(lines);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::report::Target;
    use crate::measure::Samples;

    #[test]
    fn a_whole_stage_is_not_run_again() {
        let dir = tempfile::tempdir().unwrap();
        let line = || {
            let samples: Samples = [1.0, 2.0].into_iter().collect();
            Line::alone("x", "ms", &samples, Target::OursAtMost(2.0))
        };
        let mut first = Stages::new(Some(dir.path()), &[], "quick");
        first.stage("one", "small", || Ok(vec![line()])).unwrap();
        assert!(first.stage("two", "small", || anyhow::bail!("interrupted")).is_err());
        let mut again = Stages::new(Some(dir.path()), &[], "quick");
        again.stage("one", "small", || anyhow::bail!("run twice")).unwrap();
        again.stage("two", "small", || Ok(vec![line()])).unwrap();
        assert_eq!(again.lines[0], first.lines[0]);
        assert_eq!(again.lines[1]["scale"], "quick: small");
        let mut some = Stages::new(None, &["two".to_owned()], "quick");
        some.stage("one", "small", || anyhow::bail!("not asked for")).unwrap();
        assert!(some.lines.is_empty());
    }
}
