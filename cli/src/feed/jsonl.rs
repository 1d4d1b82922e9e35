//! Documents as lines of JSON.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use nautilus_proto::common::v1::{AttributeValue, DocumentMetadata, attribute_value};
use nautilus_proto::ingest::v1::DocumentContent;
use nautilus_types::Limits;
use serde::Deserialize;
use serde_json::Value;

use super::extract::cut;
use super::item::{Item, Note, Prepared, Refusal, id_problem};

/// Longest line taken in, in bytes: a full body with every character escaped as `\u00XX`.
const LINE_BYTES_MAX: usize = 8 * Limits::BODY_BYTES_MAX;

/// One line. Unknown keys are errors: a misspelt one would lose its content silently.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    version: Option<u64>,
    #[serde(default)]
    created_unix_ms: i64,
    #[serde(default)]
    modified_unix_ms: i64,
    #[serde(default)]
    size_bytes: u64,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    #[serde(default)]
    delete: bool,
}

/// Reads items from lines until the input ends; an error of the input ends it too.
pub(super) fn items(mut input: impl BufRead) -> impl Iterator<Item = io::Result<Item>> {
    let mut number: u64 = 0;
    std::iter::from_fn(move || {
        loop {
            number += 1;
            let line = match next_line(&mut input) {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            let bad = |message: String| {
                Some(Ok(Item::Bad(Refusal { id: format!("line {number}"), message })))
            };
            match line {
                LineRead::TooLong => {
                    return bad(format!("longer than {LINE_BYTES_MAX} bytes"));
                }
                LineRead::Whole(bytes) if bytes.trim_ascii().is_empty() => {}
                LineRead::Whole(bytes) => match item(&bytes) {
                    Ok(item) => return Some(Ok(item)),
                    Err(message) => return bad(message),
                },
            }
        }
    })
}

enum LineRead {
    Whole(Vec<u8>),
    TooLong,
}

fn next_line(input: &mut impl BufRead) -> io::Result<Option<LineRead>> {
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    input.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < LINE_BYTES_MAX || bytes.ends_with(b"\n") {
        return Ok(Some(LineRead::Whole(bytes)));
    }
    input.skip_until(b'\n')?;
    Ok(Some(LineRead::TooLong))
}

fn item(bytes: &[u8]) -> Result<Item, String> {
    let line: Line = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if line.delete {
        return match id_problem(&line.id) {
            Some(message) => Err(message),
            None => Ok(Item::Delete { id: line.id, version: line.version }),
        };
    }
    let source_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut attributes = BTreeMap::new();
    for (key, value) in line.attributes {
        let value = attribute(&value).ok_or_else(|| {
            format!("attribute {key:?} is neither text nor a number nor true or false")
        })?;
        attributes.insert(key, AttributeValue { value: Some(value) });
    }
    let (body, is_cut) = cut(line.body, Limits::BODY_BYTES_MAX);
    if is_cut {
        let value = AttributeValue { value: Some(attribute_value::Value::Flag(true)) };
        attributes.insert("truncated".to_owned(), value);
    }
    let metadata = DocumentMetadata {
        created_unix_ms: line.created_unix_ms,
        modified_unix_ms: line.modified_unix_ms,
        size_bytes: line.size_bytes,
        media_type: line.media_type,
        attributes,
        ..DocumentMetadata::default()
    };
    Ok(Item::of(Prepared {
        id: line.id,
        version: line.version,
        note: if is_cut { Note::Cut } else { Note::Whole },
        problems: Vec::new(),
        source_bytes,
        content: DocumentContent {
            title: line.title,
            path: line.path,
            body,
            metadata: Some(metadata),
        },
    }))
}

fn attribute(value: &Value) -> Option<attribute_value::Value> {
    match value {
        Value::String(text) => Some(attribute_value::Value::Text(text.clone())),
        Value::Bool(flag) => Some(attribute_value::Value::Flag(*flag)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(integer) => attribute_value::Value::Integer(integer),
            None => attribute_value::Value::Number(number.as_f64()?),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Item> {
        items(text.as_bytes()).map(|item| item.expect("memory does not fail")).collect()
    }

    fn refusal(text: &str) -> String {
        let item = read(text).remove(0);
        let Item::Bad(refusal) = item else { panic!("{item:?}") };
        format!("{}: {}", refusal.id, refusal.message)
    }

    #[test]
    fn lines_become_documents_and_deletions() {
        let items = read(concat!(
            r#"{"id":"a","title":"T","body":"b","version":7,"attributes":{"n":1,"f":1.5,"t":"x","b":true}}"#,
            "\n\n",
            r#"{"id":"b","delete":true}"#,
        ));
        let [Item::Upsert(document, _), Item::Delete { id, version: None }] = &items[..] else {
            panic!("{items:?}");
        };
        assert_eq!((document.content.title.as_str(), document.version), ("T", Some(7)));
        assert_eq!(document.content.metadata.as_ref().expect("metadata").attributes.len(), 4);
        assert_eq!(id, "b");
    }

    #[test]
    fn bad_lines_are_named_by_number_and_do_not_end_the_feed() {
        assert!(refusal("{\"id\":\"a\",\"tittle\":\"x\"}").starts_with("line 1: unknown field"));
        assert!(refusal("{\"id\":\"\"}").contains("empty"));
        assert!(refusal("{\"id\":\"a\",\"attributes\":{\"x\":[]}}").contains("\"x\""));
        assert_eq!(read("nonsense\n{\"id\":\"a\"}").len(), 2);
        let long = format!("{}\n{{\"id\":\"after\"}}", "x".repeat(LINE_BYTES_MAX + 5));
        let items = read(&long);
        assert!(matches!(&items[..], [Item::Bad(_), Item::Upsert(_, _)]));
    }
}
