//! What becomes of the documents of a build, and what is said of it in the end.

use nautilus_indexbuilder::offline::{Added, Built, OfflineBuild};
use nautilus_proto::ingest::v1::{Write, write};
use serde_json::{Value, json};

use super::super::dead_letters::{DeadLetters, Stage};
use super::super::item::{Item, Prepared, Refusal};
use super::super::target::Target;
use crate::format;

/// Refusals that are printed one by one.
const REFUSALS_SHOWN: usize = 20;

/// What became of the documents.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) seen: u64,
    taken: u64,
    elsewhere: u64,
    pub(super) refused: Vec<Refusal>,
    /// Documents that an annotator failed on.
    pub(super) failed_on: u64,
    dead_letters: DeadLetters,
    pub(super) is_blocked: bool,
}

impl Tally {
    pub(super) fn new(dead_letters: DeadLetters) -> Self {
        Self { dead_letters, ..Self::default() }
    }

    fn refuse(&mut self, stage: Stage, refusal: Refusal) -> anyhow::Result<()> {
        self.dead_letters.refused(stage, &refusal)?;
        self.refused.push(refusal);
        Ok(())
    }

    pub(super) async fn take(
        &mut self,
        build: &mut OfflineBuild,
        target: &Target,
        item: Item,
    ) -> anyhow::Result<()> {
        self.seen += 1;
        let document = match item {
            Item::Upsert(document, _) => *document,
            Item::Delete { id, .. } => {
                let message = "a build takes documents, not deletions".to_owned();
                return self.refuse(Stage::Send, Refusal { id, message });
            }
            Item::Bad(refusal) => return self.refuse(Stage::Read, refusal),
            Item::Blocked(refusal) => {
                self.is_blocked = true;
                return self.refuse(Stage::Read, refusal);
            }
            Item::Link => return Ok(()),
        };
        self.dead_letters.document(&document)?;
        let Prepared { id, content, version, .. } = document;
        let namespace = target.name(target.of(&id)).to_owned();
        let operation = Some(write::Operation::Upsert(content));
        let write =
            Write { namespace, document_id: id.clone(), version, condition: None, operation };
        match build.add(write).await? {
            Added::Taken => self.taken += 1,
            Added::Elsewhere => self.elsewhere += 1,
            Added::Refused(message) => self.refuse(Stage::Send, Refusal { id, message })?,
        }
        Ok(())
    }

    pub(super) fn text(&self, build: &str, done: &[Built], seconds: f64) -> String {
        let mut text = format!(
            "build {build}: {} documents taken in {seconds:.1} s",
            format::count(self.taken)
        );
        if self.elsewhere > 0 {
            text += &format!(", {} of other partitions", format::count(self.elsewhere));
        }
        text.push('\n');
        for one in done {
            text += &format!(
                "partition {}  offset {}  {} documents  {}\n",
                one.partition.0,
                one.next_offset,
                format::count(one.summary.documents),
                format::size(one.bytes),
            );
        }
        if self.failed_on > 0 {
            text += &format!(
                "an annotator failed on {}: `nautilus doc dead-letters` lists them\n",
                format::counted(self.failed_on, "document")
            );
        }
        for refusal in self.refused.iter().take(REFUSALS_SHOWN) {
            text += &format!("refused {}: {}\n", refusal.id, refusal.message);
        }
        let more = self.refused.len().saturating_sub(REFUSALS_SHOWN);
        if more > 0 {
            text += &format!("and {more} more\n");
        }
        text
    }

    pub(super) fn json(&self, build: &str, done: &[Built], seconds: f64) -> Value {
        let partitions = done.iter().map(|one| {
            json!({
                "partition": one.partition.0,
                "next_offset": one.next_offset.0,
                "documents": one.summary.documents,
                "replaced": one.summary.replaced,
                "bytes": one.bytes,
            })
        });
        let refused = self.refused.iter().map(|one| json!({ "id": one.id, "reason": one.message }));
        json!({
            "build": build,
            "taken": self.taken,
            "elsewhere": self.elsewhere,
            "annotators_failed_on": self.failed_on,
            "seconds": seconds,
            "partitions": partitions.collect::<Vec<_>>(),
            "refused": refused.collect::<Vec<_>>(),
        })
    }
}
