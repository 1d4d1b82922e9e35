//! A file as a document: text, title, and what the file system knows about it.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

use nautilus_proto::common::v1::{AttributeValue, DocumentMetadata, attribute_value};
use nautilus_proto::ingest::v1::DocumentContent;
use nautilus_types::Limits;

use super::identify::{self, Kind};
use super::item::{Note, Prepared, Problem};
use super::mail::{self, Mail};
use super::walk::SourceFile;
use super::{decode, html, markdown};

/// Read of a file of plain text: twice the body, for two-byte encodings, and a bit more to see
/// that it is cut.
const TEXT_BYTES_MAX: usize = 2 * Limits::BODY_BYTES_MAX + 4;

/// Read of an HTML page: of some, nine bytes in ten are tags.
const HTML_BYTES_MAX: usize = 16 * Limits::BODY_BYTES_MAX;

/// Read of a message: what is attached is longer than what is said, and often before it.
const MAIL_BYTES_MAX: usize = 16 * Limits::BODY_BYTES_MAX;

/// The attribute that says what could not be read of a document, and why.
const FAILURE_ATTRIBUTE: &str = "extraction.failure";

/// Makes the document of a file. A file that cannot be read, or that is no text, becomes a
/// document with a name and no body. So does one on which the reading of its format panics.
pub(super) fn document(file: &SourceFile) -> Prepared {
    let bytes_max = match identify::kind(&file.path) {
        Kind::Html => HTML_BYTES_MAX,
        Kind::Mail => MAIL_BYTES_MAX,
        Kind::Plain | Kind::Markdown => TEXT_BYTES_MAX,
    };
    let mut document = named(file);
    let read = read(file, bytes_max).and_then(|(bytes, is_cut)| {
        if is_cut && is_mail(file, &bytes) {
            self::read(file, MAIL_BYTES_MAX)
        } else {
            Ok((bytes, is_cut))
        }
    });
    match read {
        Ok((bytes, is_cut)) => {
            document.source_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let filled =
                catch_unwind(AssertUnwindSafe(|| fill(document.clone(), file, bytes, is_cut)));
            match filled {
                Ok(filled) => return filled,
                Err(_) => {
                    let detail = "the program failed on it: found by name only".to_owned();
                    fail(&mut document, vec![Problem { reason: "EXTRACTOR_FAILED", detail }]);
                }
            }
        }
        Err(error) => {
            document.problems = vec![Problem { reason: "UNREADABLE", detail: error.to_string() }];
        }
    }
    document
}

/// What is known of a file without reading it.
fn named(file: &SourceFile) -> Prepared {
    let (size, created, modified) = facts(&file.path.symlink_metadata().ok());
    Prepared {
        id: file.id.clone(),
        source_bytes: 0,
        version: None,
        note: Note::Unreadable,
        problems: Vec::new(),
        content: DocumentContent {
            title: cut(identify::title_of(&file.path), Limits::TITLE_BYTES_MAX).0,
            path: cut(file.shown_path.clone(), Limits::PATH_BYTES_MAX).0,
            body: String::new(),
            metadata: Some(DocumentMetadata {
                created_unix_ms: created,
                modified_unix_ms: modified,
                size_bytes: size,
                media_type: identify::media_type(&file.path).to_owned(),
                ..DocumentMetadata::default()
            }),
        },
    }
}

/// At most `bytes_max` bytes of the file, and whether there are more.
fn read(file: &SourceFile, bytes_max: usize) -> io::Result<(Vec<u8>, bool)> {
    let open = File::open(&file.path)?;
    // One more than allowed shows that there is more.
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    open.take(limit).read_to_end(&mut bytes)?;
    let is_cut = bytes.len() > bytes_max;
    bytes.truncate(bytes_max);
    Ok((bytes, is_cut))
}

/// Messages are recognised by what they begin with where the name does not say that it is something else: most
/// programs that keep one in a file call it by a number.
fn is_mail(file: &SourceFile, bytes: &[u8]) -> bool {
    match identify::kind(&file.path) {
        Kind::Mail => true,
        Kind::Plain => {
            let media_type = identify::media_type(&file.path);
            matches!(media_type, "" | "text/plain") && mail::looks_like_mail(bytes)
        }
        Kind::Html | Kind::Markdown => false,
    }
}

fn fill(mut document: Prepared, file: &SourceFile, bytes: Vec<u8>, is_cut: bool) -> Prepared {
    let mut kind = identify::kind(&file.path);
    if is_mail(file, &bytes) {
        fill_mail(&mut document, &bytes, is_cut);
        return document;
    }
    if file.path.extension().is_none() && looks_like_html(&bytes) {
        kind = Kind::Html;
    }
    let declared = match kind {
        Kind::Html => decode::declared_in_html(&bytes),
        Kind::Plain | Kind::Markdown | Kind::Mail => None,
    };
    let Some(text) = decode::text(bytes, is_cut, declared) else {
        document.note = Note::Binary;
        let detail = "no text in any encoding: found by name only".to_owned();
        document.problems = vec![Problem { reason: "BINARY", detail }];
        return document;
    };
    let (title, (body, is_body_cut)) = match kind {
        Kind::Html => {
            let page = html::read(&text, Limits::BODY_BYTES_MAX);
            (Some(page.title), (page.text, page.is_cut))
        }
        Kind::Markdown => (markdown::title(&text), cut(text, Limits::BODY_BYTES_MAX)),
        Kind::Plain | Kind::Mail => (None, cut(text, Limits::BODY_BYTES_MAX)),
    };
    set_title(&mut document, title);
    document.content.body = body;
    note_cut(&mut document, is_cut || is_body_cut);
    document
}

fn fill_mail(document: &mut Prepared, bytes: &[u8], is_cut: bool) {
    let Mail { subject, text, is_cut: is_text_cut, sent_unix_ms, attributes, problems } =
        mail::read(bytes, is_cut, Limits::BODY_BYTES_MAX);
    set_title(document, Some(subject));
    document.content.body = text;
    let metadata = document.content.metadata.get_or_insert_default();
    "message/rfc822".clone_into(&mut metadata.media_type);
    // Nobody changes a message after it was sent; when its file was written says nothing.
    if let Some(sent) = sent_unix_ms {
        (metadata.created_unix_ms, metadata.modified_unix_ms) = (sent, sent);
    }
    for (key, text) in attributes {
        metadata.attributes.insert(key.to_owned(), value(attribute_value::Value::Text(text)));
    }
    note_cut(document, is_cut || is_text_cut);
    fail(document, problems);
}

fn set_title(document: &mut Prepared, title: Option<String>) {
    if let Some(title) = title.filter(|title| !title.is_empty()) {
        document.content.title = cut(title, Limits::TITLE_BYTES_MAX).0;
    }
}

fn note_cut(document: &mut Prepared, is_cut: bool) {
    document.note = if is_cut { Note::Cut } else { Note::Whole };
    if is_cut {
        let metadata = document.content.metadata.get_or_insert_default();
        let flag = value(attribute_value::Value::Flag(true));
        metadata.attributes.insert("truncated".to_owned(), flag);
    }
}

/// Notes the problems, for this feed and in the document itself.
fn fail(document: &mut Prepared, problems: Vec<Problem>) {
    if problems.is_empty() {
        return;
    }
    let told = problems.iter().map(|Problem { reason, detail }| format!("{reason}: {detail}"));
    let told = told.collect::<Vec<_>>().join("; ");
    let metadata = document.content.metadata.get_or_insert_default();
    let text = value(attribute_value::Value::Text(told));
    metadata.attributes.insert(FAILURE_ATTRIBUTE.to_owned(), text);
    document.problems = problems;
}

fn value(value: attribute_value::Value) -> AttributeValue {
    AttributeValue { value: Some(value) }
}

/// The text, of at most `bytes_max` bytes of whole characters, and whether that cut it.
pub(super) fn cut(mut text: String, bytes_max: usize) -> (String, bool) {
    let is_cut = text.len() > bytes_max;
    if is_cut {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    (text, is_cut)
}

fn looks_like_html(bytes: &[u8]) -> bool {
    let begins =
        |with: &[u8]| bytes.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html")
}

/// Size in bytes, creation and change in milliseconds since 1970; 0 = not known.
fn facts(metadata: &Option<Metadata>) -> (u64, i64, i64) {
    let Some(metadata) = metadata else { return (0, 0, 0) };
    let created = metadata.created().map_or(0, unix_ms);
    (metadata.len(), created, metadata.modified().map_or(0, unix_ms))
}

fn unix_ms(time: SystemTime) -> i64 {
    let after = time.duration_since(UNIX_EPOCH);
    let before = |error: std::time::SystemTimeError| error.duration();
    match after.map_err(before) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(0),
        Err(before) => i64::try_from(before.as_millis()).map_or(0, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn made(name: &str, bytes: &[u8]) -> Prepared {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("write");
        document(&SourceFile { path, id: name.to_owned(), shown_path: name.to_owned() })
    }

    #[test]
    fn each_kind_has_its_title_and_body() {
        let plain = made("notes.txt", b"low tide");
        assert_eq!(
            (plain.content.title.as_str(), plain.content.body.as_str()),
            ("notes", "low tide")
        );
        let metadata = plain.content.metadata.expect("metadata");
        assert_eq!((metadata.size_bytes, metadata.media_type.as_str()), (8, "text/plain"));
        assert!(metadata.modified_unix_ms > 1_600_000_000_000);
        assert_eq!(made("a.md", b"# The tide\n\nlow").content.title, "The tide");
        let page = made("p.html", b"<title>Page</title><p>text");
        assert_eq!((page.content.title.as_str(), page.content.body.as_str()), ("Page", "text"));
        assert_eq!(made("README", b"<!doctype html><p>x").content.body, "x");
        assert_eq!(made("empty.rs", b"").note, Note::Whole);
    }

    #[test]
    fn long_bodies_are_cut_and_say_so() {
        let long = made("long.txt", "é".repeat(200_000).as_bytes());
        assert_eq!(long.note, Note::Cut);
        assert_eq!(long.content.body.len(), Limits::BODY_BYTES_MAX);
        let metadata = long.content.metadata.expect("metadata");
        assert_eq!(metadata.size_bytes, 400_000);
        assert!(metadata.attributes.contains_key("truncated"));
        let longest = made("x.txt", &vec![b'a'; Limits::BODY_BYTES_MAX]);
        assert_eq!(longest.note, Note::Whole);
    }

    #[test]
    fn binary_and_unreadable_files_keep_their_name() {
        let binary = made("a.bin", b"\0\x01\x02");
        assert_eq!((binary.note, binary.content.body.as_str()), (Note::Binary, ""));
        assert_eq!(binary.content.title, "a");
        let path = PathBuf::from("/nonexistent/gone.txt");
        let gone = document(&SourceFile {
            path,
            id: "gone.txt".to_owned(),
            shown_path: "gone.txt".to_owned(),
        });
        assert_eq!((gone.note, gone.content.title.as_str()), (Note::Unreadable, "gone"));
        let reasons =
            |made: &Prepared| made.problems.iter().map(|one| one.reason).collect::<Vec<_>>();
        assert_eq!((reasons(&binary), reasons(&gone)), (vec!["BINARY"], vec!["UNREADABLE"]));
    }

    #[test]
    fn messages_are_known_by_their_name_or_by_their_head() {
        let message = b"Return-Path: <a@x>\nFrom: Ada <a@x>\nDate: Thu, 22 Aug 2002 12:36:23 +0100\n\
            Subject: =?iso-8859-1?Q?Low_tide=21?=\nContent-Type: text/plain; charset=x-odd\n\nat noon\n";
        for name in ["00001.7c53336b37003a9286aba55d2945844c", "1.eml", "a.txt", "message"] {
            let mail = made(name, message);
            assert_eq!(mail.content.title, "Low tide!", "{name}");
            assert_eq!(mail.content.body, "From: Ada <a@x>\n\nat noon\n");
            let metadata = mail.content.metadata.expect("metadata");
            assert_eq!(metadata.media_type, "message/rfc822");
            assert_eq!(metadata.created_unix_ms, 1_030_016_183_000);
            let failure =
                metadata.attributes.get(FAILURE_ATTRIBUTE).and_then(|one| one.value.as_ref());
            let told = "UNKNOWN_CHARSET: `x-odd`: its encoding was guessed".to_owned();
            assert_eq!(failure, Some(&attribute_value::Value::Text(told)));
            assert_eq!(mail.problems.len(), 1);
        }
        assert_eq!(made("a.md", message).content.title, "a");
        assert_eq!(made("talk.txt", b"From: me\nTo: you\n\nhello").content.title, "talk");
    }
}
