use nautilus_analysis::Analyzer;
use nautilus_types::Class;
use proptest::prelude::*;

use super::*;

fn parsed(text: &str, mode: MatchMode) -> Result<Node, QueryError> {
    parse(text, mode, &QueryLimits::default(), &Analyzer::new())
}

/// The tree as text: its `Display` shows structure unambiguously.
fn shown(text: &str, mode: MatchMode) -> String {
    parsed(text, mode).map_or_else(|error| error.to_string(), |node| node.to_string())
}

#[test]
fn texts_become_trees() {
    let cases = [
        ("fox", "fox", "fox"),
        ("Red  FOX's", "red AND fox", "red OR fox"),
        ("a b OR c d", "(a AND b) OR (c AND d)", "a OR b OR c OR d"),
        ("a OR b AND c d", "a OR (b AND c AND d)", "a OR (b AND c) OR d"),
        ("a b AND c", "a AND b AND c", "a OR (b AND c)"),
        ("a b NOT c", "a AND b AND NOT c", "(a OR b) AND NOT c"),
        ("a AND NOT b c", "a AND NOT b AND c", "(a AND NOT b) OR c"),
        (
            "-c a -\"d e\" b",
            "NOT c AND a AND NOT \"d e\" AND b",
            "(a OR b) AND NOT c AND NOT \"d e\"",
        ),
        ("a OR b -c", "a OR (b AND NOT c)", "a OR (b AND NOT c)"),
        ("a (NOT b)", "a AND NOT b", "a AND NOT b"),
        ("a -(b c)", "a AND NOT (b AND c)", "a AND NOT (b OR c)"),
        ("NOT NOT a", "a", "a"),
        ("a -(-b)", "a AND b", "a OR b"),
        ("NOT (NOT a AND NOT b)", "a OR b", "a OR b"),
        ("((a)) (b (c))", "a AND b AND c", "a OR b OR c"),
        ("a OR (b OR (c OR d))", "a OR b OR c OR d", "a OR b OR c OR d"),
        ("\"Red fox\"", "\"red fox\"", "\"red fox\""),
        ("\"red\" \"\" -\"\"", "red", "red"),
        (
            "main.rs std::vec foo:bar",
            "\"main rs\" AND \"std vec\" AND \"foo bar\"",
            "\"main rs\" OR \"std vec\" OR \"foo bar\"",
        ),
        ("wor*", "wor*", "wor*"),
        (
            "main.R* main.* * a*b",
            "main AND r* AND main AND \"a b\"",
            "(main AND r*) OR main OR \"a b\"",
        ),
        ("title:Fox", "title:fox", "title:fox"),
        ("path:\"a b\" body:fo*", "path:\"a b\" AND body:fo*", "path:\"a b\" OR body:fo*"),
        ("title:(a OR path:b)", "title:a OR path:b", "title:a OR path:b"),
        (
            "title,path:a title: title:-x",
            "title,path:a AND title AND title:x",
            "title,path:a OR title OR title:x",
        ),
        ("and or not title:OR", "and AND or AND not AND title:or", "and OR or OR not OR title:or"),
        ("--- a AND --- () -.", "a", "a"),
        ("--verbose - x", "verbose AND x", "verbose OR x"),
        ("foo(bar)\"baz\"", "foo AND bar AND baz", "foo OR bar OR baz"),
        ("東京都", "\"東京 都\"", "\"東京 都\""),
    ];
    for (text, all, any) in cases {
        assert_eq!(shown(text, MatchMode::All), all, "all: {text}");
        assert_eq!(shown(text, MatchMode::Any), any, "any: {text}");
    }
}

#[test]
fn errors_name_the_place() {
    let cases = [
        ("", "the query has no word to search for at byte 0", "QUERY_NO_WORDS"),
        ("--- () *", "the query has no word to search for at byte 0", "QUERY_NO_WORDS"),
        ("NOT .", "the query has no word to search for at byte 0", "QUERY_NO_WORDS"),
        ("some tea AND", "expected a word after AND at byte 12", "QUERY_SYNTAX"),
        ("a AND OR b", "expected a word after AND at byte 6", "QUERY_SYNTAX"),
        ("a NOT", "expected a word after NOT at byte 5", "QUERY_SYNTAX"),
        ("(a OR) b", "expected a word after OR at byte 5", "QUERY_SYNTAX"),
        ("OR a", "expected a word before OR at byte 0", "QUERY_SYNTAX"),
        ("a (AND b)", "expected a word before AND at byte 3", "QUERY_SYNTAX"),
        ("é \"b", "the quote is not closed at byte 3", "QUERY_SYNTAX"),
        ("a (b (c)", "the parenthesis is not closed at byte 2", "QUERY_SYNTAX"),
        ("a) b", "the parenthesis was not opened at byte 1", "QUERY_SYNTAX"),
        (
            "-a",
            "NOT needs something beside it that is searched for at byte 0",
            "QUERY_ONLY_NEGATIVE",
        ),
        (
            "a OR NOT b",
            "NOT needs something beside it that is searched for at byte 5",
            "QUERY_ONLY_NEGATIVE",
        ),
        (
            "(x OR (-b -c))",
            "NOT needs something beside it that is searched for at byte 7",
            "QUERY_ONLY_NEGATIVE",
        ),
    ];
    for (text, message, reason) in cases {
        let error = parsed(text, MatchMode::All).expect_err(text);
        assert_eq!((error.to_string().as_str(), error.reason()), (message, reason), "{text}");
        assert_eq!(error.class(), Class::Invalid);
    }
}

#[test]
fn literal_text_has_no_operators() {
    let of = |text: &str, mode| literal(text, mode, &QueryLimits::default(), &Analyzer::new());
    let node = of("NOT main.rs OR \"x", MatchMode::All).expect("words");
    assert_eq!(node.to_string(), "not AND main AND rs AND or AND x");
    let node = of("a -b*", MatchMode::Any).expect("words");
    assert_eq!(node.to_string(), "a OR b");
    assert_eq!(of(" - ", MatchMode::All).expect_err("no word").reason(), "QUERY_NO_WORDS");
}

#[test]
fn limits_hold_at_the_edge() {
    let limits = QueryLimits { leaves_max: 10, depth_max: 4, parens_max: 6, ..Default::default() };
    let reason = |text: &str| {
        parse(text, MatchMode::All, &limits, &Analyzer::new())
            .err()
            .map(|e| (e.reason(), e.position))
    };
    assert_eq!(reason(&"a ".repeat(10)), None);
    assert_eq!(reason(&"a ".repeat(11)), Some(("QUERY_TOO_MANY_WORDS", 20)));
    assert_eq!(reason("a b c d e \"f g h i j\""), None);
    assert_eq!(reason("a b c d e f \"g h i j k\""), Some(("QUERY_TOO_MANY_WORDS", 12)));
    assert_eq!(reason("a OR b (c OR d)"), None);
    assert_eq!(reason("a OR b (c OR d e)"), Some(("QUERY_TOO_DEEP", 0)));
    assert_eq!(reason(&format!("{}a{}", "(".repeat(6), ")".repeat(6))), None);
    assert_eq!(reason(&format!("{}a", "(".repeat(7))), Some(("QUERY_TOO_DEEP", 6)));
    let text_bytes_max = limits.text_bytes_max;
    assert_eq!(reason(&format!("a{}", " ".repeat(text_bytes_max - 1))), None);
    assert_eq!(reason(&" ".repeat(text_bytes_max + 1)), Some(("QUERY_TOO_LONG", text_bytes_max)));
}

/// On a small stack and at the hard caps: parsing, printing, checking and dropping.
#[test]
fn nothing_overflows_the_stack() {
    let run = || {
        let huge = QueryLimits {
            text_bytes_max: usize::MAX,
            leaves_max: usize::MAX,
            depth_max: usize::MAX,
            parens_max: usize::MAX,
        };
        let nested = |levels: usize| {
            let mut text = String::from("x");
            for level in 0..levels {
                text = format!("(a {} {text})", if level % 2 == 0 { "OR" } else { "AND NOT" });
            }
            text
        };
        let analyzer = Analyzer::new();
        let mut deepest = 0;
        for levels in 0..80 {
            if let Ok(node) = parse(&nested(levels), MatchMode::All, &huge, &analyzer) {
                deepest = validate::depth(&node);
                assert!(node.to_string().len() >= levels);
                validate(&node, &huge).expect("well-formed");
            }
        }
        assert!((QueryLimits::HARD.depth_max - 2..=QueryLimits::HARD.depth_max).contains(&deepest));
        for wide in ["a OR ".repeat(1023), "a ".repeat(1023), "b -a ".repeat(511)] {
            let text = wide + "a";
            let node = parse(&text, MatchMode::Any, &huge, &analyzer).expect("within the caps");
            assert!(node.scoring_leaves().len() >= 512);
        }
        for text in ["NOT ".repeat(2000), "(".repeat(8000), "-".repeat(8000), "-(".repeat(4000)] {
            parse(&text, MatchMode::Any, &huge, &analyzer).expect_err("no query");
        }
    };
    std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

#[test]
fn malformed_trees_are_refused() {
    let leaf = || Node::Term { fields: FieldSet::ALL, token: "a".into() };
    let not = |node| Node::Not(Box::new(node));
    let bad = [
        Node::And(vec![]),
        Node::Or(vec![leaf(), Node::Or(vec![])]),
        not(leaf()),
        Node::Or(vec![leaf(), not(leaf())]),
        Node::And(vec![not(leaf()), not(leaf())]),
        Node::And(vec![leaf(), not(not(leaf()))]),
        Node::Phrase { fields: FieldSet::ALL, tokens: vec!["a".into()] },
        Node::Term { fields: FieldSet::ALL, token: String::new() },
        Node::Prefix { fields: FieldSet::ALL, prefix: "a".repeat(129) },
        Node::Or(vec![leaf(); 65]),
        (0..16).fold(leaf(), |node, _| Node::Or(vec![node])),
    ];
    for node in bad {
        let error = validate(&node, &QueryLimits::default()).expect_err("malformed");
        assert_eq!((error.class(), error.reason()), (Class::Invalid, "QUERY_TREE_INVALID"));
    }
    let good = (0..15).fold(leaf(), |node, _| Node::Or(vec![node]));
    validate(&good, &QueryLimits::default()).expect("16 levels");
}

/// Pieces of query text put together without order, so that most rules meet.
fn query_text() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "a",
        "b",
        "Fox",
        "main.rs",
        "foo:bar",
        "kernel's",
        "---",
        "é",
        "東京都",
        "wor*",
        "x.y*",
        "*",
        " ",
        " ",
        " ",
        "(",
        ")",
        "(a",
        "b)",
        "\"",
        "\"a b\"",
        "\"red",
        "-",
        " -",
        " OR ",
        " AND ",
        " NOT ",
        "title:",
        "path:",
        "body,title:",
        ":",
        "\n",
        "\u{2019}s",
        "AND",
        "\u{301}",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn mode() -> impl Strategy<Value = MatchMode> {
    prop_oneof![Just(MatchMode::All), Just(MatchMode::Any)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn trees_are_well_formed_and_print_back(text in query_text(), mode in mode()) {
        let limits = QueryLimits::default();
        let analyzer = Analyzer::new();
        match parse(&text, mode, &limits, &analyzer) {
            Ok(node) => {
                prop_assert_eq!(validate(&node, &limits), Ok(()));
                prop_assert!(!node.scoring_leaves().is_empty());
                let printed = node.to_string();
                for mode in [MatchMode::All, MatchMode::Any] {
                    let again = parse(&printed, mode, &limits, &analyzer);
                    prop_assert_eq!(again.as_ref(), Ok(&node), "{}", printed);
                }
            }
            Err(error) => prop_assert!(error.position <= text.len()),
        }
    }

    #[test]
    fn any_text_is_a_tree_or_an_error(text in any::<String>(), mode in mode()) {
        let limits = QueryLimits::default();
        let analyzer = Analyzer::new();
        for result in
            [parse(&text, mode, &limits, &analyzer), literal(&text, mode, &limits, &analyzer)]
        {
            match result {
                Ok(node) => prop_assert_eq!(validate(&node, &limits), Ok(())),
                Err(error) => prop_assert!(text.get(error.position..).is_some()),
            }
        }
    }
}
