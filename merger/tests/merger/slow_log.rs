//! The log of slow searches: what it tells, and that the text of queries is not in it unless asked for.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tonic::Code;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::system::{System, authorized, query};

const SECRET: &str = "fox OR geheimwort";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All that is logged while a search for the secret, another, and one that does not parse are made; of it
/// the lines of slow searches.
async fn logged(threshold: Duration, shows_text: bool) -> (String, Vec<Value>) {
    let captured = Captured::default();
    let writer = captured.clone();
    let log =
        tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone());
    // Of this thread, on which all roles of the test run too.
    let guard = log.with_max_level(tracing_subscriber::filter::LevelFilter::TRACE).set_default();
    let system = System::start_as(true, |config| {
        config.slow_query_threshold = threshold;
        config.log_query_text = shows_text;
    })
    .await;
    system.with_foxes().await;
    let mut request = authorized(query(SECRET), &system.token("ada", false));
    request.metadata_mut().insert("x-request-id", "req-7".parse().expect("value"));
    system.client().search(request).await.expect("found");
    system.search("ada", query("fox")).await.expect("found");
    let refused = system.search("ada", query("geheimwort AND (")).await.expect_err("malformed");
    assert_eq!(refused.code(), Code::InvalidArgument);
    system.stop().await;
    drop(guard);
    let text = String::from_utf8(captured.0.lock().expect("not poisoned").clone()).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let slow = lines.filter(|line| line["message"] == "slow search").collect();
    (text, slow)
}

#[tokio::test]
async fn a_slow_search_is_told_without_its_text() {
    let (text, slow) = logged(Duration::ZERO, false).await;
    assert!(!text.to_lowercase().contains("geheim"), "{text}");
    let [secret, other, refused] = slow.as_slice() else { panic!("three searches: {slow:?}") };
    assert_eq!(
        (&secret["level"], &secret["target"]),
        (&"INFO".into(), &"nautilus_merger::track".into())
    );
    assert_eq!((&secret["request_id"], &secret["outcome"]), (&"req-7".into(), &"ok".into()));
    assert!(secret["duration_us"].as_u64().is_some_and(|us| us > 0), "{secret}");
    assert!(secret["stages"].as_str().is_some_and(|stages| stages.contains("root=")), "{secret}");
    assert_eq!(secret["partitions"], 1);
    assert!(secret["rows_scanned"].is_u64() && secret["query"].is_null(), "{secret}");
    // Whether it is the same query as another can be seen, and no more.
    let hash = |line: &Value| line["query_hash"].as_str().expect("a hash").to_owned();
    assert_eq!(hash(secret).len(), 16);
    assert_ne!(hash(secret), hash(other));
    let (_, again) = logged(Duration::ZERO, false).await;
    assert_eq!(hash(secret), hash(&again[0]));
    assert_eq!((&refused["outcome"], &refused["partitions"]), (&"invalid".into(), &0.into()));
}

#[tokio::test]
async fn the_text_is_there_where_somebody_asks_for_it() {
    let (_, slow) = logged(Duration::ZERO, true).await;
    assert_eq!(slow[0]["query"], SECRET);
    assert_eq!(slow[1]["query"], "fox");
}

#[tokio::test]
async fn a_search_within_the_threshold_is_not_told() {
    let (_, slow) = logged(Duration::from_secs(3_600), true).await;
    assert!(slow.is_empty(), "{slow:?}");
}
