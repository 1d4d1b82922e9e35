use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::keys::{Ordinal, chunk_of};
use crate::postings::{redo, value};
use crate::rows::posting::Frequencies;

const TOKENS: [&str; 7] =
    ["a", "ab", "abc", "b", "b\u{0}", "much longer than most", "much longer than all"];
const FIRST: u64 = 100;

/// Key without chunk, then ordinal: what each record made of it, with its offset.
type Model = BTreeMap<(u8, u32, Vec<u8>), BTreeMap<Ordinal, Vec<(u64, Frequencies)>>>;

fn frequencies() -> impl Strategy<Value = Frequencies> {
    prop_oneof![
        2 => Just(Frequencies([0, 0, 0])),
        5 => (1..4_u32).prop_map(|body| Frequencies([0, 0, body])),
        1 => any::<[u32; 3]>().prop_map(Frequencies),
    ]
}

/// A record: how far its offset is from the one before, namespace, document, and changes by place of the token.
type Record = (u64, u32, Ordinal, BTreeMap<usize, Frequencies>);

fn record() -> impl Strategy<Value = Record> {
    let ordinal = prop_oneof![0..9_u32, 16_380..16_390_u32, Just(70_000_u32)];
    let changes = prop::collection::btree_map(0..TOKENS.len(), frequencies(), 1..5);
    (1..4_u64, 0..3_u32, ordinal, changes)
}

/// What is at an index of a chunk at a label; a removal is no frequencies.
type Found = BTreeMap<(Vec<u8>, u16), Frequencies>;

fn expected(model: &Model, kind: Kind, ns: u32, prefix: &[u8], label: u64) -> Found {
    let mut found = Found::new();
    for ((_, _, text), ordinals) in model
        .iter()
        .filter(|((k, n, text), _)| (*k, *n) == (kind as u8, ns) && text.starts_with(prefix))
    {
        for (ordinal, versions) in ordinals {
            let seen = versions.iter().rfind(|(offset, _)| *offset < label);
            if let Some((_, frequencies)) = seen {
                let (chunk, at) = chunk_of(*ordinal);
                let mut key = Vec::new();
                crate::keys::put_postings(&mut key, kind, NamespaceNumber(ns), text);
                crate::keys::put_chunk(&mut key, chunk);
                found.insert((key, at), *frequencies);
            }
        }
    }
    found
}

fn take(found: &mut Found, key: &[u8], value: &[u8]) {
    let parts = value::parts(value).expect("a value");
    let mut entries = Vec::new();
    value::read_changes(parts.changes, &mut entries).expect("changes");
    assert!(parts.packed.is_none() && !entries.is_empty());
    for entry in entries {
        let before = found.insert((key.to_vec(), entry.index), entry.frequencies());
        assert_eq!(before, None, "each index once");
    }
}

proptest! {
    /// Terms and rows of any prefix, at any label, after some are in order and others not.
    #[test]
    fn shows_what_records_changed(
        records in prop::collection::vec(record(), 1..60), forgotten in prop::option::of(0..60_u64),
        orders in prop::collection::vec(0..60_usize, 0..3), labels in prop::collection::vec(0..200_u64, 1..4),
    ) {
        let buffer = Buffer::new(Offset(FIRST));
        let mut model = Model::new();
        let mut offset = FIRST;
        let mut bytes = 0;
        for (number, (gap, ns, ordinal, changes)) in records.into_iter().enumerate() {
            let ns = NamespaceNumber(ns);
            let changes: Vec<_> = changes
                .into_iter()
                .map(|(at, after)| {
                    let text = TOKENS[at];
                    (if at % 3 == 2 { Term::Pair(text) } else { Term::Token(text) }, after)
                })
                .collect();
            let row = redo::encode(ns, ordinal, changes.iter().copied()).expect("changes");
            bytes += buffer.insert(Offset(offset), Redo::read(&row).expect("reads")).expect("makes sense");
            for (term, after) in changes {
                let key = (term.kind() as u8, ns.0, term.text().as_bytes().to_vec());
                model.entry(key).or_default().entry(ordinal).or_default().push((offset, after));
            }
            if orders.contains(&number) {
                buffer.order(ns, |_| true);
            }
            offset += gap;
        }
        prop_assert_eq!(buffer.bytes(), bytes);
        if let Some(from) = forgotten.map(|from| FIRST + from) {
            buffer.forget_from(Offset(from));
            for versions in model.values_mut().flat_map(BTreeMap::values_mut) {
                versions.retain(|(offset, _)| *offset < from);
            }
        }
        for label in labels.into_iter().chain([u64::MAX]) {
            for ns in 0..3 {
                for kind in Kind::POSTINGS {
                    for prefix in ["", "a", "ab", "b", "much longer than ", "c"] {
                        let mut found = Found::new();
                        let mut last = Vec::new();
                        buffer.rows(kind, NamespaceNumber(ns), prefix.as_bytes(), Offset(label), &mut |key, value| {
                            assert!(last.as_slice() < key, "ascending");
                            last = key.to_vec();
                            take(&mut found, key, value);
                        });
                        prop_assert_eq!(found, expected(&model, kind, ns, prefix.as_bytes(), label));
                    }
                }
                for text in TOKENS {
                    for term in [Term::Token(text), Term::Pair(text)] {
                        let mut found = Found::new();
                        buffer.chunks(NamespaceNumber(ns), term, Offset(label), &mut |chunk, value| {
                            let key = crate::keys::posting_chunk(term.kind(), NamespaceNumber(ns), text.as_bytes(), chunk);
                            take(&mut found, &key, value);
                        });
                        let all = expected(&model, term.kind(), ns, text.as_bytes(), label);
                        let mut start = Vec::new();
                        crate::keys::put_postings(&mut start, term.kind(), NamespaceNumber(ns), text.as_bytes());
                        let own = all.into_iter().filter(|((key, _), _)| key.starts_with(&start));
                        prop_assert_eq!(found, own.collect::<Found>());
                    }
                }
            }
        }
    }
}

#[test]
fn many_terms_come_in_order() {
    let buffer = Buffer::new(Offset(0));
    let words: Vec<String> =
        (0..3_000_u32).map(|n| format!("w{}", n.wrapping_mul(2_654_435_761))).collect();
    for (offset, words) in (0..).zip(words.chunks(10)) {
        let changes = words.iter().map(|word| (Term::Token(word), Frequencies([0, 0, 1])));
        let row = redo::encode(NamespaceNumber(1), 7, changes).expect("changes");
        buffer.insert(Offset(offset), Redo::read(&row).expect("reads")).expect("makes sense");
        if offset % 40 == 0 {
            let mut last = Vec::new();
            let mut count = 0;
            buffer.rows(Kind::Posting, NamespaceNumber(1), b"w1", Offset(offset), &mut |key, _| {
                assert!(last.as_slice() < key);
                last = key.to_vec();
                count += 1;
            });
            let seen = words_of(&buffer, offset);
            assert_eq!(count, seen);
        }
    }

    fn words_of(buffer: &Buffer, offset: u64) -> usize {
        let mut count = 0;
        buffer.rows(Kind::Posting, NamespaceNumber(1), b"", Offset(offset), &mut |key, _| {
            count += usize::from(key.get(5..7) == Some(b"w1"));
        });
        count
    }
}

#[test]
fn is_hot_where_documents_change_all_the_time() {
    // One alone, which is always the last of its lists, and two in turn.
    for ordinals in [[9, 9], [9, 3]] {
        let buffer = Buffer::new(Offset(0));
        let hot = (0..40_000_u64).zip(ordinals.into_iter().cycle()).find(|(offset, ordinal)| {
            let changes = [(Term::Token("fox"), Frequencies([0, 0, 1]))].into_iter();
            let row = redo::encode(NamespaceNumber(1), *ordinal, changes).expect("changes");
            buffer.insert(Offset(*offset), Redo::read(&row).expect("reads")).expect("makes sense");
            buffer.is_hot()
        });
        assert!(hot.is_some_and(|(offset, _)| offset > 1_000), "{hot:?}");
    }
}
