//! A file of all runs, one line of JSON each, with what was measured on which machine.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Appends a run.
pub(crate) fn append(file: &Path, scale: &str, document: &Value) -> Result<()> {
    let line = json!({
        "commit": commit(),
        "at_unix_s": at_unix_s(),
        "scale": scale,
        "machine": machine(),
        "lines": document["lines"],
    });
    let mut out = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("open {}", file.display()))?;
    writeln!(out, "{line}").with_context(|| format!("append to {}", file.display()))
}

/// Of the folder the program was started in; `-dirty` where files differ from it.
fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--abbrev=12", "--dirty"])
        .output()
        .ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !name.is_empty()).then_some(name)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the only place of this program that reads the calendar"
)]
pub(crate) fn at_unix_s() -> Option<u64> {
    let now = std::time::SystemTime::now();
    Some(now.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> Option<String> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map(usize::from).ok(),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split_whitespace().next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_appended() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.jsonl");
        for _ in 0..2 {
            append(&file, "quick", &json!({"lines": [{"name": "x"}]})).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let runs: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[1]["lines"][0]["name"], "x");
        assert!(runs[1]["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0));
    }
}
