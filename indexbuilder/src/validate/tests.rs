//! Each limit, at it and one beyond.

use nautilus_proto::common::v1::AttributeValue;
use nautilus_proto::ingest::v1::DeleteDocument;

use super::*;

fn upsert(change: impl FnOnce(&mut Write, &mut DocumentContent)) -> Write {
    let mut content = DocumentContent {
        title: "Tide".to_owned(),
        path: "notes/tide.md".to_owned(),
        body: "low at noon".to_owned(),
        metadata: Some(DocumentMetadata::default()),
    };
    let mut write =
        Write { namespace: "team".to_owned(), document_id: "tide".to_owned(), ..Write::default() };
    change(&mut write, &mut content);
    write.operation = Some(Operation::Upsert(content));
    write
}

fn metadata(content: &mut DocumentContent) -> &mut DocumentMetadata {
    content.metadata.get_or_insert_default()
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue { value: Some(Value::Text(text.into())) }
}

/// The field at its limit passes; one byte or entry more is refused under its name.
#[track_caller]
fn check_limit(field: &str, limit: usize, build: impl Fn(usize) -> Write) {
    assert!(validate(build(limit)).is_ok(), "{field} at its limit");
    let violation = validate(build(limit + 1)).expect_err("beyond its limit");
    assert_eq!((violation.field, violation.reason), (field, "FIELD_TOO_LARGE"));
}

#[test]
fn every_length_has_its_limit() {
    let x = |bytes: usize| "x".repeat(bytes);
    check_limit("namespace", 256, |n| upsert(|write, _| write.namespace = x(n)));
    check_limit("document_id", 1024, |n| upsert(|write, _| write.document_id = x(n)));
    check_limit("upsert.title", 4096, |n| upsert(|_, content| content.title = x(n)));
    check_limit("upsert.path", 4096, |n| upsert(|_, content| content.path = x(n)));
    check_limit("upsert.body", 256 * 1024, |n| upsert(|_, content| content.body = x(n)));
    check_limit("upsert.metadata.media_type", 255, |n| {
        upsert(|_, content| metadata(content).media_type = x(n))
    });
    check_limit("upsert.metadata.attributes", 256, |n| {
        let attributes = (0..n).map(|i| (format!("{i:03}"), text("")));
        upsert(|_, content| metadata(content).attributes = attributes.collect())
    });
    check_limit("upsert.metadata.attributes", 64 * 1024, |n| {
        let integer = AttributeValue { value: Some(Value::Integer(1)) };
        let flag = AttributeValue { value: Some(Value::Flag(true)) };
        // Keys 3 bytes, number 8, flag 1, so 12 beside the text.
        let attributes = [("a", integer), ("b", flag), ("c", text(x(n - 12)))];
        let attributes = attributes.into_iter().map(|(key, value)| (key.to_owned(), value));
        upsert(|_, content| metadata(content).attributes = attributes.collect())
    });
}

#[test]
fn malformed_writes_are_refused_by_field() {
    let condition = |condition| Some(Condition { condition });
    let attribute = |key: &str, value| {
        let attributes = [(key.to_owned(), AttributeValue { value })];
        upsert(|_, content| metadata(content).attributes = attributes.into())
    };
    for (field, write) in [
        ("namespace", upsert(|write, _| write.namespace.clear())),
        ("document_id", upsert(|write, _| write.document_id.clear())),
        ("operation", Write { operation: None, ..upsert(|_, _| {}) }),
        ("condition", upsert(|write, _| write.condition = condition(None))),
        (
            "condition.absent",
            upsert(|write, _| write.condition = condition(Some(Holds::Absent(false)))),
        ),
        ("upsert.metadata.attributes", attribute("", Some(Value::Flag(true)))),
        ("upsert.metadata.attributes", attribute("a", None)),
        ("upsert.metadata.attributes", attribute("a", Some(Value::Number(f64::NAN)))),
        ("upsert.metadata.attributes", attribute("a", Some(Value::Number(f64::INFINITY)))),
    ] {
        let violation = validate(write).expect_err(field);
        assert_eq!((violation.field, violation.reason), (field, "FIELD_INVALID"));
    }
}

#[test]
fn everything_given_is_kept() {
    let write = upsert(|write, _| {
        write.version = Some(0);
        write.condition = Some(Condition { condition: Some(Holds::Version(7)) });
    });
    let valid = validate(write.clone()).expect("valid");
    assert_eq!(valid.namespace.as_bytes(), b"team");
    assert_eq!(valid.document_id.as_bytes(), b"tide");
    assert_eq!((valid.version, valid.condition), (Some(0), Some(ValidCondition::Version(7))));
    let Some(Operation::Upsert(sent)) = write.operation else { panic!("an upsert") };
    let hash = content_hash(&sent.title, &sent.path, &sent.body, None);
    assert_eq!(valid.operation, ValidOperation::Upsert { content: sent, content_hash: hash });

    let delete = Write {
        operation: Some(Operation::Delete(DeleteDocument {})),
        ..upsert(|write, _| {
            write.condition = Some(Condition { condition: Some(Holds::Absent(true)) });
        })
    };
    let valid = validate(delete).expect("valid");
    assert_eq!(valid.condition, Some(ValidCondition::Absent));
    assert_eq!(valid.operation, ValidOperation::Delete);
}

/// A document without text is one: its title and path are searchable.
#[test]
fn empty_text_is_allowed() {
    let write = upsert(|_, content| *content = DocumentContent::default());
    assert!(validate(write).is_ok());
}
