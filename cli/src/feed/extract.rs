//! A file as a document: text, title, and what the file system knows about it.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use nautilus_proto::common::v1::{AttributeValue, DocumentMetadata, attribute_value};
use nautilus_proto::ingest::v1::DocumentContent;
use nautilus_types::Limits;

use super::identify::{self, Kind};
use super::item::{Note, Prepared};
use super::walk::SourceFile;
use super::{decode, html, markdown};

/// Read of a file of plain text: twice the body, for two-byte encodings, and a bit more to see
/// that it is cut.
const TEXT_BYTES_MAX: usize = 2 * Limits::BODY_BYTES_MAX + 4;

/// Read of an HTML page: of some, nine bytes in ten are tags.
const HTML_BYTES_MAX: usize = 16 * Limits::BODY_BYTES_MAX;

/// Makes the document of a file. A file that cannot be read, or that is no text, becomes a
/// document with a name and no body.
pub(super) fn document(file: &SourceFile) -> Prepared {
    let is_html = identify::kind(&file.path) == Kind::Html;
    let bytes_max = if is_html { HTML_BYTES_MAX } else { TEXT_BYTES_MAX };
    let (size, created, modified) = facts(&file.path.symlink_metadata().ok());
    let mut document = Prepared {
        id: file.id.clone(),
        source_bytes: 0,
        version: None,
        note: Note::Unreadable,
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
    };
    if let Ok((bytes, is_cut)) = read(file, bytes_max) {
        document.source_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        fill(&mut document, file, bytes, is_cut);
    }
    document
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

fn fill(document: &mut Prepared, file: &SourceFile, bytes: Vec<u8>, is_cut: bool) {
    let mut kind = identify::kind(&file.path);
    if file.path.extension().is_none() && looks_like_html(&bytes) {
        kind = Kind::Html;
    }
    let declared = match kind {
        Kind::Html => decode::declared_in_html(&bytes),
        Kind::Plain | Kind::Markdown => None,
    };
    let Some(text) = decode::text(bytes, is_cut, declared) else {
        document.note = Note::Binary;
        return;
    };
    let (title, (body, is_body_cut)) = match kind {
        Kind::Html => {
            let page = html::read(&text, Limits::BODY_BYTES_MAX);
            (Some(page.title), (page.text, page.is_cut))
        }
        Kind::Markdown => (markdown::title(&text), cut(text, Limits::BODY_BYTES_MAX)),
        Kind::Plain => (None, cut(text, Limits::BODY_BYTES_MAX)),
    };
    if let Some(title) = title.filter(|title| !title.is_empty()) {
        document.content.title = cut(title, Limits::TITLE_BYTES_MAX).0;
    }
    document.content.body = body;
    document.note = Note::Whole;
    if is_cut || is_body_cut {
        document.note = Note::Cut;
        let value = AttributeValue { value: Some(attribute_value::Value::Flag(true)) };
        let metadata = document.content.metadata.get_or_insert_default();
        metadata.attributes.insert("truncated".to_owned(), value);
    }
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
    }
}
