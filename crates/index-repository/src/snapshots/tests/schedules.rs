//! Publishers, pruners, collectors and readers side by side, in every order a seed can make of their calls.
//!
//! Each actor is a future of its own; a repository in memory stops it before every call and after every effect. A
//! schedule says who goes on, and lets time pass. What must hold is checked after each step.

use std::cell::Cell;
use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::task::noop_waker_ref;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRng, TestRunner};
use tokio::sync::Semaphore;

use self::stepped::{Planted, Stepped, Store};
use super::*;
use crate::ObjectName;

mod stepped;

const HOUR: u64 = 3_600_000;
const GRACE_MS: u64 = 24 * HOUR;

/// What somebody sets out to do.
#[derive(Debug, Clone)]
enum Task {
    /// Publishes a checkpoint of the files of these numbers, as one of two uploaders.
    Publish {
        uploader: u8,
        files: u8,
    },
    Prune {
        keep: usize,
    },
    Collect,
    /// Finds the newest and reads all of its files.
    Read,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Begin(Task),
    /// The actor at this place, of those there are, makes so many calls.
    Step {
        actor: prop::sample::Index,
        calls: u8,
    },
    /// It is never heard of again.
    Kill {
        actor: prop::sample::Index,
    },
    /// Everything old is removed and collected while all others stand still.
    Sweep,
    Hours(u8),
}

struct Actor {
    steps: Arc<Semaphore>,
    future: BoxFuture<'static, Option<u64>>,
    began_unix_ms: u64,
}

/// The whole of it.
struct World {
    planted: Planted,
    store: Arc<Store>,
    local: TempDir,
    actors: VecDeque<Actor>,
    next_offset: u64,
    /// Acknowledged by `publish`, and not older than what is kept.
    published: u64,
}

impl World {
    fn new(planted: Planted) -> Self {
        let store = Arc::new(Store::default());
        // Far from zero, so that a day ago is a time.
        *store.now_unix_ms.lock().expect("unpoisoned") = 100 * GRACE_MS;
        let local = tempfile::tempdir().expect("folder");
        let actors = VecDeque::new();
        Self { planted, store, local, actors, next_offset: 0, published: 0 }
    }

    fn snapshots(&self, steps: &Arc<Semaphore>) -> Snapshots {
        let (store, steps) = (Arc::clone(&self.store), Arc::clone(steps));
        Snapshots::new(Arc::new(Stepped { store, steps, planted: self.planted }), CLUSTER)
    }

    /// A checkpoint: each file's content depends on its number and on the uploader's kind alone, so files come again.
    fn checkpoint(&self, uploader: u8, files: u8) -> PathBuf {
        let dir = self.local.path().join(format!("{uploader}-{files}"));
        if !dir.exists() {
            fs::create_dir(&dir).expect("made");
            fs::write(dir.join("CURRENT"), "MANIFEST-000004\n").expect("written");
            for file in (0..8).filter(|file| files & (1 << file) != 0) {
                // Some of another leaf's files have the same name, length and content, some not.
                let of = if file < 4 { 0 } else { uploader };
                fs::write(dir.join(format!("00010{file}.sst")), format!("{file} of {of}"))
                    .expect("written");
            }
        }
        dir
    }

    fn begin(&mut self, task: Task) {
        let steps = Arc::new(Semaphore::new(0));
        let snapshots = self.snapshots(&steps);
        let began_unix_ms = self.store.now();
        let future: BoxFuture<'static, Option<u64>> = match task {
            Task::Publish { uploader, files } => {
                // Both uploaders meet at the same offset now and then.
                self.next_offset += u64::from(files % 4 > 0);
                let uploader_name = format!("leaf-{uploader}");
                let draft = SnapshotDraft { uploader: uploader_name, ..draft(self.next_offset) };
                let dir = self.checkpoint(uploader, files);
                Box::pin(async move {
                    match snapshots.publish(draft, &dir, &|_| ()).await {
                        Ok(manifest) => Some(manifest.draft.next_offset.0),
                        Err(RepositoryError::Exists { .. }) => None,
                        Err(error) => panic!("publish: {error}"),
                    }
                })
            }
            Task::Prune { keep } => Box::pin(async move {
                snapshots.prune(P, keep).await.expect("pruned");
                None
            }),
            Task::Collect => {
                let grace_ms = if self.planted == Planted::Hasty { 0 } else { GRACE_MS };
                Box::pin(async move {
                    snapshots.collect(P, began_unix_ms - grace_ms).await.expect("collected");
                    None
                })
            }
            Task::Read => Box::pin(async move {
                let newest = snapshots.newest(P, &wanted()).await.expect("asked");
                for passed_over in &newest.passed_over {
                    // Removed while it was looked at, with its files still there: never unsound.
                    assert_eq!(passed_over.reason, Unusable::Gone, "{passed_over:?}");
                }
                None
            }),
        };
        self.actors.push_back(Actor { steps, future, began_unix_ms });
    }

    /// Lets an actor make so many calls, or end.
    fn step(&mut self, index: usize, calls: usize) {
        let actor = &mut self.actors[index];
        actor.steps.add_permits(calls);
        // Local files are read on other threads, so being woken says nothing: what it waits for is asked.
        loop {
            let polled = actor.future.as_mut().poll(&mut Context::from_waker(noop_waker_ref()));
            match polled {
                Poll::Ready(published) => {
                    self.published = self.published.max(published.unwrap_or(0));
                    self.actors.remove(index);
                    return;
                }
                Poll::Pending if actor.steps.available_permits() == 0 => return,
                Poll::Pending => std::thread::yield_now(),
            }
        }
    }

    fn apply(&mut self, event: &Event) {
        let count = self.actors.len();
        match event {
            Event::Begin(task) if count < 5 => self.begin(task.clone()),
            Event::Step { actor, calls } if count > 0 => {
                self.step(actor.index(count), usize::from(*calls));
            }
            Event::Kill { actor } if count > 0 => {
                self.actors.remove(actor.index(count));
            }
            Event::Sweep => {
                for task in [Task::Prune { keep: 1 }, Task::Collect] {
                    self.begin(task);
                    self.step(count, 10_000);
                }
            }
            Event::Hours(hours) => self.pass(u64::from(*hours)),
            Event::Begin(_) | Event::Step { .. } | Event::Kill { .. } => {}
        }
    }

    /// Time passes. What is assumed of it: nobody who has begun takes longer than six hours. Publishers see to that
    /// themselves by a clock that stands still here; they are ended by it.
    fn pass(&mut self, hours: u64) {
        let now = self.store.now() + hours * HOUR;
        *self.store.now_unix_ms.lock().expect("unpoisoned") = now;
        self.actors.retain(|actor| now - actor.began_unix_ms <= 6 * HOUR);
    }

    /// Every manifest's files are there, and the newest acknowledged snapshot can be restored.
    fn check(&self) {
        let objects = self.store.objects();
        let (mut newest, mut manifests) = (0, 0);
        for (name, (bytes, _)) in objects.iter().filter(|(n, _)| n.as_str().contains("/manifests/"))
        {
            let manifest = envelope::decode(bytes).expect("a manifest");
            let folder = self.snapshots(&Arc::new(Semaphore::new(0))).folder(P).expect("a folder");
            for (object, file) in folder.objects(&manifest).expect("named") {
                let stored = objects.get(&object);
                let sha256 = stored.map(|(bytes, _)| crate::source::sha256(bytes));
                assert_eq!(sha256, Some(file.sha256), "{object} of {name}");
            }
            newest = newest.max(manifest.draft.next_offset.0);
            manifests += 1;
        }
        assert!(newest >= self.published, "{newest} of {} in {manifests}", self.published);
    }

    /// All that goes on ends, and what is nobody's goes.
    fn quiet_down(&mut self) {
        while !self.actors.is_empty() {
            self.step(0, 1000);
            self.check();
        }
        for task in [Task::Prune { keep: 1 }, Task::Collect] {
            self.pass(50);
            self.begin(task);
            self.step(0, 100_000);
            assert!(self.actors.is_empty(), "it ended");
            self.check();
        }
        let named: BTreeSet<ObjectName> = {
            let objects = self.store.objects();
            let folder = self.snapshots(&Arc::new(Semaphore::new(0))).folder(P).expect("a folder");
            let manifests = objects.iter().filter(|(n, _)| n.as_str().contains("/manifests/"));
            manifests
                .flat_map(|(_, (bytes, _))| {
                    let manifest = envelope::decode(bytes).expect("a manifest");
                    folder.objects(&manifest).expect("named")
                })
                .map(|(object, _)| object)
                .collect()
        };
        for object in self.store.objects().keys() {
            let is_file = object.as_str().contains("/files/");
            assert!(!is_file || named.contains(object), "{object} is nobody's and stays");
        }
    }
}

fn tasks() -> impl Strategy<Value = Task> {
    prop_oneof![
        5 => (0..2_u8, 0..=255_u8).prop_map(|(uploader, files)| Task::Publish { uploader, files }),
        2 => (1..3_usize).prop_map(|keep| Task::Prune { keep }),
        2 => Just(Task::Collect),
        1 => Just(Task::Read),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let actor = any::<prop::sample::Index>;
    prop_oneof![
        3 => tasks().prop_map(Event::Begin),
        8 => (actor(), 1..12_u8).prop_map(|(actor, calls)| Event::Step { actor, calls }),
        3 => actor().prop_map(|actor| Event::Step { actor, calls: 200 }),
        1 => actor().prop_map(|actor| Event::Kill { actor }),
        1 => Just(Event::Sweep),
        1 => (1..8_u8).prop_map(Event::Hours),
        1 => (20..40_u8).prop_map(Event::Hours),
    ]
}

/// From nothing, or from two snapshots of days ago, the older of which is there to be used, and to be removed.
fn schedules() -> impl Strategy<Value = Vec<Event>> {
    let actor = any::<prop::sample::Index>;
    let published = |files: u8| {
        let begun = Event::Begin(Task::Publish { uploader: 0, files });
        let ended = actor().prop_map(|actor| Event::Step { actor, calls: 200 });
        (Just(begun), ended, Just(Event::Hours(30)))
    };
    let two = (published(0b0101), published(0b0010));
    let before = two.prop_map(|((a, b, c), (d, e, f))| vec![a, b, c, d, e, f]);
    let begin = prop_oneof![Just(Vec::new()), before];
    (begin, proptest::collection::vec(events(), 1..120))
        .prop_map(|(begin, events)| [begin, events].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn no_order_of_calls_removes_what_is_needed(events in schedules()) {
        run(Planted::Nothing, &events);
    }
}

/// What is checked finds each of these out: the schedules go where the rules are needed.
#[test]
fn a_rule_that_is_taken_out_is_missed() {
    for planted in [Planted::Unmarked, Planted::Hasty] {
        // The same schedules each time, and none is made shorter: what matters is that there is one.
        let config = ProptestConfig {
            cases: 1_000,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let rng = TestRng::deterministic_rng(config.rng_algorithm);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let count = Cell::new(0_u32);
        let outcome = runner.run(&schedules(), |events| {
            count.set(count.get() + 1);
            run(planted, &events);
            Ok(())
        });
        let Err(TestError::Fail(why, _)) = outcome else { panic!("{planted:?}: {outcome:?}") };
        println!("{planted:?} is found out by schedule {}: {why}", count.get());
        let raced = std::panic::catch_unwind(|| race(planted));
        assert!(raced.is_err(), "{planted:?} is not found out by the race below");
    }
}

fn run(planted: Planted, events: &[Event]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let mut world = World::new(planted);
    for event in events {
        world.apply(event);
        world.check();
    }
    world.quiet_down();
}

/// The race the marks are for: a publisher has chosen its base, and everything else happens before it goes on.
#[test]
fn a_base_that_goes_while_it_is_used_keeps_its_files() {
    race(Planted::Nothing);
}

fn race(planted: Planted) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let mut reused = 0;
    // At whichever of its calls the publisher stops.
    for calls in 1..60 {
        let mut world = World::new(planted);
        for files in [0b0101, 0b0010, 0b0111] {
            world.begin(Task::Publish { uploader: 0, files });
            if files != 0b0111 {
                world.step(0, 1000);
                assert!(world.actors.is_empty(), "published");
                world.pass(30);
            }
        }
        world.step(0, calls);
        for _ in 0..2 {
            for task in [Task::Prune { keep: 1 }, Task::Collect] {
                world.begin(task);
                let last = world.actors.len() - 1;
                world.step(last, 10_000);
                world.check();
            }
            world.pass(3);
        }
        if !world.actors.is_empty() {
            world.step(0, 1000);
            world.check();
        }
        let objects = world.store.objects();
        let manifests = objects.iter().filter(|(name, _)| name.as_str().contains("/manifests/"));
        let mut manifests =
            manifests.map(|(_, (bytes, _))| envelope::decode(bytes).expect("sound"));
        let is_reusing = |m: Manifest| m.files.iter().any(|file| file.stored_in.is_some());
        reused += u32::from(manifests.any(is_reusing));
    }
    assert!(reused > 20, "{reused}");
}
