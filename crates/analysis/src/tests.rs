use proptest::prelude::*;

use super::*;

fn texts(text: &str) -> Vec<String> {
    Analyzer::new().tokens(text).into_iter().map(|token| token.text).collect()
}

fn analyzers() -> Vec<Analyzer> {
    (1..=ANALYZER_VERSION_MAX).map(|version| Analyzer::of(version).expect("there is one")).collect()
}

#[test]
fn every_version_up_to_the_newest_can_be_had() {
    let versions: Vec<u32> = analyzers().iter().map(Analyzer::version).collect();
    assert_eq!(versions, (1..=ANALYZER_VERSION_MAX).collect::<Vec<_>>());
    assert_eq!(Analyzer::new().version(), ANALYZER_VERSION);
    assert!(Analyzer::of(0).is_none() && Analyzer::of(ANALYZER_VERSION_MAX + 1).is_none());
}

#[test]
fn words_are_cut_and_folded() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("--- _ ' ''", &[]),
        ("Hello, World!", &["hello", "world"]),
        ("main.rs foo_bar std::vec", &["main", "rs", "foo", "bar", "std", "vec"]),
        ("kernel's KERNEL\u{2019}S don't o'clock 's", &["kernel", "kernel", "dont", "oclock", "s"]),
        ("dogs' a''b 'quoted' rock'n'roll", &["dogs", "a", "b", "quoted", "rocknroll"]),
        ("x86_64 3.14 1,000", &["x86", "64", "3", "14", "1", "000"]),
        ("Café CAFE\u{301} naïve", &["cafe", "cafe", "naive"]),
        ("Straße STRASSE ẞ", &["strasse", "strasse", "ss"]),
        (
            "Æsir Œuvre Ørsted Łódź Đuro İstanbul ıssız",
            &["aesir", "oeuvre", "orsted", "lodz", "duro", "istanbul", "issiz"],
        ),
        ("ΟΔΟΣ οδός", &["οδοσ", "οδοσ"]),
        ("Йод Ёлка", &["иод", "елка"]),
        ("ｆｕｌｌ ﬁne ①", &["full", "fine", "1"]),
        ("½ ⒈", &["½", "⒈"]),
        ("co\u{ad}operate می\u{200c}خواهم", &["cooperate", "میخواهم"]),
        ("مُحَمَّد", &["محمد"]),
        ("שָׁלוֹם", &["שלום"]),
        ("हिन्दी में", &["हिन्दी", "में"]),
        ("1\u{fe0f}\u{20e3} ❤\u{fe0f}", &["1"]),
        ("한국어 서울", &["한국어", "서울"]),
        ("こんにちは世界", &["こんにちは", "世界"]),
        ("ทุกสองสัปดาห์", &["ทุก", "สอง", "สัปดาห์"]),
        ("Linuxカーネル", &["linux", "カーネル"]),
        ("ｶﾞｲﾄﾞ", &["ガイド"]),
    ];
    for (text, expected) in cases {
        assert_eq!(&texts(text), expected, "{text}");
    }
}

#[test]
fn ranges_name_the_source() {
    let text = "The kernel's Café、世界 «x»";
    let sources: Vec<_> =
        Analyzer::new().tokens(text).iter().map(|t| (&text[t.start..t.end], t.position)).collect();
    assert_eq!(sources, [("The", 0), ("kernel", 1), ("Café", 2), ("世界", 3), ("x", 4)]);
}

#[test]
fn long_tokens_are_cut_at_a_character() {
    assert_eq!(texts(&"A".repeat(1000)), ["a".repeat(TOKEN_BYTES_MAX)]);
    // Three bytes each: 42 of them fit.
    assert_eq!(texts(&"ᄒ".repeat(300)), ["ᄒ".repeat(42)]);
    assert_eq!(texts(&format!("x{}", "\u{93f}".repeat(100_000)))[0].len(), 127);
}

#[test]
fn a_run_of_one_repeated_dictionary_letter_ends_soon() {
    for c in ['ๆ', 'ก', 'ァ', '々', '\u{1039}', '漢'] {
        let text = String::from(c).repeat(50_000);
        Analyzer::new().for_each_token(&text, |token| assert!(token.text.len() <= TOKEN_BYTES_MAX));
    }
}

#[test]
fn prefixes_fold_like_words() {
    let analyzer = Analyzer::new();
    assert_eq!(analyzer.fold_prefix("Kern"), "kern");
    assert_eq!(analyzer.fold_prefix("main.R"), "r");
    assert_eq!(analyzer.fold_prefix("Caf\u{e9}"), "cafe");
    assert_eq!(analyzer.fold_prefix("--"), "");
}

/// Every character alone: folding is idempotent and a token's text is its own only token.
#[test]
fn every_character_is_stable() {
    let analyzer = Analyzer::new();
    for c in ('\0'..=char::MAX).filter(|&c| classes::is_word(c)) {
        let text = c.to_string();
        let folded = analyzer.fold(&text);
        assert_eq!(analyzer.fold(&folded), folded, "U+{:04X}", u32::from(c));
        assert!(folded.chars().all(classes::is_word), "U+{:04X}", u32::from(c));
        for token in texts(&text) {
            assert_eq!(texts(&token), std::slice::from_ref(&token), "U+{:04X}", u32::from(c));
        }
    }
}

/// Text that meets the rules often: word characters of many scripts, joiners, separators.
fn text() -> impl Strategy<Value = String> {
    let any_of = |text: &'static str| proptest::sample::select(text.chars().collect::<Vec<_>>());
    let c = prop_oneof![
        6 => any_of("abcsSXYZ019"),
        2 => any_of("'\u{2019}\u{ad}\u{200c}\u{200d}\u{2060}\u{feff}"),
        2 => any_of(" ._:-/\n\0"),
        3 => any_of("éÀßẞÆøłıİςΣЙёǅﬁŉſΩK½⒈ﷺ①"),
        2 => any_of("\u{301}\u{307}\u{323}\u{345}\u{64b}\u{5b0}\u{93f}\u{fe0f}\u{3099}\u{e4d}"),
        3 => any_of("漢字東京都世界ひらがなカタカナｶﾞー々ทุกสองำລາວខ្មែរမြန်မာ"),
        1 => any_of("हिन्दी한국어ᄒ\u{1161}\u{11ab}"),
        1 => any::<char>(),
    ];
    proptest::collection::vec(c, 0..40).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn folding_is_idempotent(text in text()) {
        let analyzer = Analyzer::new();
        let folded = analyzer.fold(&text);
        prop_assert_eq!(analyzer.fold(&folded), folded);
    }

    #[test]
    fn a_token_is_its_own_only_token(text in text()) {
        for analyzer in analyzers() {
            let texts = |text: &str| -> Vec<String> {
                analyzer.tokens(text).into_iter().map(|token| token.text).collect()
            };
            for token in texts(&text) {
                prop_assert_eq!(texts(&token), vec![token]);
            }
        }
    }

    #[test]
    fn versions_differ_in_what_they_make_of_a_token_alone(text in text()) {
        for analyzer in analyzers() {
            let mut expected = Analyzer::new().tokens(&text);
            for token in &mut expected {
                token.text = analyzer.normalized(&token.text).into_owned();
            }
            prop_assert_eq!(analyzer.tokens(&text), expected);
        }
    }

    #[test]
    fn runs_of_ascii_become_what_scanning_makes_of_them(run in "[a-zA-Z0-9]{1,9}(ies|xes|sses|s|S)?") {
        for analyzer in analyzers() {
            let tokens = analyzer.tokens(&run);
            let [token] = tokens.as_slice() else { panic!("{tokens:?}") };
            prop_assert!(analyzer.ascii_becomes(run.as_bytes(), &token.text));
            let beginning = analyzer.common_beginning(&token.text);
            prop_assert!(run.to_ascii_lowercase().starts_with(beginning));
            let longer = format!("{}x", token.text);
            prop_assert!(!analyzer.ascii_becomes(run.as_bytes(), &longer));
        }
    }

    #[test]
    fn the_fast_path_agrees_with_the_slow(text in text()) {
        let analyzer = Analyzer::new();
        let mut slow = Vec::new();
        scan::Scanner::new(analyzer.words, |token: Token<'_>| slow.push(OwnedToken {
            text: token.text.to_owned(),
            position: token.position,
            start: token.start,
            end: token.end,
        }))
        .scan_slowly(&text);
        prop_assert_eq!(analyzer.tokens(&text), slow);
    }

    #[test]
    fn tokens_are_in_order_and_bounded(text in text()) {
        let tokens = Analyzer::new().tokens(&text);
        for (token, position) in tokens.iter().zip(0..) {
            prop_assert_eq!(token.position, position);
            prop_assert!(token.start < token.end);
            prop_assert!(text.get(token.start..token.end).is_some());
            prop_assert!(!token.text.is_empty() && token.text.len() <= TOKEN_BYTES_MAX);
        }
        prop_assert!(tokens.is_sorted_by_key(|token| token.start));
    }
}
