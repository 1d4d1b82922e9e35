use nautilus_analysis::{ANALYZER_VERSION_MAX, Analyzer};
use nautilus_query::{FieldSet, MatchMode, Node, QueryLimits, parse};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};
use proptest::prelude::*;

use crate::{
    Attributes, Bound, ExpectedVersion, Metadata, Mutation, Number, Order, Outcome, Parts,
    ReferenceEngine, Request, Text, place, search::round_length, tokens_of,
};

fn name(name: &str) -> NamespaceName {
    NamespaceName::new(name).expect("a name")
}

fn id(id: &str) -> DocumentId {
    DocumentId::new(id).expect("an id")
}

fn query(text: &str) -> Node {
    parse(text, MatchMode::All, &QueryLimits::default(), &Analyzer::new()).expect("a query")
}

/// Applies at the next offset.
fn apply(engine: &mut ReferenceEngine, mutation: &Mutation) -> Outcome {
    engine.apply(engine.next_offset(), mutation)
}

fn upsert(namespace: &str, incarnation: u64, document: &str, version: Option<u64>) -> Mutation {
    Mutation::Upsert {
        namespace: name(namespace),
        incarnation: Incarnation(incarnation),
        id: id(document),
        version,
        expected: None,
        text: Text { body: format!("fox {document}"), ..Text::default() },
        metadata: Metadata::default(),
    }
}

fn delete(document: &str, version: Option<u64>) -> Mutation {
    Mutation::Delete {
        namespace: name("n"),
        incarnation: Incarnation(1),
        id: id(document),
        version,
        expected: None,
    }
}

fn expecting(mut mutation: Mutation, wanted: ExpectedVersion) -> Mutation {
    match &mut mutation {
        Mutation::Upsert { expected, .. }
        | Mutation::Patch { expected, .. }
        | Mutation::Delete { expected, .. } => *expected = Some(wanted),
        Mutation::DeleteNamespace { .. } | Mutation::Skip => {}
    }
    mutation
}

/// Ids found for `fox` in namespace `n` of this incarnation.
fn found(engine: &ReferenceEngine, incarnation: u64) -> Vec<String> {
    let hits = engine.search(&[(name("n"), Incarnation(incarnation))], &query("fox"), usize::MAX);
    hits.iter().map(|hit| hit.id.to_lossy()).collect()
}

#[test]
fn versions_only_grow() {
    let mut engine = ReferenceEngine::new();
    let cases = [
        (upsert("n", 1, "a", Some(5)), Outcome::Applied),
        (upsert("n", 1, "a", Some(5)), Outcome::StaleVersion),
        (delete("a", Some(4)), Outcome::StaleVersion),
        (delete("a", Some(7)), Outcome::Applied),
        (upsert("n", 1, "a", Some(7)), Outcome::StaleVersion),
        (upsert("n", 1, "a", Some(8)), Outcome::Applied),
        (upsert("n", 1, "a", None), Outcome::Applied),
        (upsert("n", 1, "a", Some(1)), Outcome::Applied),
        (delete("b", Some(3)), Outcome::Applied),
        (upsert("n", 1, "b", Some(2)), Outcome::StaleVersion),
        (delete("b", None), Outcome::Applied),
        (upsert("n", 1, "b", Some(1)), Outcome::Applied),
        (Mutation::Skip, Outcome::Applied),
    ];
    for (index, (mutation, expected)) in cases.iter().enumerate() {
        assert_eq!(apply(&mut engine, mutation), *expected, "{index}");
    }
    assert_eq!(found(&engine, 1), ["a", "b"]);
}

#[test]
fn conditions_are_checked_after_versions() {
    use ExpectedVersion::{Absent, Exactly};
    let mut engine = ReferenceEngine::new();
    let cases = [
        (expecting(upsert("n", 1, "a", Some(5)), Exactly(4)), Outcome::ConditionFailed),
        (expecting(upsert("n", 1, "a", Some(5)), Absent), Outcome::Applied),
        (expecting(upsert("n", 1, "a", Some(6)), Absent), Outcome::ConditionFailed),
        (expecting(upsert("n", 1, "a", Some(5)), Exactly(5)), Outcome::StaleVersion),
        (expecting(upsert("n", 1, "a", Some(6)), Exactly(5)), Outcome::Applied),
        (expecting(delete("a", Some(7)), Exactly(6)), Outcome::Applied),
        (expecting(upsert("n", 1, "a", Some(8)), Exactly(7)), Outcome::ConditionFailed),
        (expecting(upsert("n", 1, "a", Some(8)), Absent), Outcome::Applied),
    ];
    for (index, (mutation, expected)) in cases.iter().enumerate() {
        assert_eq!(apply(&mut engine, mutation), *expected, "{index}");
    }
}

#[test]
fn incarnations_replace_each_other() {
    let mut engine = ReferenceEngine::new();
    let end = |incarnation| Mutation::DeleteNamespace {
        namespace: name("n"),
        incarnation: Incarnation(incarnation),
    };
    assert_eq!(apply(&mut engine, &upsert("n", 2, "a", Some(9))), Outcome::Applied);
    assert_eq!(apply(&mut engine, &upsert("n", 1, "b", None)), Outcome::StaleIncarnation);
    assert_eq!(apply(&mut engine, &end(1)), Outcome::StaleIncarnation);
    assert_eq!((found(&engine, 2), found(&engine, 1)), (vec!["a".to_owned()], vec![]));
    assert_eq!(apply(&mut engine, &upsert("n", 3, "a", Some(1))), Outcome::Applied);
    assert_eq!((found(&engine, 3), found(&engine, 2)), (vec!["a".to_owned()], vec![]));
    assert_eq!(apply(&mut engine, &end(3)), Outcome::Applied);
    assert_eq!(apply(&mut engine, &end(3)), Outcome::StaleIncarnation);
    assert_eq!(apply(&mut engine, &upsert("n", 3, "a", None)), Outcome::StaleIncarnation);
    assert_eq!(found(&engine, 3), [""; 0]);
    assert_eq!(apply(&mut engine, &end(5)), Outcome::Applied);
    assert_eq!(apply(&mut engine, &upsert("n", 5, "a", None)), Outcome::StaleIncarnation);
    assert_eq!(apply(&mut engine, &upsert("n", 6, "c", None)), Outcome::Applied);
    assert_eq!(found(&engine, 6), ["c"]);
}

#[test]
fn redelivery_changes_nothing_and_gaps_are_fine() {
    let mut engine = ReferenceEngine::new();
    assert_eq!(engine.apply(Offset(10), &upsert("n", 1, "a", None)), Outcome::Applied);
    assert_eq!(engine.apply(Offset(10), &delete("a", None)), Outcome::Redelivered);
    assert_eq!(engine.apply(Offset(3), &delete("a", None)), Outcome::Redelivered);
    assert_eq!((engine.next_offset(), found(&engine, 1)), (Offset(11), vec!["a".to_owned()]));
}

fn put(engine: &mut ReferenceEngine, namespace: &str, document: &str, text: [&str; 3]) {
    let [title, path, body] = text.map(str::to_owned);
    let mutation = Mutation::Upsert {
        namespace: name(namespace),
        incarnation: Incarnation(1),
        id: id(document),
        version: None,
        expected: None,
        text: Text { title, path, body },
        metadata: Metadata::default(),
    };
    assert_eq!(apply(engine, &mutation), Outcome::Applied);
}

/// Three documents of lengths 4, 2 and 3: N = 3, average 3.
fn three() -> ReferenceEngine {
    let mut engine = ReferenceEngine::new();
    put(&mut engine, "n", "1", ["Red fox", "fox.rs", ""]);
    put(&mut engine, "n", "2", ["", "", "red wolf"]);
    put(&mut engine, "m", "3", ["", "", "fox, red fox"]);
    engine
}

#[test]
fn scores_are_as_computed_by_hand() {
    let engine = three();
    let scope = [(name("n"), Incarnation(1)), (name("m"), Incarnation(1))];
    let hits = engine.search(&scope, &query("fox"), 10);
    // df 2: idf = ln(1 + 1.5 / 2.5) = ln 1.6. In "1": tf = 4 + 2, norm = 1.2 (0.25 + 0.75 · 4 / 3).
    let expected = [
        ("1", 1.6_f64.ln() * 6.0 * 2.2 / (6.0 + 1.2 * (0.25 + 0.75 * 4.0 / 3.0))),
        ("3", 1.6_f64.ln() * 2.0 * 2.2 / (2.0 + 1.2)),
    ];
    assert_eq!(hits.len(), 2);
    for (hit, (id, score)) in hits.iter().zip(expected) {
        assert_eq!(hit.id.to_lossy(), id);
        assert!((hit.score - score).abs() < 1e-12, "{} {score}", hit.score);
    }
    // A leaf scores whatever branch it stands in, each time it stands there; one under NOT does not.
    let hit = &engine.search(&scope, &query("wolf OR (red red) -fox"), 10)[0];
    assert_eq!((hit.id.to_lossy().as_str(), &hit.frequencies[..]), ("2", &[1, 1, 1][..]));
    let norm = 1.0 + 1.2 * (0.25 + 0.75 * 2.0 / 3.0);
    let idf = 2.0 * (1.0 + 0.5 / 3.5_f64).ln() + (1.0 + 2.5 / 1.5_f64).ln();
    assert!((hit.score - idf * 2.2 / norm).abs() < 1e-12);
}

#[test]
fn leaves_match_and_count_by_field() {
    let engine = three();
    let scope = [(name("n"), Incarnation(1)), (name("m"), Incarnation(1))];
    let frequencies = |text: &str| -> Vec<(String, u32)> {
        let hits = engine.search(&scope, &query(text), 10);
        hits.iter().map(|hit| (hit.id.to_lossy(), hit.frequencies[0])).collect()
    };
    let owned = |pairs: &[(&str, u32)]| -> Vec<(String, u32)> {
        pairs.iter().map(|&(id, tf)| (id.to_owned(), tf)).collect()
    };
    assert_eq!(frequencies("title:fox"), owned(&[("1", 4)]));
    assert_eq!(frequencies("\"red fox\""), owned(&[("1", 4), ("3", 1)]));
    assert_eq!(frequencies("title:r*"), owned(&[("1", 4)]));
    assert_eq!(frequencies("path:fox.rs"), owned(&[("1", 2)]));
    // Not across fields: the title ends with what the path begins with.
    assert_eq!(frequencies("\"fox fox\""), owned(&[]));
    assert_eq!(frequencies("\"red wolf\" -title:red"), owned(&[("2", 1)]));
    // All three have it: 1 in title 4, in 3 and 2 one each.
    let statistics = engine.statistics(&scope, &query("r* wolf"));
    assert_eq!((statistics.documents, statistics.total_length), (3, 9));
    assert_eq!(statistics.document_frequencies, [3, 1]);
}

#[test]
fn scope_bounds_everything() {
    let engine = three();
    assert!(engine.search(&[], &query("fox"), 10).is_empty());
    assert!(engine.search(&[(name("n"), Incarnation(2))], &query("fox"), 10).is_empty());
    let twice = [(name("m"), Incarnation(1)), (name("m"), Incarnation(1))];
    assert_eq!(engine.search(&twice, &query("fox"), 10).len(), 1);
    assert_eq!(engine.statistics(&twice, &query("red")).documents, 1);
}

#[test]
fn equal_scores_come_by_id_then_namespace() {
    let mut engine = ReferenceEngine::new();
    for (namespace, document) in [("b", "1"), ("a", "2"), ("a", "10"), ("b", "0")] {
        put(&mut engine, namespace, document, ["", "", "same"]);
    }
    let scope = [(name("b"), Incarnation(1)), (name("a"), Incarnation(1))];
    let hits = engine.search(&scope, &query("same"), 3);
    let order: Vec<_> = hits.iter().map(|h| (h.namespace.to_lossy(), h.id.to_lossy())).collect();
    assert_eq!(order, [("b", "0"), ("b", "1"), ("a", "10")].map(|(n, d)| (n.into(), d.into())));
}

#[test]
fn lengths_round_down_to_four_digits() {
    let vectors = [(0, 0), (23, 23), (39, 39), (40, 40), (41, 40), (42, 42), (55, 54), (56, 56)];
    for (length, rounded) in vectors {
        assert_eq!(round_length(length), rounded);
    }
    // 976 is 0b11_1101_0000: 0b11_1100_0000 is 960.
    assert_eq!(round_length(1_000), 24 + 960);
    assert_eq!(round_length(u32::MAX), 24 + 0x7800_0000);
}

#[test]
fn a_phrase_counts_every_start() {
    let mut engine = ReferenceEngine::new();
    put(&mut engine, "n", "1", ["", "", "a a a"]);
    let phrase = Node::Phrase { fields: FieldSet::ALL, tokens: vec!["a".into(), "a".into()] };
    assert_eq!(engine.search(&[(name("n"), Incarnation(1))], &phrase, 1)[0].frequencies, [2]);
}

fn sized(document: &str, size_bytes: Option<i64>) -> Mutation {
    let mut mutation = upsert("n", 1, document, None);
    if let Mutation::Upsert { metadata, .. } = &mut mutation {
        metadata.attributes = Attributes { size_bytes, ..Attributes::default() };
    }
    mutation
}

#[test]
fn patches_keep_what_they_do_not_name() {
    let mut engine = ReferenceEngine::new();
    let patch = |parts| Mutation::Patch {
        namespace: name("n"),
        incarnation: Incarnation(1),
        id: id("a"),
        version: None,
        expected: None,
        parts,
    };
    let title = Parts { title: Some("Title".to_owned()), ..Parts::default() };
    assert_eq!(apply(&mut engine, &patch(title.clone())), Outcome::NotFound);
    assert_eq!(apply(&mut engine, &sized("a", Some(5))), Outcome::Applied);
    let stored = |engine: &ReferenceEngine| {
        engine.get(&name("n"), Incarnation(1), &id("a")).cloned().expect("stored")
    };
    for (changed_at, again) in [(2, 3), (2, 4)] {
        assert_eq!(apply(&mut engine, &patch(title.clone())), Outcome::Applied, "{again}");
        let document = stored(&engine);
        let text = document.text.expect("live");
        assert_eq!((text.title.as_str(), text.body.as_str()), ("Title", "fox a"));
        assert_eq!(document.metadata.attributes.size_bytes, Some(5));
        assert_eq!(document.changed_at, Offset(changed_at));
    }
    let none = Parts { metadata: Some(Metadata::default()), ..Parts::default() };
    assert_eq!(apply(&mut engine, &patch(none)), Outcome::Applied);
    assert_eq!(stored(&engine).metadata, Metadata::default());
    assert_eq!(stored(&engine).changed_at, Offset(4));
}

#[test]
fn pages_follow_each_other() {
    let mut engine = ReferenceEngine::new();
    for (document, size) in [("a", Some(2)), ("b", None), ("c", Some(1)), ("d", Some(2))] {
        assert_eq!(apply(&mut engine, &sized(document, size)), Outcome::Applied);
    }
    let scope = [(name("n"), Incarnation(1))];
    let fox = query("fox");
    let all = Request {
        scope: &scope,
        node: &fox,
        limit: 9,
        bounds: &[],
        order: Order::Ascending(Number::Size),
        after: None,
        statistics: None,
        changed_before: None,
    };
    let ids = |request: &Request<'_>| -> String {
        engine.page(request).hits.iter().map(|hit| hit.id.to_lossy()).collect()
    };
    assert_eq!(ids(&all), "cadb");
    assert_eq!(ids(&Request { order: Order::Descending(Number::Size), ..all.clone() }), "adcb");
    let bounds = [Bound::AtLeast(Number::Size, 2), Bound::AtMost(Number::Size, 2)];
    let bounded = Request { bounds: &bounds, ..all.clone() };
    assert_eq!((ids(&bounded).as_str(), engine.page(&bounded).total_hits), ("ad", 2));
    let after = place(&engine.page(&all).hits[1], all.order);
    assert_eq!(ids(&Request { after: Some(&after), ..all.clone() }), "db");
    assert_eq!(ids(&Request { changed_before: Some(Offset(3)), ..all }), "cab");
}

#[test]
fn words_are_counted_by_document() {
    let mut engine = three();
    let scope = [(name("n"), Incarnation(1)), (name("m"), Incarnation(1))];
    let words = |engine: &ReferenceEngine, prefix, fields, limit| -> Vec<(String, u64)> {
        engine.suggest(&scope, prefix, fields, limit)
    };
    let owned = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
        pairs.iter().map(|&(word, count)| (word.to_owned(), count)).collect()
    };
    assert_eq!(words(&engine, "r", FieldSet::ALL, 9), owned(&[("red", 3), ("rs", 1)]));
    assert_eq!(words(&engine, "", FieldSet::ALL, 2), owned(&[("red", 3), ("fox", 2)]));
    let title = FieldSet::only(nautilus_query::Field::Title);
    assert_eq!(words(&engine, "r", title, 9), owned(&[("red", 1)]));
    assert_eq!(apply(&mut engine, &delete("1", None)), Outcome::Applied);
    assert_eq!(words(&engine, "r", FieldSet::ALL, 9), owned(&[("red", 2)]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Two readings of `docs/formats/analysis.md` agree.
    #[test]
    fn tokens_are_those_of_the_analyzer(
        parts in proptest::collection::vec(prop_oneof![
            2 => proptest::sample::select(vec![
                "a", "Fox", "'", "\u{2019}", "'s", "'S", " ", "_", ".", "\u{ad}", "\u{200c}", "É", "ß", "Æ",
                "İ", "ΟΣ", "ς", "Й", "ﬁ", "½", "⒈", "ﷺ", "\u{301}", "\u{64b}", "\u{5b0}", "\u{93f}", "\u{fe0f}",
                "東京都", "世界", "カタカナ", "ｶﾞ", "ひらがな", "々", "ー", "ทุกสอง", "ำ", "ລາວ", "ខ្មែរ", "မြန်မာ",
                "हिन्दी", "한국어", "\u{3280}", "x86", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ]).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ], 0..24),
    ) {
        let text = parts.concat();
        for version in 1..=ANALYZER_VERSION_MAX {
            let analyzer = Analyzer::of(version).expect("there is one");
            let expected: Vec<_> = analyzer.tokens(&text).into_iter().map(|t| t.text).collect();
            prop_assert_eq!(tokens_of(version, &text), expected);
        }
    }

    #[test]
    fn rounding_loses_less_than_an_eighth(length in any::<u32>()) {
        let rounded = round_length(length);
        prop_assert!(rounded <= length);
        prop_assert_eq!(round_length(rounded), rounded);
        prop_assert!(u64::from(length.min(0x7fff_ffff) - rounded) * 8 <= u64::from(length));
    }
}
