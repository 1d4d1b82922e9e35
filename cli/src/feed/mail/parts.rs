//! The text of a message's parts.

use crate::feed::item::Problem;
use crate::feed::{decode, html};

use super::PEOPLE_BYTES_MAX;
use super::charset;
use super::head::Head;
use super::split::{self, Entity};
use super::transfer;

/// Parts within parts. Forwarded forwards come to five or six.
const DEPTH_MAX: usize = 12;

/// Parts of one message, all levels together.
const PARTS_MAX: usize = 256;

/// Problems told of one message: more say nothing new.
const PROBLEMS_MAX: usize = 8;

/// Names of attachments kept.
const ATTACHMENTS_MAX: usize = 64;

/// A name that somebody else chose, as it is told.
const NAME_CHARS_MAX: usize = 64;

/// Goes through a message.
pub(super) struct Walker {
    bytes_max: usize,
    /// The message goes on after what there is of it.
    is_source_cut: bool,
    parts_left: usize,
    pub(super) attachments: Vec<String>,
    pub(super) problems: Vec<Problem>,
    /// Whether there was more text than allowed.
    pub(super) is_full: bool,
}

impl Walker {
    /// Keeps at most `bytes_max` bytes of each part.
    pub(super) fn new(bytes_max: usize, is_source_cut: bool) -> Self {
        Self {
            bytes_max,
            is_source_cut,
            parts_left: PARTS_MAX,
            attachments: Vec::new(),
            problems: Vec::new(),
            is_full: false,
        }
    }

    /// What the message says.
    pub(super) fn read(&mut self, entity: &Entity<'_>, head: &Head) -> String {
        self.entity(entity, head, 0)
    }

    pub(super) fn problem(&mut self, reason: &'static str, detail: String) {
        let problem = Problem { reason, detail };
        if self.problems.len() < PROBLEMS_MAX && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn entity(&mut self, entity: &Entity<'_>, head: &Head, depth: usize) -> String {
        let (kind, subtype) = head.media_type();
        match kind.as_str() {
            "multipart" => self.multipart(entity, head, &subtype, depth),
            "message" if matches!(subtype.as_str(), "rfc822" | "global" | "news") => {
                self.forwarded(entity, head, depth)
            }
            "text" if !(head.is_attachment() && head.file_name().is_some()) => {
                self.text(entity.body, head, &subtype)
            }
            // Reports of delivery, and heads sent back: lines that people read.
            "message" => self.text(entity.body, head, "plain"),
            _ => {
                self.attached(head, &kind, &subtype);
                String::new()
            }
        }
    }

    fn multipart(
        &mut self,
        entity: &Entity<'_>,
        head: &Head,
        subtype: &str,
        depth: usize,
    ) -> String {
        if depth >= DEPTH_MAX {
            self.problem(
                "TOO_DEEP",
                format!("parts within more than {DEPTH_MAX} parts are left out"),
            );
            return String::new();
        }
        let Some(boundary) = head.parameter("boundary").filter(|boundary| !boundary.is_empty())
        else {
            self.problem("NO_BOUNDARY", "many parts, but no boundary: read as one text".to_owned());
            return self.text(entity.body, head, "plain");
        };
        let found = split::parts(entity.body, boundary.as_bytes(), self.parts_left);
        if found.has_more {
            self.problem("TOO_MANY_PARTS", format!("only {PARTS_MAX} parts are read"));
        }
        if found.parts.is_empty() {
            self.problem("NO_PARTS", "its boundary is nowhere in it: read as one text".to_owned());
            return self.text(entity.body, head, "plain");
        }
        if !found.is_closed && !found.has_more && !self.is_source_cut {
            self.problem("NOT_CLOSED", "ends before its last part does".to_owned());
        }
        self.parts_left = self.parts_left.saturating_sub(found.parts.len());
        let read = |part: &[u8], walker: &mut Self| {
            let part = Entity::of_part(part);
            let head = Head::parse(part.head);
            let is_plain = head.media_type() == ("text".to_owned(), "plain".to_owned());
            // A part of a digest without a head of its own is a message (RFC 2046 section 5.1.5).
            let text = if subtype == "digest" && head.is_empty() {
                walker.forwarded(&part, &head, depth)
            } else {
                walker.entity(&part, &head, depth + 1)
            };
            (is_plain, text)
        };
        if subtype == "alternative" {
            return self.alternative(found.parts, read);
        }
        let mut text = String::new();
        for part in found.parts {
            let (_, more) = read(part, self);
            self.append(&mut text, &more);
        }
        text
    }

    /// The same said in several ways: as plain text where that is one of them, else in the last way.
    fn alternative<'a>(
        &mut self,
        parts: Vec<&'a [u8]>,
        read: impl Fn(&'a [u8], &mut Self) -> (bool, String),
    ) -> String {
        let mut best = String::new();
        for part in parts {
            let (is_plain, text) = read(part, self);
            if text.trim().is_empty() {
                continue;
            }
            if is_plain {
                return text;
            }
            best = text;
        }
        best
    }

    /// A message within the message: its subject and sender, and what it says.
    fn forwarded(&mut self, entity: &Entity<'_>, head: &Head, depth: usize) -> String {
        if depth >= DEPTH_MAX {
            self.problem(
                "TOO_DEEP",
                format!("parts within more than {DEPTH_MAX} parts are left out"),
            );
            return String::new();
        }
        let bytes = self.decoded(entity.body, head);
        let inner = Entity::of_message(&bytes);
        let inner_head = Head::parse(inner.head);
        let mut text = String::new();
        for line in [inner_head.line("Subject"), inner_head.people("From", PEOPLE_BYTES_MAX)] {
            self.append(&mut text, &line);
        }
        let body = self.entity(&inner, &inner_head, depth + 1);
        self.append(&mut text, &body);
        text
    }

    fn text(&mut self, body: &[u8], head: &Head, subtype: &str) -> String {
        let bytes = self.decoded(body, head);
        let mut label = head.parameter("charset").unwrap_or_default();
        // A page says it itself, and is asked where its head says nothing that anybody knows.
        if subtype == "html" && !charset::is_known(label) {
            // One that was found by reading ASCII is in nothing else.
            let of_page = decode::declared_in_html(&bytes).filter(|it| it.is_ascii_compatible());
            label = of_page.map_or(label, |encoding| encoding.name());
        }
        let decoded = charset::decode(label, &bytes);
        match decoded.flaw {
            None => {}
            Some(charset::Flaw::Unknown) => {
                let label = told(label);
                self.problem("UNKNOWN_CHARSET", format!("`{label}`: its encoding was guessed"));
            }
            Some(charset::Flaw::Bytes) => {
                let label = if label.is_empty() { "any charset".to_owned() } else { told(label) };
                self.problem("FLAWED_TEXT", format!("bytes that mean nothing in {label}"));
            }
        }
        let Some(text) = decoded.text else {
            self.problem("NOT_TEXT", "a part that says it is text is none: left out".to_owned());
            return String::new();
        };
        if subtype == "html" || (subtype != "plain" && looks_like_html(&text)) {
            let page = html::read(&text, self.bytes_max);
            self.is_full |= page.is_cut;
            return page.text;
        }
        self.cut(text)
    }

    fn decoded<'a>(&mut self, body: &'a [u8], head: &Head) -> std::borrow::Cow<'a, [u8]> {
        let encoding = head.transfer_encoding();
        let decoded = transfer::decode(&encoding, body);
        match decoded.flaw {
            None => {}
            // The last group of a message that was cut is not whole.
            Some(transfer::Flaw::Base64) if self.is_source_cut => {}
            Some(transfer::Flaw::Base64) => {
                self.problem("FLAWED_BASE64", "read without what is no base64".to_owned());
            }
            Some(transfer::Flaw::QuotedPrintable) => {
                let detail = "`=` without two digits: read as it stands".to_owned();
                self.problem("FLAWED_QUOTED_PRINTABLE", detail);
            }
            Some(transfer::Flaw::Unknown) => {
                let encoding = told(&encoding);
                self.problem("UNKNOWN_ENCODING", format!("`{encoding}`: read as it stands"));
            }
        }
        decoded.bytes
    }

    fn attached(&mut self, head: &Head, kind: &str, subtype: &str) {
        if self.attachments.len() < ATTACHMENTS_MAX {
            let name = head.file_name().unwrap_or_else(|| format!("{kind}/{subtype}"));
            self.attachments.push(told(&name));
        }
    }

    fn append(&mut self, text: &mut String, more: &str) {
        if !more.is_empty() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(more);
        }
        *text = self.cut(std::mem::take(text));
    }

    fn cut(&mut self, mut text: String) -> String {
        if text.len() > self.bytes_max {
            text.truncate(text.floor_char_boundary(self.bytes_max));
            self.is_full = true;
        }
        text
    }
}

/// Somebody else's word, short and without control characters.
fn told(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

fn looks_like_html(text: &str) -> bool {
    let start = text.trim_start();
    ["<html", "<!doctype html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag)))
}
