//! What the built-in annotators find, and that nothing makes them fail.

use std::time::Duration;

use nautilus_annotate::{
    Annotation, BUILT_IN, Caps, Input, OUTPUT_BYTES_MAX, Value, built_in, distance, run,
};
use proptest::prelude::*;

fn annotation(name: &str, input: &Input<'_>) -> Annotation {
    let caps = Caps { input_bytes_max: 64 * 1024, time_max: Duration::from_secs(1) };
    let annotator = built_in(name).expect("built in");
    run(&*annotator, input, &caps, &|| Duration::ZERO)
}

fn found(name: &str, title: &str, body: &str, key: &str) -> Option<Value> {
    let input = Input { title, body, ..Input::default() };
    annotation(name, &input).outcome.expect("did not fail").remove(key)
}

fn text(name: &str, title: &str, body: &str, key: &str) -> String {
    match found(name, title, body, key) {
        Some(Value::Text(text)) => text,
        None => String::new(),
        Some(other) => panic!("{other:?} is no text"),
    }
}

#[test]
fn languages_are_told_apart() {
    for (body, code) in [
        ("The tide was low at noon, and the boats lay on the sand until evening came.", "eng"),
        ("Das Wasser stand am Mittag niedrig, und die Boote lagen bis zum Abend im Sand.", "deu"),
        (
            "В полдень вода была низкой, и лодки лежали на песке до самого вечера. Мы ждали, пока не \
             вернётся прилив, а потом все вместе вышли в море и ловили рыбу до утра.",
            "rus",
        ),
        ("今日は潮が低いので、船は夕方まで砂の上にある。", "jpn"),
    ] {
        assert_eq!(text("language", "", body, "code"), code);
    }
    assert_eq!(found("language", "", "x1", "code"), None);
    assert_eq!(found("language", "", "", "code"), None);
}

#[test]
fn a_title_is_guessed_where_there_is_none() {
    let guess = |body: &str| text("title", "", body, "guess");
    assert_eq!(guess("\n --- \nfirst  line\nsecond\n## A heading ##\n"), "A heading");
    assert_eq!(guess("***\n  first\tline \nsecond"), "first line");
    assert_eq!(guess("---"), "");
    assert_eq!(guess(&"é".repeat(5_000)).len(), 200);
    assert_eq!(found("title", "given", "# Other", "guess"), None);
}

#[test]
fn days_are_found_in_their_common_forms() {
    let days = |body: &str| text("dates", "", body, "days");
    assert_eq!(
        days("on 2024-03-12, at 2024-03-13T10:00:00Z (2024/3/14)."),
        "2024-03-12,2024-03-13,2024-03-14"
    );
    assert_eq!(
        days("12.03.2024; 12 March 2023, Mar 13th, 2022 or 1st of May"),
        "2024-03-12,2023-03-12,2022-03-13"
    );
    assert_eq!(days("3 Sept. 2001 September 4 2001"), "2001-09-03,2001-09-04");
    // The same day once; none that may mean two, none that there never was.
    assert_eq!(
        days("2024-02-29 2024-02-29 03/04/2024 2023-02-29 2024-13-01 31.04.2024 12 Mayor 2024"),
        "2024-02-29"
    );
    let body = "2001-01-02 1999-12-31";
    assert_eq!(text("dates", "2010-05-05", body, "latest"), "2010-05-05");
    assert_eq!(text("dates", "", body, "earliest"), "1999-12-31");
    assert_eq!(found("dates", "", body, "count"), Some(Value::Integer(2)));
    let many: String = (0..2_000).map(|n| format!("{}-01-01 ", 1_000 + n)).collect();
    assert_eq!(found("dates", "", &many, "count"), Some(Value::Integer(32)));
}

#[test]
fn near_duplicates_have_near_hashes() {
    let simhash = |body: &str| text("simhash", "", body, "hash");
    let words: Vec<String> = (0..600).map(|n: u32| format!("word{}", n * n % 991)).collect();
    let one = words.join(" ");
    let edited = one.replacen("word4 ", "other ", 1);
    let reversed = words.iter().rev().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(simhash(&one), simhash(&one.to_uppercase().replace(' ', ",\n")));
    let near = distance(&simhash(&one), &simhash(&edited)).expect("fingerprints");
    let far = distance(&simhash(&one), &simhash(&reversed)).expect("fingerprints");
    assert!(near <= 3 && far > 12, "{near} {far}");
    assert_eq!(found("simhash", "", "one two three four", "shingles"), Some(Value::Integer(2)));
    assert_eq!(found("simhash", "", "one", "shingles"), Some(Value::Integer(1)));
    assert_eq!(found("simhash", "", "…", "hash"), None);
    assert_eq!(distance("x", "0"), None);
    // It is stored, so it stays as it is as long as its version does.
    assert_eq!(simhash("low tide at noon"), simhash("Low tide at noon."));
}

proptest! {
    #[test]
    fn no_text_makes_them_fail(title in ".{0,40}", body in ".{0,400}|([0-9]{1,5}[-/. ]{0,2}|(Mar|may|sept)[ .]){0,40}") {
        for name in BUILT_IN {
            let input = Input { title: &title, body: &body, path: "p", media_type: "" };
            let first = annotation(name, &input);
            let values = first.outcome.clone().expect("does not fail");
            let bytes: usize = values.iter().map(|(key, value)| key.len() + match value {
                Value::Text(text) => text.len(),
                Value::Integer(_) | Value::Number(_) | Value::Flag(_) => 8,
            }).sum();
            prop_assert!(bytes <= OUTPUT_BYTES_MAX);
            prop_assert_eq!(first, annotation(name, &input));
        }
    }
}
