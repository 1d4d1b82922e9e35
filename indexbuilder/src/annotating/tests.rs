//! Annotators that misbehave in every way there is.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use nautilus_annotate::{Budget, Input, Values};
use tokio::time::timeout;

use super::*;

const WAIT: Duration = Duration::from_secs(20);
/// For those that shall be in time: a panic that prints where it was takes long.
const LONG: Duration = Duration::from_secs(5);
/// For those that shall not.
const SHORT: Duration = Duration::from_millis(50);

/// Says how long the body is, but does not come back from one that says `stuck` until it is let go.
struct Length {
    name: &'static str,
    gate: Mutex<Receiver<()>>,
    let_go: SyncSender<()>,
}

impl Length {
    fn new(name: &'static str) -> Arc<Self> {
        let (let_go, gate) = sync_channel(64);
        Arc::new(Self { name, gate: Mutex::new(gate), let_go })
    }
}

impl Annotator for Length {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u32 {
        7
    }

    fn annotate(&self, input: &Input<'_>, _: &Budget<'_>) -> Result<Values, Failure> {
        match input.body {
            "stuck" => {
                // A poisoned gate is still a gate.
                let gate = self.gate.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let _ = gate.recv();
            }
            "panic" => panic!("as told"),
            _ => {}
        }
        let bytes = i64::try_from(input.body.len()).expect("short");
        Ok(Values::from([("bytes".to_owned(), Value::Integer(bytes))]))
    }
}

fn annotators(
    own: Vec<Arc<dyn Annotator>>,
    threads: usize,
    time_max: Duration,
) -> Result<Annotators, IndexBuilderError> {
    let settings = AnnotatorSettings { run: Vec::new(), time_max, input_bytes_max: 1_000, threads };
    Annotators::new(&settings, own, &Metrics::new(), Clock::system())
}

async fn annotated(annotators: &Annotators, bodies: &[&str]) -> Vec<DocumentContent> {
    let content = |body: &&str| DocumentContent { body: (*body).to_owned(), ..Default::default() };
    let mut contents: Vec<DocumentContent> = bodies.iter().map(content).collect();
    let annotating = annotators.annotate(contents.iter_mut().collect());
    timeout(WAIT, annotating).await.expect("no document waits for ever");
    let kept: Vec<&str> = contents.iter().map(|content| &*content.body).collect();
    assert_eq!(kept, bodies, "no document is lost");
    contents
}

/// What was found, or the reason why nothing was, of the annotator of this name.
fn outcome(content: &DocumentContent, name: &str) -> String {
    let annotation = content.metadata.as_ref().and_then(|metadata| metadata.annotations.get(name));
    let Some(annotation) = annotation else { return "nothing".to_owned() };
    match &annotation.failure {
        Some(failure) => failure.reason.clone(),
        None => format!("{:?}", annotation.values["bytes"].value.as_ref().expect("a value")),
    }
}

fn outcomes(contents: &[DocumentContent], name: &str) -> Vec<String> {
    contents.iter().map(|content| outcome(content, name)).collect()
}

#[tokio::test]
async fn a_panic_costs_one_annotation_and_nothing_else() {
    let (first, second) = (Length::new("first"), Length::new("second"));
    let annotators = annotators(vec![first, second], 2, LONG).expect("valid");
    let contents = annotated(&annotators, &["ab", "panic", "abc"]).await;
    for name in ["first", "second"] {
        assert_eq!(outcomes(&contents, name), ["Integer(2)", "PANICKED", "Integer(3)"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_return_is_given_up_and_then_switched_off() {
    let stuck = Length::new("a-stuck");
    let let_go = stuck.let_go.clone();
    // As many threads as there are documents to be stuck in.
    let annotators = annotators(vec![stuck], 2, SHORT).expect("valid");
    let bodies = ["stuck", "ab", "stuck", "abc"];
    let contents = annotated(&annotators, &bodies).await;
    assert_eq!(outcome(&contents[0], "a-stuck"), "TIME_LIMIT");
    assert_eq!(outcome(&contents[2], "a-stuck"), "TIME_LIMIT");
    // Every thread was stuck, and the documents after got others.
    let contents = annotated(&annotators, &["ab", "stuck"]).await;
    assert_eq!(outcomes(&contents, "a-stuck"), ["SWITCHED_OFF", "SWITCHED_OFF"]);
    for _ in 0..8 {
        let_go.send(()).expect("somebody is stuck");
    }
    // It is run again once its threads are back.
    let is_back = async {
        while outcome(&annotated(&annotators, &["ab"]).await[0], "a-stuck") != "Integer(2)" {}
    };
    timeout(WAIT, is_back).await.expect("switched on again");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_after_one_that_does_not_return_still_run() {
    let (stuck, sound) = (Length::new("a-stuck"), Arc::new(Plain));
    let let_go = stuck.let_go.clone();
    let annotators = annotators(vec![stuck, sound], 1, SHORT).expect("valid");
    let contents = annotated(&annotators, &["stuck", "ab"]).await;
    assert_eq!(outcomes(&contents, "a-stuck"), ["TIME_LIMIT", "Integer(2)"]);
    assert_eq!(outcomes(&contents, "plain"), ["Integer(5)", "Integer(2)"]);
    let_go.send(()).expect("it is stuck");
}

/// Never misbehaves.
struct Plain;

impl Annotator for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn version(&self) -> u32 {
        1
    }

    fn annotate(&self, input: &Input<'_>, _: &Budget<'_>) -> Result<Values, Failure> {
        let bytes = i64::try_from(input.body.len()).expect("short");
        Ok(Values::from([("bytes".to_owned(), Value::Integer(bytes))]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_whose_caller_has_gone_is_given_up_by_the_next() {
    let stuck = Length::new("stuck");
    let let_go = stuck.let_go.clone();
    let annotators = annotators(vec![stuck], 1, SHORT).expect("valid");
    let mut gone = DocumentContent { body: "stuck".to_owned(), ..Default::default() };
    let annotating = annotators.annotate(vec![&mut gone]);
    assert!(timeout(Duration::from_millis(20), annotating).await.is_err(), "it is stuck");
    assert_eq!(outcomes(&annotated(&annotators, &["ab"]).await, "stuck"), ["Integer(2)"]);
    let_go.send(()).expect("it is stuck");
}

#[tokio::test]
async fn without_annotators_nothing_is_touched() {
    let annotators = annotators(Vec::new(), 1, SHORT).expect("valid");
    let contents = annotated(&annotators, &["ab"]).await;
    assert_eq!(contents[0].metadata, None);
}

#[test]
fn annotators_are_told_apart_by_their_names() {
    let refused = |names: [&'static str; 2]| {
        let own = names.map(|name| Length::new(name) as Arc<dyn Annotator>);
        annotators(own.into(), 1, SHORT).err().map(|error| error.to_string())
    };
    assert_eq!(refused(["a", "b"]), None);
    assert_eq!(refused(["a", "a"]).as_deref(), Some("annotators has \"a\" twice"));
    assert_eq!(
        refused(["a", "B"]).as_deref(),
        Some("annotators has \"B\", which is no name for one")
    );
}
