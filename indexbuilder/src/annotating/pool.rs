//! The threads that run annotators, and the record of what each is doing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nautilus_annotate::{Annotation, Annotator, Caps, Failure, Input, Reason, run};
use nautilus_proto::ingest::v1::DocumentContent;
use nautilus_service::Clock;
use nautilus_service::threads::{NamedThread, STACK_BYTES};
use tokio::sync::oneshot;

use super::{Annotations, STUCK_MAX, stored};
use crate::metrics::AnnotationMetrics;

/// How long the end of the pool waits for threads that are at work.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// A document on its way through the annotators.
pub(super) struct Job {
    pub(super) content: Arc<DocumentContent>,
    /// The annotator that comes next.
    pub(super) next: usize,
    pub(super) annotations: Annotations,
    pub(super) done: oneshot::Sender<Annotations>,
}

/// What a thread does.
struct Running {
    job: Job,
    /// When it began with the annotator `job.next`.
    began: Duration,
}

#[derive(Default)]
struct Desk {
    jobs: VecDeque<Job>,
    /// By thread. One that finds itself gone from here was given up.
    running: BTreeMap<u64, Running>,
    /// Those that were not given up.
    threads: usize,
    threads_ever: u64,
    is_closed: bool,
}

/// Threads, and the annotators they run.
pub(super) struct Pool {
    annotators: Vec<Arc<dyn Annotator>>,
    caps: Caps,
    patience: Duration,
    threads_wanted: usize,
    metrics: AnnotationMetrics,
    clock: Clock,
    origin: Instant,
    /// Threads that each annotator holds and that were given up.
    stuck: Vec<AtomicUsize>,
    desk: Mutex<Desk>,
    changed: Condvar,
}

impl Pool {
    pub(super) fn new(
        annotators: Vec<Arc<dyn Annotator>>,
        caps: Caps,
        patience: Duration,
        threads_wanted: usize,
        metrics: AnnotationMetrics,
        clock: Clock,
    ) -> Arc<Self> {
        let stuck = annotators.iter().map(|_| AtomicUsize::new(0)).collect();
        let (origin, desk) = (clock.now(), Mutex::default());
        let changed = Condvar::new();
        let pool = Self {
            annotators,
            caps,
            patience,
            threads_wanted,
            metrics,
            clock,
            origin,
            stuck,
            desk,
            changed,
        };
        Arc::new(pool)
    }

    /// Takes a document; its sender gets the annotations.
    pub(super) fn submit(self: &Arc<Self>, job: Job) {
        let mut desk = self.desk();
        desk.jobs.push_back(job);
        self.staff(&mut desk);
        drop(desk);
        self.changed.notify_one();
    }

    /// Gives up on every thread whose annotator is not back in time; its document goes on without.
    pub(super) fn give_up_on_late(self: &Arc<Self>) {
        let now = self.now();
        let mut desk = self.desk();
        let is_late = |running: &Running| now.saturating_sub(running.began) > self.patience;
        let late: Vec<Running> = desk
            .running
            .extract_if(.., |_, running| is_late(running))
            .map(|(_, late)| late)
            .collect();
        for Running { mut job, .. } in late {
            desk.threads -= 1;
            let Some(annotator) = self.annotators.get(job.next) else { continue };
            if let Some(stuck) = self.stuck.get(job.next) {
                stuck.fetch_add(1, Ordering::Relaxed);
            }
            let (name, patience_ms) = (annotator.name(), self.patience.as_millis());
            tracing::error!(
                annotator = name,
                patience_ms,
                "an annotator did not come back; its thread is given up"
            );
            let detail = format!("did not come back within {patience_ms} ms");
            self.keep(
                &mut job,
                annotator.as_ref(),
                failed(annotator.as_ref(), Reason::TimeLimit, detail),
            );
            desk.jobs.push_front(job);
        }
        self.staff(&mut desk);
        drop(desk);
        self.changed.notify_all();
    }

    /// Ends the threads that wait, and waits a little for those that work.
    pub(super) fn close(&self) {
        let mut desk = self.desk();
        desk.is_closed = true;
        desk.jobs.clear();
        self.changed.notify_all();
        let is_at_work = |desk: &mut Desk| desk.threads > 0;
        let waited = self.changed.wait_timeout_while(desk, CLOSE_TIME, is_at_work);
        let (desk, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if desk.threads > 0 {
            tracing::warn!(
                threads = desk.threads,
                "annotators are still at work and are left to themselves"
            );
        }
    }

    fn work(&self, number: u64) {
        while let Some((content, mut next)) = self.take(number) {
            while let Some(annotator) = self.annotators.get(next) {
                let annotation = self.annotate(annotator.as_ref(), next, &content);
                let mut desk = self.desk();
                let Some(running) = desk.running.get_mut(&number) else {
                    // Given up, and replaced.
                    if let Some(stuck) = self.stuck.get(next) {
                        stuck.fetch_sub(1, Ordering::Relaxed);
                    }
                    return;
                };
                self.keep(&mut running.job, annotator.as_ref(), annotation);
                running.began = self.now();
                next = running.job.next;
            }
            // Before it is said to be done, so that its owner has it alone again.
            drop(content);
            let finished = self.desk().running.remove(&number);
            if let Some(Running { job: Job { content, annotations, done, .. }, .. }) = finished {
                drop(content);
                // Who is gone wants no answer.
                let _ = done.send(annotations);
            }
        }
    }

    /// The next document, once there is one; none when the pool is closed.
    fn take(&self, number: u64) -> Option<(Arc<DocumentContent>, usize)> {
        let mut desk = self.desk();
        loop {
            if desk.is_closed {
                desk.threads -= 1;
                self.changed.notify_all();
                return None;
            }
            match desk.jobs.pop_front() {
                Some(job) if job.done.is_closed() => {}
                Some(job) => {
                    let taken = (Arc::clone(&job.content), job.next);
                    desk.running.insert(number, Running { job, began: self.now() });
                    return Some(taken);
                }
                None => desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn annotate(
        &self,
        annotator: &dyn Annotator,
        index: usize,
        content: &DocumentContent,
    ) -> Annotation {
        let stuck = self.stuck.get(index).map_or(0, |stuck| stuck.load(Ordering::Relaxed));
        if stuck >= STUCK_MAX {
            let detail = format!("did not come back from {stuck} other documents");
            return failed(annotator, Reason::SwitchedOff, detail);
        }
        let media_type = content.metadata.as_ref().map_or("", |metadata| &metadata.media_type);
        let (title, path, body) = (&*content.title, &*content.path, &*content.body);
        let began = self.now();
        let input = Input { title, path, media_type, body };
        let annotation = run(annotator, &input, &self.caps, &|| self.now());
        self.metrics.took(annotator.name(), self.now().saturating_sub(began));
        annotation
    }

    /// Keeps what an annotator made of a document; the next one is next.
    fn keep(&self, job: &mut Job, annotator: &dyn Annotator, annotation: Annotation) {
        self.metrics.made(annotator.name(), &annotation);
        // Nothing to say is said by nothing.
        if annotation.outcome.as_ref().map_or(true, |values| !values.is_empty()) {
            job.annotations.insert(annotator.name().to_owned(), stored(annotation));
        }
        job.next += 1;
    }

    /// Starts threads until there are enough. Where there can be none at all, documents go on without annotations.
    fn staff(self: &Arc<Self>, desk: &mut Desk) {
        while desk.threads < self.threads_wanted && !desk.is_closed {
            let number = desk.threads_ever;
            let pool = Arc::clone(self);
            let spawned =
                NamedThread::spawn(format!("annotate-{number}"), STACK_BYTES, move || {
                    pool.work(number)
                });
            if let Err(error) = spawned {
                tracing::warn!(%error, "no thread for annotators");
                break;
            }
            // It is not joined: it may be stuck in an annotator. `close` waits for those that are not.
            desk.threads += 1;
            desk.threads_ever += 1;
        }
        if desk.threads > 0 {
            return;
        }
        for mut job in std::mem::take(&mut desk.jobs) {
            while let Some(annotator) = self.annotators.get(job.next) {
                let detail = "there is no thread to run it".to_owned();
                self.keep(
                    &mut job,
                    annotator.as_ref(),
                    failed(annotator.as_ref(), Reason::Failed, detail),
                );
            }
            let _ = job.done.send(job.annotations);
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.origin)
    }

    /// No annotator runs under this lock, so a poisoned one still guards a sound desk.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(annotator: &dyn Annotator, reason: Reason, detail: String) -> Annotation {
    Annotation { version: annotator.version(), outcome: Err(Failure { reason, detail }) }
}
