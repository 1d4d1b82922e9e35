//! Stands for election and, while elected, makes the registry follow the plan.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_registry::layout::{Decision, Key, REFUSED_MOVES_MAX, Record, RefusedMove, prefix};
use nautilus_registry::{
    Condition, Operation, Registry, RegistryError, Revision, Transaction, Watch,
};
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::{Class, PartitionId};

use crate::backoff::Backoff;
use crate::election::{Election, Leadership, within};
use crate::metrics::Sight;
use crate::plan::{HeldBack, Observed, Plan, PlannedChange, Reason, Roster, check_plan, plan};
use crate::view::View;
use crate::{Config, CoordinatorError, CoordinatorMetrics};

/// Changes that come within this time are planned for together: a leaf that goes takes many keys with it.
const COLLECT_TIME: Duration = Duration::from_millis(10);

/// The coordinator at work.
pub(crate) struct Driver {
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) clock: Clock,
    pub(crate) metrics: CoordinatorMetrics,
}

impl Driver {
    /// Until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let registry = Arc::clone(&self.registry);
        let mut election = Election::new(registry, self.clock.clone(), Arc::clone(&self.config));
        let mut backoff = Backoff::default();
        self.metrics.leads(&self.config.group, false);
        while !stop.is_cancelled() {
            let stood = stop.run_until_cancelled(election.stand()).await;
            match stood {
                Some(Ok(Some(leadership))) => {
                    backoff.reset();
                    self.lead(&election, &leadership, &stop).await;
                }
                Some(Ok(None)) => backoff.reset(),
                Some(Err(error)) => {
                    self.report(&error, &backoff);
                    stop.run_until_cancelled(tokio::time::sleep(backoff.next())).await;
                }
                None => {}
            }
            election.resign().await;
        }
    }

    /// Until the leadership is lost, or may be: what acts is dropped in that moment, and a transaction under
    /// way fails on its condition.
    async fn lead(&self, election: &Election, leadership: &Leadership, stop: &CancellationToken) {
        let group = &self.config.group;
        tracing::info!(%group, revision = %leadership.revision, "acting as coordinator");
        self.metrics.leads(group, true);
        let term = Term {
            driver: self,
            leadership,
            view: View::default(),
            roster: Roster::new(self.config.patience),
            began: self.clock.now(),
            listed_at: self.clock.now(),
            watch: None,
            watch_backoff: Backoff::default(),
            was_held_back: None,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = election.keep(leadership) => {}
            () = term.act() => {}
        }
        self.metrics.leads(group, false);
        tracing::info!(%group, "no longer acting as coordinator");
    }

    /// Says what went wrong, loudly once in a row of failures that end by themselves.
    fn report(&self, error: &CoordinatorError, backoff: &Backoff) {
        let group = &self.config.group;
        let chain = nautilus_service::status::error_chain(error);
        if !error.class().is_retryable() {
            tracing::error!(%group, error = chain, "the coordinator cannot go on, trying again");
        } else if backoff.is_fresh() {
            tracing::warn!(%group, error = chain, "the coordinator lost the registry, trying again");
        } else {
            tracing::debug!(%group, error = chain, "the coordinator tries again");
        }
    }
}

/// One time of leading the group.
struct Term<'a> {
    driver: &'a Driver,
    leadership: &'a Leadership,
    view: View,
    roster: Roster,
    began: Instant,
    listed_at: Instant,
    watch: Option<Box<dyn Watch>>,
    /// Between watches that end without having told anything.
    watch_backoff: Backoff,
    was_held_back: Option<HeldBack>,
}

impl Term<'_> {
    /// Until another one leads.
    async fn act(mut self) {
        let mut backoff = Backoff::default();
        let mut must_list = true;
        loop {
            let acted = async {
                if must_list {
                    self.list().await?;
                }
                self.reconcile().await
            };
            must_list = match acted.await {
                Ok(look_again_at) => {
                    backoff.reset();
                    self.wait(look_again_at).await
                }
                Err(CoordinatorError::NotLeading) => return,
                Err(error) => {
                    // Somebody else wrote, or the watch was too slow: what counts is read again at once.
                    let is_stale = matches!(error.class(), Class::Conflict | Class::Precondition);
                    if !is_stale || !backoff.is_fresh() {
                        self.driver.report(&error, &backoff);
                    }
                    tokio::time::sleep(backoff.next()).await;
                    true
                }
            };
        }
    }

    /// Reads the whole group, and watches from there if there is no watch. Without one it goes on all the same.
    async fn list(&mut self) -> Result<(), CoordinatorError> {
        let Driver { registry, config, clock, .. } = self.driver;
        self.listed_at = clock.now();
        let prefix = prefix::group(&config.group);
        let listing = within(registry.list(&prefix))
            .await
            .map_err(CoordinatorError::while_("read the group"))?;
        let next = listing.revision.next();
        self.view.list(listing)?;
        if self.watch.is_none() {
            match within(registry.watch(&prefix, next)).await {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => tracing::debug!(%error, "no watch, reading on a timer"),
            }
        }
        Ok(())
    }

    /// Plans once, and executes the plan. Returns when to look again though nothing has changed.
    async fn reconcile(&mut self) -> Result<Option<Duration>, CoordinatorError> {
        let Driver { config, metrics, clock, .. } = self.driver;
        let group = &config.group;
        let observed = self.view.observed();
        let assignments = self.view.assignments()?;
        let now = clock.now().saturating_duration_since(self.began);
        let outlook = self.roster.observe(now, &observed, &assignments);
        let plan = plan(&observed, &config.wanted, &assignments, &outlook);
        check_plan(&observed, &config.wanted, &assignments, &plan)?;
        metrics.planned(group, Sight::of(&observed, &config.wanted, &assignments, &plan));
        self.say_what_is_held_back(&plan, &observed);
        for change in &plan.changes {
            self.execute(change).await?;
        }
        self.decide(&plan, &observed).await?;
        Ok(outlook.look_again_at)
    }

    /// Writes one assignment, if it is still as the plan saw it and this coordinator still leads. A request that
    /// led to it goes in the same moment: it is never decided twice, and never forgotten undecided.
    async fn execute(&mut self, change: &PlannedChange) -> Result<(), CoordinatorError> {
        let PlannedChange { assignment, reason } = change;
        let group = &self.driver.config.group;
        let record = Record::Assignment(group.clone(), assignment.clone());
        let mut conditions = vec![self.as_seen(&record.key())];
        let mut operations = vec![put(&record)?];
        let request = Key::Move { group: group.clone(), partition: assignment.partition };
        let is_asked_for = *reason == Reason::OperatorMove;
        if is_asked_for {
            conditions.push(self.as_seen(&request));
            operations.push(Operation::Delete(request.to_string()));
        }
        let revision = self.transact(conditions, operations, "write an assignment").await?;
        self.view.wrote(revision, record);
        if is_asked_for {
            self.view.deleted(revision, &request);
        }
        self.driver.metrics.changed(group, *reason);
        tracing::info!(
            %group,
            partition = %assignment.partition,
            owner = %assignment.owner.leaf,
            epoch = %assignment.owner.epoch,
            retiring = assignment.retiring.as_ref().map(|it| it.leaf.as_str()),
            %reason,
            "assigned"
        );
        Ok(())
    }

    /// Writes what is left undone, for people, when that has changed. Requests that are refused go in the
    /// same moment.
    async fn decide(&mut self, plan: &Plan, observed: &Observed) -> Result<(), CoordinatorError> {
        let Driver { config, metrics, .. } = self.driver;
        let group = &config.group;
        let decision = Decision {
            held_back: plan.held_back.as_ref().map(ToString::to_string),
            unassigned: plan.unassigned.keys().copied().collect(),
            refused_moves: self.refused_moves(plan, observed),
        };
        let value = decision.encode().map_err(CoordinatorError::while_("encode the decision"))?;
        // Only so many partitions fit: compared is what stands there.
        let stored =
            Decision::decode(&value).map_err(CoordinatorError::while_("encode the decision"))?;
        let refused: Vec<Key> = plan
            .refused
            .keys()
            .take(REFUSED_MOVES_MAX)
            .map(|partition| Key::Move { group: group.clone(), partition: *partition })
            .collect();
        if self.view.decision(group) == Some(&stored) && refused.is_empty() {
            return Ok(());
        }
        let conditions = refused.iter().map(|key| self.as_seen(key)).collect();
        let record = Record::Decision(group.clone(), stored);
        let mut operations = vec![put(&record)?];
        operations.extend(refused.iter().map(|key| Operation::Delete(key.to_string())));
        let revision = self.transact(conditions, operations, "write the decision").await?;
        self.view.wrote(revision, record);
        for key in &refused {
            self.view.deleted(revision, key);
        }
        for (partition, why) in plan.refused.iter().take(REFUSED_MOVES_MAX) {
            metrics.refused(group, *why);
            tracing::info!(%group, %partition, why = why.as_str(), "a move was refused");
        }
        Ok(())
    }

    /// Those told of so far, without what has been made since, and those of this plan. As many as are told of
    /// at once are refused at once: the others wait for their turn.
    fn refused_moves(&self, plan: &Plan, observed: &Observed) -> Vec<RefusedMove> {
        let now: Vec<_> = plan.refused.iter().take(REFUSED_MOVES_MAX).collect();
        let is_answered = |partition: PartitionId| {
            let made = |it: &&PlannedChange| it.reason == Reason::OperatorMove;
            let mut made = plan.changes.iter().filter(made).map(|it| it.assignment.partition);
            now.iter().any(|(it, _)| **it == partition) || made.any(|it| it == partition)
        };
        let before = self.view.decision(&self.driver.config.group);
        let before = before.map_or(&[][..], |it| &it.refused_moves);
        let kept = before.iter().filter(|it| !is_answered(it.partition)).cloned();
        let added = now.iter().map(|(partition, why)| RefusedMove {
            partition: **partition,
            to: observed.requests.get(partition).and_then(|request| request.to.clone()),
            why: why.as_str().to_owned(),
        });
        let all: Vec<_> = kept.chain(added).collect();
        let surplus = all.len().saturating_sub(REFUSED_MOVES_MAX);
        all.into_iter().skip(surplus).collect()
    }

    /// That the key is as it was when the plan was made.
    fn as_seen(&self, key: &Key) -> Condition {
        match self.view.modified(key) {
            Some(revision) => Condition::Unchanged(key.to_string(), revision),
            None => Condition::Absent(key.to_string()),
        }
    }

    /// Writes under these conditions and under the leadership. `NotLeading`.
    async fn transact(
        &mut self,
        conditions: Vec<Condition>,
        operations: Vec<Operation>,
        doing: &'static str,
    ) -> Result<Revision, CoordinatorError> {
        let Leadership { key, revision, .. } = self.leadership;
        // First, so that it is the one that is named when both do not hold.
        let leads = Condition::Unchanged(key.clone(), *revision);
        let conditions = std::iter::once(leads).chain(conditions).collect();
        let transaction = Transaction { conditions, operations };
        match within(self.driver.registry.transact(transaction)).await {
            Ok(revision) => Ok(revision),
            Err(RegistryError::Conflict { key: lost, .. }) if lost == *key => {
                Err(CoordinatorError::NotLeading)
            }
            Err(error) => Err(CoordinatorError::while_(doing)(error)),
        }
    }

    /// Waits for changes or for the time to look again; returns whether to read everything again.
    async fn wait(&mut self, look_again_at: Option<Duration>) -> bool {
        let Driver { config, clock, .. } = self.driver;
        let since = |earlier| clock.now().saturating_duration_since(earlier);
        let until_list = config.relist_interval.saturating_sub(since(self.listed_at));
        let until_look = look_again_at.map(|at| at.saturating_sub(since(self.began)));
        let until = until_look.map_or(until_list, |look| look.min(until_list));
        let watched = tokio::time::timeout(until, next_change(&mut self.watch, &mut self.view));
        match watched.await {
            Ok(true) => self.watch_backoff.reset(),
            Ok(false) => {
                tokio::time::sleep(self.watch_backoff.next()).await;
                return true;
            }
            Err(_) => return true,
        }
        let collected = async { while next_change(&mut self.watch, &mut self.view).await {} };
        // It ends early only where the watch has ended. Changes that never cease do not put off the reading.
        let has_ended = tokio::time::timeout(COLLECT_TIME, collected).await.is_ok();
        has_ended || since(self.listed_at) >= config.relist_interval
    }

    fn say_what_is_held_back(&mut self, plan: &Plan, observed: &Observed) {
        if plan.held_back == self.was_held_back {
            return;
        }
        let group = &self.driver.config.group;
        match &plan.held_back {
            Some(why @ HeldBack::TooManyGone { .. }) => tracing::warn!(%group, %why, "held back"),
            Some(why @ HeldBack::Gathering { .. }) => tracing::info!(%group, %why, "held back"),
            None => tracing::info!(%group, leaves = observed.leaves.len(), "no longer held back"),
        }
        self.was_held_back = plan.held_back.clone();
    }
}

/// The write of a record that stays.
fn put(record: &Record) -> Result<Operation, CoordinatorError> {
    let value = record.encode().map_err(CoordinatorError::while_("encode what is written"))?;
    Ok(Operation::Put { key: record.key().to_string(), value, lease: None })
}

/// Waits for the next change and takes it in; false where the watch has ended. For ever without a watch.
/// Cancel safe.
async fn next_change(watch: &mut Option<Box<dyn Watch>>, view: &mut View) -> bool {
    let Some(open) = watch else { return std::future::pending().await };
    match open.next().await {
        Ok((revision, changes)) => {
            for change in changes {
                view.apply(revision, change);
            }
            true
        }
        Err(error) => {
            tracing::debug!(%error, "the watch has ended, reading again");
            *watch = None;
            false
        }
    }
}
