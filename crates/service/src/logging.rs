//! Log output: lines for people on a terminal, JSON otherwise, always to stderr.

use std::io::IsTerminal;

use nautilus_types::Class;
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::traces::{self, Traces};

/// Form of the lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One readable line per event.
    Human,
    /// One JSON object per event.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Form of the lines.
    pub format: LogFormat,
    /// Directives such as `info,nautilus_leaf=debug`; the syntax is that of tracing's `EnvFilter`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error("log filter {filter:?} does not parse")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a log already.
    #[error("logging is already set up")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
}

impl LogError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Filter { .. } => Class::Invalid,
            Self::AlreadySet(_) => Class::Bug,
        }
    }
}

/// Sets up the log of this process, and the export of its spans where `traces` are given; once.
pub fn init(settings: &LogSettings, traces: Option<&Traces>) -> Result<(), LogError> {
    let filter = filter(&settings.filter)?;
    let for_people = match settings.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines =
        if for_people { human(filter, std::io::stderr) } else { json_to(filter, std::io::stderr) };
    // Independent of the log's filter: a quiet log does not make for empty traces.
    let spans = traces.map(|traces| {
        traces::install(traces);
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer());
        layer.with_location(false).with_threads(false).with_filter(LevelFilter::INFO)
    });
    tracing_subscriber::registry().with(lines).with(spans).try_init().map_err(LogError::AlreadySet)
}

fn filter(directives: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(directives)
        .map_err(|source| LogError::Filter { filter: directives.to_owned(), source })
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

fn human<W>(filter: EnvFilter, writer: W) -> Lines
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed()
}

fn json_to<W>(filter: EnvFilter, writer: W) -> Lines
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    // The list of spans has the innermost one too, and only the outer ones have the request id.
    lines.json().flatten_event(true).with_current_span(false).with_filter(filter).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

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

    fn lines(captured: &Captured) -> String {
        String::from_utf8(captured.0.lock().expect("not poisoned").clone()).expect("text")
    }

    #[test]
    fn both_forms_carry_fields_and_heed_the_filter() {
        for is_json in [true, false] {
            let captured = Captured::default();
            let writer = captured.clone();
            let make = move || writer.clone();
            let filter = filter("warn,nautilus_service=info").expect("filter");
            let layer = if is_json { json_to(filter, make) } else { human(filter, make) };
            let _log = tracing_subscriber::registry().with(layer).set_default();
            tracing::info!(partition = 7, "serving");
            tracing::debug!("not this");
            tracing::info!(target: "elsewhere", "nor this");
            let text = lines(&captured);
            assert_eq!(text.lines().count(), 1, "{text}");
            let expected = if is_json { "\"partition\":7" } else { "partition=7" };
            assert!(text.contains(expected) && text.contains("serving"), "{text}");
        }
    }

    #[test]
    fn a_json_line_has_each_span_once_with_its_fields() {
        let captured = Captured::default();
        let writer = captured.clone();
        let layer = json_to(filter("info").expect("filter"), move || writer.clone());
        let _log = tracing_subscriber::registry().with(layer).set_default();
        let outer = tracing::info_span!("rpc", request_id = "req-7").entered();
        let inner = tracing::info_span!("fetch", partition = 3).entered();
        tracing::info!("done");
        drop((inner, outer));
        let text = lines(&captured);
        for once in ["\"rpc\"", "\"req-7\"", "\"fetch\"", "\"partition\":3", "\"done\""] {
            assert_eq!(text.matches(once).count(), 1, "{once} in {text}");
        }
    }

    #[test]
    fn a_bad_filter_is_refused_by_name() {
        let error = filter("nautilus_leaf=loud").expect_err("no such level");
        assert_eq!(error.class(), Class::Invalid);
        assert!(error.to_string().contains("loud"), "{error}");
    }

    #[test]
    fn settings_have_defaults_and_know_their_keys() {
        assert_eq!(toml::from_str::<LogSettings>("").expect("defaults"), LogSettings::default());
        let settings: LogSettings = toml::from_str("format = 'json'").expect("format");
        assert_eq!(settings.format, LogFormat::Json);
        assert!(toml::from_str::<LogSettings>("formt = 'json'").is_err());
    }
}
