use std::collections::BTreeMap;

use nautilus_query::FieldSet;
use proptest::prelude::*;
use rocksdb::{DB, WriteBatch};

use super::*;
use crate::keys::{NamespaceNumber, Ordinal};
use crate::postings::rows::{RowReader, RowWriter};
use crate::postings::value::{decode_list, encode_change, encode_list, read_column};
use crate::postings::{
    ChunkReader, ChunkWriter, Column, Found, Part, PostingReader, PostingWriter, Term, Weights,
};
use crate::resources::Resources;
use crate::rows::posting::Frequencies;
use crate::search::Unlimited;

type Model = BTreeMap<u16, Frequencies>;

fn frequencies() -> impl Strategy<Value = Frequencies> {
    prop_oneof![
        2 => Just(Frequencies([0, 0, 0])),
        5 => (1..4_u32).prop_map(|body| Frequencies([0, 0, body])),
        1 => (0..2_u32, 0..2_u32, 30..40_u32).prop_map(|(t, p, b)| Frequencies([t, p, b])),
        1 => any::<[u32; 3]>().prop_map(Frequencies),
    ]
}

/// Close together, far apart, and on the chunk's ends.
fn index() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0..40_u16, 2 => 0..16_384_u16, 1 => Just(16_383_u16)]
}

/// How one operation reaches the list that is being built.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A further operand.
    Keep,
    /// The operands so far become one.
    Partial,
    /// The operands so far go onto the list, in the background or for a reader.
    Full { is_reader: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Keep),
        2 => Just(Step::Partial),
        1 => any::<bool>().prop_map(|is_reader| Step::Full { is_reader }),
    ]
}

fn run(operations: &[(u16, Frequencies, Step)]) -> (Option<Vec<u8>>, Model) {
    let mut model = Model::new();
    let mut existing: Option<Vec<u8>> = None;
    let mut pending: Vec<Vec<u8>> = Vec::new();
    for (index, frequencies, step) in operations {
        if frequencies.is_empty() {
            model.remove(index);
        } else {
            model.insert(*index, *frequencies);
        }
        let mut change = Vec::new();
        encode_change(&mut change, *index, *frequencies);
        pending.push(change);
        let operands: Vec<&[u8]> = pending.iter().map(Vec::as_slice).collect();
        match step {
            Step::Keep => {}
            Step::Partial => pending = vec![partial(&operands)],
            Step::Full { is_reader } => {
                existing = Some(full(existing.as_deref(), &operands, *is_reader));
                pending.clear();
            }
        }
    }
    let operands: Vec<&[u8]> = pending.iter().map(Vec::as_slice).collect();
    (Some(full(existing.as_deref(), &operands, true)), model)
}

fn postings(column: &Column) -> Model {
    let of = |index: usize| Some((u16::try_from(index).ok()?, column.frequencies(index)));
    column.bits().ones().filter_map(of).collect()
}

proptest! {
    /// A list written at once is the list that changes of its postings fold to.
    #[test]
    fn a_list_at_once_is_as_folded(
        list in prop::collection::btree_map(index(), frequencies(), 0..200),
    ) {
        let list: Vec<_> = list.into_iter().filter(|(_, posting)| !posting.is_empty()).collect();
        let mut at_once = Vec::new();
        encode_list(&mut at_once, &list);
        let changes = list.iter().map(|(index, posting)| {
            let mut change = Vec::new();
            encode_change(&mut change, *index, *posting);
            change
        });
        let changes: Vec<Vec<u8>> = changes.collect();
        let changes: Vec<&[u8]> = changes.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(&at_once, &full(None, &changes, false));
        let mut decoded = Vec::new();
        prop_assert_eq!(decode_list(&at_once, &mut decoded), Ok(()));
        prop_assert_eq!(decoded, list);
    }
}

proptest! {
    #[test]
    fn any_split_into_merges_gives_the_same_list(
        operations in prop::collection::vec((index(), frequencies(), step()), 0..200),
    ) {
        let (value, model) = run(&operations);
        let mut column = Column::new();
        read_column(&value.expect("a value"), &mut column).expect("makes sense");
        prop_assert_eq!(column.len(), model.len());
        prop_assert_eq!(postings(&column), model);
    }

    #[test]
    fn whole_lists_of_any_density_are_read_back(
        members in prop::collection::btree_map(0..400_u16, frequencies(), 0..400), stride in 1..40_u16,
    ) {
        let operations: Vec<_> = members
            .into_iter()
            .map(|(index, frequencies)| (index * stride, frequencies, Step::Keep))
            .collect();
        let (_, model) = run(&operations);
        let mut changes: Vec<Vec<u8>> = Vec::new();
        for (index, frequencies, _) in &operations {
            let mut change = Vec::new();
            encode_change(&mut change, *index, *frequencies);
            changes.push(change);
        }
        let operands: Vec<&[u8]> = changes.iter().map(Vec::as_slice).collect();
        // Nothing is below: packed at once, without removals.
        let value = full(None, &operands, false);
        let mut column = Column::new();
        read_column(&value, &mut column).expect("makes sense");
        prop_assert_eq!(postings(&column), model.clone());
        prop_assert_eq!(value == EMPTY, model.is_empty());
        // Removing all of it leaves what the compaction filter drops.
        let removals: Vec<Vec<u8>> = model
            .keys()
            .map(|index| {
                let mut change = Vec::new();
                encode_change(&mut change, *index, Frequencies::default());
                change
            })
            .collect();
        let operands: Vec<&[u8]> = removals.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(full(Some(&value), &operands, false), EMPTY.to_vec());
    }

    #[test]
    fn weights_are_those_of_the_postings_within(
        members in prop::collection::btree_map(index(), frequencies(), 0..60),
        within in prop::collection::btree_set(index(), 0..60), from in 0..3_usize, body_alone: bool,
    ) {
        let mut column = Column::new();
        let members: Model = members.into_iter().filter(|(_, of)| !of.is_empty()).collect();
        members.iter().for_each(|(index, of)| column.push_frequencies(*index, *of));
        column.seal();
        let mut bits = crate::bits::Bits::none(16_384);
        within.iter().for_each(|index| bits.set(usize::from(*index)));
        // Also all of them.
        let is_all = within.len() % 2 == 0;
        if is_all {
            members.keys().for_each(|index| bits.set(usize::from(*index)));
        }
        let fields = if body_alone { FieldSet::only(nautilus_query::Field::Body) } else { FieldSet::ALL };
        let range = from * 64..16_384 - from * 64;
        let mut got = Vec::new();
        column.for_each_weight(&bits, range.clone(), Weights::of(fields), |index, weight| {
            got.push((index, weight));
        });
        let expected: Vec<_> = members
            .iter()
            .map(|(index, of)| (usize::from(*index), of))
            .filter(|(index, _)| range.contains(index) && bits.contains(*index))
            .map(|(index, of)| (index, nautilus_query::scoring::weighted_frequency(of.0, fields)))
            .collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn any_bytes_are_survived_and_kept(
        existing in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        operands in prop::collection::vec(prop::collection::vec(0..5_u8, 0..12), 1..4),
        is_reader in any::<bool>(),
    ) {
        let operands: Vec<&[u8]> = operands.iter().map(Vec::as_slice).collect();
        let value = full(existing.as_deref(), &operands, is_reader);
        let mut column = Column::new();
        let is_read = read_column(&value, &mut column).is_ok();
        if !is_read && value.first() == Some(&4) {
            let kept = operands.iter().all(|piece| value.windows(piece.len().max(1)).any(|w| w == *piece) || piece.is_empty());
            prop_assert!(kept, "{value:?}");
        }
        let merged = partial(&operands);
        let _: bool = read_column(&merged, &mut column).is_ok();
    }
}

const TOKENS: [&str; 6] = ["a", "ab", "abc", "b", "b\0", "a b"];
/// The last one is a pair.
fn term(index: usize) -> Term<'static> {
    let text = TOKENS[index];
    if text.contains(' ') { Term::Pair(text) } else { Term::Token(text) }
}

const NS: NamespaceNumber = NamespaceNumber(7);

#[derive(Debug, Clone)]
enum Act {
    Write(Vec<(usize, Ordinal, Frequencies)>),
    Flush,
    Compact,
}

fn act() -> impl Strategy<Value = Act> {
    let ordinal = prop_oneof![0..60_u32, 16_370..16_400_u32, Just(70_000_u32)];
    let write = prop::collection::vec((0..TOKENS.len(), ordinal, frequencies()), 1..120);
    prop_oneof![6 => write.prop_map(Act::Write), 2 => Just(Act::Flush), 1 => Just(Act::Compact)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The packed layout in a database, through flushes and compactions, against a row for each posting.
    #[test]
    fn equals_the_plain_layout(
        acts in prop::collection::vec(act(), 1..14),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(1 << 20, 1 << 20);
        let chunks = DB::open(&resources.options(), folder.path().join("chunks")).expect("opens");
        let rows = DB::open(&resources.options(), folder.path().join("rows")).expect("opens");
        let mut writer = ChunkWriter::new();
        for act in acts {
            match act {
                Act::Write(changes) => {
                    for (token, ordinal, after) in changes {
                        let (mut packed, mut plain) = (WriteBatch::default(), WriteBatch::default());
                        let token = term(token);
                        writer.put(&mut packed, NS, token, ordinal, after);
                        RowWriter.put(&mut plain, NS, token, ordinal, after);
                        chunks.write(packed).expect("writes");
                        rows.write(plain).expect("writes");
                    }
                }
                Act::Flush => chunks.flush().expect("flushes"),
                Act::Compact => chunks.compact_range(None::<&[u8]>, None::<&[u8]>),
            }
            let snapshot = chunks.snapshot();
            let mut packed = ChunkReader::new(&snapshot, NS);
            let mut plain = RowReader { ns: NS, rows: rows.raw_iterator(), read: 0 };
            compare(&mut packed, &mut plain)?;
            let mut stepped = ChunkReader::new(&snapshot, NS);
            for (list, token) in (0..TOKENS.len()).map(term).enumerate() {
                for chunk in 0..6 {
                    let (mut a, mut b) = (Column::new(), Column::new());
                    if let Part::Here(value) = stepped.part(list, token, chunk).expect("reads") {
                        read_column(value, &mut a).expect("makes sense");
                    }
                    let found = plain.read_term(token, chunk, &mut b).expect("reads");
                    prop_assert_eq!(postings(&a), if found == Found::Here { postings(&b) } else { Model::new() });
                }
            }
        }
        // Emptied lists vanish, at the latest with the second compaction.
        chunks.flush().expect("flushes");
        for _ in 0..2 {
            let mut options = rocksdb::CompactOptions::default();
            options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
            chunks.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        }
        let left = chunks.iterator(rocksdb::IteratorMode::Start).flatten();
        prop_assert!(left.into_iter().all(|(_, value)| &*value != EMPTY));
    }
}

fn compare(
    packed: &mut dyn PostingReader,
    plain: &mut dyn PostingReader,
) -> Result<(), TestCaseError> {
    let (mut a, mut b) = (Column::new(), Column::new());
    for token in (0..TOKENS.len()).map(term) {
        for chunk in 0..6 {
            let read = |reader: &mut dyn PostingReader, column: &mut Column| {
                column.clear();
                let found = reader.read_term(token, chunk, column).expect("reads");
                column.retain(crate::postings::Weights::of(FieldSet::ALL));
                (found, postings(column))
            };
            let (found, of_packed) = read(packed, &mut a);
            let (expected, of_plain) = read(plain, &mut b);
            prop_assert_eq!(&of_packed, &of_plain, "{:?} {}", token, chunk);
            // An emptied list may still be found.
            prop_assert!(found == expected || of_plain.is_empty());
            prop_assert!(found != Found::End || expected == Found::End);
        }
    }
    for prefix in ["", "a", "ab", "b", "c"] {
        for fields in [FieldSet::ALL, FieldSet::only(nautilus_query::Field::Body)] {
            let sums = |reader: &mut dyn PostingReader| {
                let read = reader.read_prefix(prefix, fields, Ordinal::MAX, &mut Unlimited);
                let (mut sums, _) = read.expect("reads");
                let chunk = |chunk| sums.take(chunk).map(|of| (of.bits, of.sums));
                (0..6).map(chunk).collect::<Vec<_>>()
            };
            prop_assert!(sums(packed) == sums(plain), "{} {:?}", prefix, fields);
        }
    }
    Ok(())
}
