//! Annotators at work on what is about to be written, or built: threads, patience, and what becomes of one that does not return.
//!
//! ```text
//! write ─► jobs (one a document, bounded by what may be in flight) ─► threads ─► annotations in the metadata
//!              ▲                                                        │ not back in time
//!              └── the document, without that annotator ◄───────────────┘ its thread is given up and replaced
//! ```
//!
//! A thread cannot be stopped from outside. One that is stuck in an annotator is left to itself and another takes its
//! place; an annotator that holds [`STUCK_MAX`] threads is not run until one of them returns, so that there are never
//! many.

mod pool;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nautilus_annotate::{Annotator, Caps, Failure, Value, check_name};
use nautilus_proto::common::v1::{
    Annotation, AnnotationFailure, AttributeValue, attribute_value::Value as Stored,
};
use nautilus_proto::ingest::v1::DocumentContent;
use nautilus_service::Clock;
use tokio::sync::oneshot;

use self::pool::{Job, Pool};
use crate::IndexBuilderError;
use crate::config::AnnotatorSettings;
use crate::metrics::Metrics;

/// Threads an annotator may hold without coming back.
const STUCK_MAX: usize = 2;

/// Annotators of one process: what they find goes with every hit.
const ANNOTATORS_MAX: usize = 32;

/// All annotators of a document, by their names.
type Annotations = BTreeMap<String, Annotation>;

/// The annotators of a gateway or a build.
pub(crate) struct Annotators {
    /// None where there is nothing to run.
    pool: Option<Arc<Pool>>,
    patience: Duration,
}

/// A document that annotators look at.
pub(crate) struct Annotating {
    content: Arc<DocumentContent>,
    /// None where there is nobody to look.
    result: Option<oneshot::Receiver<Annotations>>,
}

impl Annotators {
    /// The built-in ones that are configured, then the application's own, in this order.
    pub(crate) fn new(
        settings: &AnnotatorSettings,
        own: Vec<Arc<dyn Annotator>>,
        metrics: &Metrics,
        clock: Clock,
    ) -> Result<Self, IndexBuilderError> {
        let built_in = settings.run.iter().filter_map(|name| nautilus_annotate::built_in(name));
        let annotators: Vec<_> = built_in.chain(own).collect();
        check(&annotators)?;
        let caps = Caps { input_bytes_max: settings.input_bytes_max, time_max: settings.time_max };
        // Who asks for the time is back soon after it; who is not by now does not ask.
        let patience = settings.time_max * 2;
        let pool = if annotators.is_empty() {
            None
        } else {
            let metrics = metrics.annotations.clone();
            Some(Pool::new(annotators, caps, patience, settings.threads, metrics, clock))
        };
        Ok(Self { pool, patience })
    }

    /// Puts annotations into the metadata of each document. What goes wrong is kept there too.
    pub(crate) async fn annotate(&self, contents: Vec<&mut DocumentContent>) {
        if self.is_empty() {
            return;
        }
        let mut under_way = Vec::with_capacity(contents.len());
        for content in contents {
            let annotating = self.begin(std::mem::take(content));
            under_way.push((content, annotating));
        }
        for (content, annotating) in under_way {
            *content = self.end(annotating).await;
        }
    }

    /// Whether there is nobody to look at documents.
    pub(crate) fn is_empty(&self) -> bool {
        self.pool.is_none()
    }

    /// Hands a document to the annotators. They work on many at once, in no order.
    pub(crate) fn begin(&self, content: DocumentContent) -> Annotating {
        let content = Arc::new(content);
        let result = self.pool.as_ref().map(|pool| {
            let (done, result) = oneshot::channel();
            let (content, annotations) = (Arc::clone(&content), Annotations::new());
            pool.submit(Job { content, next: 0, annotations, done });
            result
        });
        Annotating { content, result }
    }

    /// The document with what was found in its metadata.
    pub(crate) async fn end(&self, annotating: Annotating) -> DocumentContent {
        let Annotating { content, result } = annotating;
        let annotations = match (&self.pool, result) {
            (Some(pool), Some(result)) => self.wait(pool, result).await,
            (None, _) | (_, None) => Annotations::new(),
        };
        // A thread that is given up still looks at it.
        let mut content = Arc::try_unwrap(content).unwrap_or_else(|shared| (*shared).clone());
        if !annotations.is_empty() {
            content.metadata.get_or_insert_default().annotations = annotations;
        }
        content
    }

    async fn wait(
        &self,
        pool: &Arc<Pool>,
        mut result: oneshot::Receiver<Annotations>,
    ) -> Annotations {
        loop {
            tokio::select! {
                biased;
                // The sender is gone only with the pool, and that is gone only with us.
                result = &mut result => return result.unwrap_or_default(),
                // Whoever waits looks after all threads: those who waited for another may have gone.
                () = tokio::time::sleep(self.patience) => pool.give_up_on_late(),
            }
        }
    }
}

impl Drop for Annotators {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.close();
        }
    }
}

fn check(annotators: &[Arc<dyn Annotator>]) -> Result<(), IndexBuilderError> {
    let invalid = |problem: String| Err(IndexBuilderError::Config { key: "annotators", problem });
    if annotators.len() > ANNOTATORS_MAX {
        return invalid(format!("are {}, at most {ANNOTATORS_MAX} may run", annotators.len()));
    }
    let mut names = std::collections::BTreeSet::new();
    for annotator in annotators {
        let name = annotator.name();
        if !check_name(name) {
            return invalid(format!("has {name:?}, which is no name for one"));
        }
        if !names.insert(name) {
            return invalid(format!("has {name:?} twice"));
        }
    }
    Ok(())
}

/// As it is stored.
fn stored(annotation: nautilus_annotate::Annotation) -> Annotation {
    let value = |value| {
        let value = match value {
            Value::Text(text) => Stored::Text(text),
            Value::Integer(integer) => Stored::Integer(integer),
            Value::Number(number) => Stored::Number(number),
            Value::Flag(flag) => Stored::Flag(flag),
        };
        AttributeValue { value: Some(value) }
    };
    let (values, failure) = match annotation.outcome {
        Ok(found) => (found.into_iter().map(|(key, one)| (key, value(one))).collect(), None),
        Err(Failure { reason, detail }) => {
            (BTreeMap::new(), Some(AnnotationFailure { reason: reason.name().to_owned(), detail }))
        }
    };
    Annotation { version: annotation.version, values, failure }
}

#[cfg(test)]
mod tests;
