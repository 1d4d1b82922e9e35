//! A message (RFC 5322, MIME) as text.
//!
//! ```text
//! bytes ─► split ─► head: subject, people, date
//!             └───► parts (bounded in depth and number) ─► transfer encoding ─► charset ─► text
//! ```
//!
//! The parts are walked here and not by a library, so that nesting, number and time are bounded whatever a message
//! says of itself. Nothing is refused: what cannot be read is left out, or read as what it most likely is, and is
//! listed as a problem.

mod charset;
mod head;
mod parts;
mod sniff;
mod split;
mod transfer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::head::Head;
use self::parts::Walker;
use self::split::Entity;
use super::item::Problem;

pub(super) use self::sniff::looks_like_mail;

/// Of people in one line: nobody searches for the hundredth recipient.
const PEOPLE_BYTES_MAX: usize = 1_024;

/// A message that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mail {
    /// Its subject in one line, or empty.
    pub(super) subject: String,
    /// Who wrote it to whom, a blank line, what it says, and the names of what is attached.
    pub(super) text: String,
    /// Whether there was more text than allowed.
    pub(super) is_cut: bool,
    /// When it was sent, in milliseconds since 1970, where it says so.
    pub(super) sent_unix_ms: Option<i64>,
    /// What else is worth keeping, by attribute.
    pub(super) attributes: BTreeMap<&'static str, String>,
    /// What could not be read, and why.
    pub(super) problems: Vec<Problem>,
}

/// Reads a message; of its text at most `bytes_max` bytes. `is_cut` says that it goes on after `bytes`.
pub(super) fn read(bytes: &[u8], is_cut: bool, bytes_max: usize) -> Mail {
    let entity = Entity::of_message(bytes);
    let head = Head::parse(entity.head);
    let mut mail = Mail { sent_unix_ms: head.sent_unix_ms(), ..Mail::default() };
    mail.subject = head.line("Subject");
    let mut text = String::new();
    for name in ["From", "To", "Cc"] {
        let people = head.people(name, PEOPLE_BYTES_MAX);
        if !people.is_empty() {
            text.push_str(&format!("{name}: {people}\n"));
            match name {
                "From" => mail.attributes.insert("mail.from", people),
                "To" => mail.attributes.insert("mail.to", people),
                _ => None,
            };
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let mut walker = Walker::new(bytes_max.saturating_sub(text.len()), is_cut);
    let body = walker.read(&entity, &head);
    text.push_str(&body);
    if !walker.attachments.is_empty() {
        let names = walker.attachments.join(", ");
        text.push_str(&format!("\nAttachments: {names}\n"));
        mail.attributes.insert("mail.attachments", names);
    }
    if head.is_empty() {
        walker.problem("NO_HEADER", "no line of the form `name: value` at its start".to_owned());
    }
    mail.is_cut = walker.is_full;
    mail.problems = walker.problems;
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        mail.is_cut = true;
    }
    mail.text = text;
    mail
}
