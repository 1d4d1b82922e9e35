//! What a feed has done so far, and its summary at the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::batch::{Effect, Outgoing};
use super::item::{Note, Prepared, Refusal};
use crate::format;
use crate::output::clean_line;

/// Failures kept to be listed.
const FAILURES_SHOWN: usize = 20;

/// Counts of documents, of bytes where it says so.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) new: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) deleted: u64,
    /// In the source and no longer counted as anything else: bodies cut, left out, not readable.
    pub(super) cut: u64,
    pub(super) binary: u64,
    pub(super) unreadable: u64,
    /// Read with something left out or guessed.
    pub(super) flawed: u64,
    pub(super) links: u64,
    pub(super) failed: u64,
    /// Read from the source.
    pub(super) bytes_read: u64,
    /// Acknowledged.
    pub(super) bytes_sent: u64,
    /// Acknowledged with a hash that is not ours: they will be sent again by the next feed.
    pub(super) unlike: u64,
    pub(super) failures: Vec<Refusal>,
}

impl Tally {
    /// Documents that need nothing more.
    pub(super) fn settled(&self) -> u64 {
        self.new + self.changed + self.unchanged + self.deleted
    }

    pub(super) fn note(&mut self, document: &Prepared) {
        match document.note {
            Note::Whole | Note::Cut if !document.problems.is_empty() => self.flawed += 1,
            Note::Whole | Note::Cut | Note::Binary | Note::Unreadable => {}
        }
        match document.note {
            Note::Whole => {}
            Note::Cut => self.cut += 1,
            Note::Binary => self.binary += 1,
            Note::Unreadable => self.unreadable += 1,
        }
    }

    pub(super) fn acknowledge(&mut self, write: &Outgoing, hash: &[u8]) {
        match write.effect {
            Effect::New => self.new += 1,
            Effect::Changed => self.changed += 1,
            Effect::Deleted => self.deleted += 1,
        }
        self.bytes_sent += u64::try_from(write.bytes()).unwrap_or(0);
        if write.hash.is_some_and(|ours| ours != *hash) {
            self.unlike += 1;
        }
    }

    pub(super) fn fail(&mut self, refusal: Refusal) {
        self.failed += 1;
        if self.failures.len() < FAILURES_SHOWN {
            self.failures.push(refusal);
        }
    }

    /// For people. `namespaces` says where the documents went.
    pub(super) fn text(&self, namespaces: &str, took: Duration) -> String {
        let mut text = format!(
            "{} into {namespaces} in {}: {} new, {} changed, {} unchanged, {} deleted\n",
            format::counted(self.settled(), "document"),
            format::took(took),
            format::count(self.new),
            format::count(self.changed),
            format::count(self.unchanged),
            format::count(self.deleted),
        );
        let (documents, bytes) = self.rates(took);
        text.push_str(&format!(
            "read {}, sent {}: {documents:.0} documents/s, {}/s\n",
            format::size(self.bytes_read),
            format::size(self.bytes_sent),
            format::size(bytes),
        ));
        let mut aloud = |count: u64, what: &str| {
            if count > 0 {
                text.push_str(&format!("  {:>8} {what}\n", format::count(count)));
            }
        };
        aloud(self.cut, "cut: only the first 256 KiB of the text are searchable");
        aloud(self.binary, "binary: found by name only");
        aloud(self.unreadable, "unreadable: found by name only");
        aloud(self.flawed, "read with something left out or guessed");
        aloud(self.links, "symbolic links not followed");
        aloud(self.unlike, "stored with another content hash: the next feed sends them again");
        aloud(self.failed, "failed");
        for failure in &self.failures {
            let (id, message) = (clean_line(&failure.id), clean_line(&failure.message));
            text.push_str(&format!("           {id}: {message}\n"));
        }
        let more = self.failed - u64::try_from(self.failures.len()).unwrap_or(0);
        if more > 0 {
            text.push_str(&format!("           and {} more\n", format::count(more)));
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self, took: Duration) -> Value {
        let (documents, bytes) = self.rates(took);
        let failures = self.failures.iter();
        json!({
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "cut": self.cut,
            "binary": self.binary,
            "unreadable": self.unreadable,
            "flawed": self.flawed,
            "links": self.links,
            "failed": self.failed,
            "bytes": self.bytes_read,
            "bytes_sent": self.bytes_sent,
            "hash_mismatches": self.unlike,
            "seconds": took.as_secs_f64(),
            "documents_per_second": documents,
            "bytes_sent_per_second": bytes,
            "failures": failures
                .map(|failure| json!({ "id": failure.id, "message": failure.message }))
                .collect::<Vec<_>>(),
        })
    }

    /// Documents and bytes sent in a second.
    fn rates(&self, took: Duration) -> (f64, u64) {
        let ms = took.as_millis().max(1);
        let bytes = u128::from(self.bytes_sent) * 1_000 / ms;
        let documents = u128::from(self.settled()) * 1_000 / ms;
        let documents = u32::try_from(documents).unwrap_or(u32::MAX);
        (f64::from(documents), u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_failures_are_listed_and_all_are_counted() {
        let mut tally = Tally { new: 3, cut: 1, bytes_sent: 4_000, ..Tally::default() };
        for number in 0..25 {
            tally.fail(Refusal { id: format!("d{number}"), message: "no\x1b".to_owned() });
        }
        let text = tally.text("docs", Duration::from_secs(2));
        assert!(text.starts_with("3 documents into docs in 2.0 s: 3 new, 0 changed"), "{text}");
        assert!(text.contains("sent 4 kB: 1 documents/s, 2 kB/s"), "{text}");
        assert!(text.contains("       1 cut: "), "{text}");
        assert!(text.contains("d19: no\n") && !text.contains("d20") && text.contains("and 5 more"));
        assert!(!text.contains("binary"));
        assert_eq!(tally.json(Duration::from_secs(2))["failed"], 25);
    }
}
