//! The list of what could not be read or was refused: one line of JSON for each.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::item::{Note, Prepared, Problem, Refusal};

/// Where something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// Finding and reading the source.
    Read,
    /// Making text of it.
    Extract,
    /// Handing it to the cluster.
    Send,
}

#[derive(Debug, Serialize)]
struct Letter<'a> {
    source: &'a str,
    stage: Stage,
    reason: &'a str,
    detail: &'a str,
    /// Read of the source, where it was read.
    bytes: u64,
    /// Whether there is a document all the same, if a lesser one.
    fed: bool,
}

/// The list, or none.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    file: Option<File>,
}

impl DeadLetters {
    /// Begins a list; without a path none is kept.
    pub(super) fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let create =
            |path: &Path| File::create(path).with_context(|| format!("create {}", path.display()));
        Ok(Self { file: path.map(create).transpose()? })
    }

    /// Lists what could not be read of a document.
    pub(super) fn document(&mut self, document: &Prepared) -> anyhow::Result<()> {
        if document.note == Note::Cut {
            let detail = "only its beginning is searchable".to_owned();
            self.problem(document, &Problem { reason: "TOO_LONG", detail })?;
        }
        document.problems.iter().try_for_each(|problem| self.problem(document, problem))
    }

    /// Lists something that became no document.
    pub(super) fn refused(&mut self, stage: Stage, refusal: &Refusal) -> anyhow::Result<()> {
        self.write(&Letter {
            source: &refusal.id,
            stage,
            reason: "REFUSED",
            detail: &refusal.message,
            bytes: 0,
            fed: false,
        })
    }

    fn problem(&mut self, document: &Prepared, problem: &Problem) -> anyhow::Result<()> {
        let is_unread = document.note == Note::Unreadable && document.source_bytes == 0;
        self.write(&Letter {
            source: &document.id,
            stage: if is_unread { Stage::Read } else { Stage::Extract },
            reason: problem.reason,
            detail: &problem.detail,
            bytes: document.source_bytes,
            fed: true,
        })
    }

    fn write(&mut self, letter: &Letter<'_>) -> anyhow::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(letter)?;
        line.push(b'\n');
        // Each line at once: the list of a feed that is killed ends where it was killed.
        file.write_all(&line).context("write the list of dead letters")
    }
}

#[cfg(test)]
mod tests {
    use nautilus_proto::ingest::v1::DocumentContent;

    use super::*;

    #[test]
    fn each_problem_is_a_line() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("dead.jsonl");
        let mut letters = DeadLetters::create(Some(&path)).expect("created");
        let problem = Problem { reason: "NO_PARTS", detail: "say \"why\"".to_owned() };
        let document = Prepared {
            id: "a/1".to_owned(),
            content: DocumentContent::default(),
            version: None,
            note: Note::Cut,
            problems: vec![problem],
            source_bytes: 7,
        };
        letters.document(&document).expect("written");
        let refusal = Refusal { id: "b".to_owned(), message: "no".to_owned() };
        letters.refused(Stage::Send, &refusal).expect("written");
        let lines = std::fs::read_to_string(&path).expect("there");
        let expected = [
            r#"{"source":"a/1","stage":"extract","reason":"TOO_LONG","detail":"only its beginning is searchable","bytes":7,"fed":true}"#,
            r#"{"source":"a/1","stage":"extract","reason":"NO_PARTS","detail":"say \"why\"","bytes":7,"fed":true}"#,
            r#"{"source":"b","stage":"send","reason":"REFUSED","detail":"no","bytes":0,"fed":false}"#,
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
        DeadLetters::default().document(&document).expect("nothing to write");
    }
}
