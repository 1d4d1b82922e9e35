//! Open-loop writes: the highest rate whose backlog stays bounded, how soon a write is found in every replica
//! group at 70 % of it, and what happens at 200 %.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use nautilus_proto::admin::v1::GetStatusRequest;
use nautilus_proto::ingest::v1::WriteRequest;
use nautilus_proto::search::v1::{ListDocumentsRequest, MatchMode, SearchRequest, View};
use nautilus_service::{CancellationToken, TaskGroup};
use serde_json::{Value, json};
use tonic::Code;

use super::connection::{Connection, Target};
use super::documents::{Draws, write};
use super::samples::Samples;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Batches on their way at one time, at most: beyond it the open loop counts what it could not send.
const IN_FLIGHT_MAX: u64 = 256;

/// How to write.
#[derive(Debug, Args)]
pub struct WriteArgs {
    #[command(flatten)]
    target: Target,
    /// Namespaces written to in turn
    #[arg(long, default_value_t = 64)]
    namespaces: usize,
    /// Documents of a batch
    #[arg(long, default_value_t = 20)]
    batch: u32,
    /// Share of the writes that are new texts of documents already there, in percent
    #[arg(long, default_value_t = 50)]
    edits: u64,
    /// Documents a second to start looking at
    #[arg(long, default_value_t = 1_000.0)]
    start_rate: f64,
    /// Take this as the highest rate instead of looking for it
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds of each trial
    #[arg(long, default_value_t = 20)]
    trial_seconds: u64,
    /// Seconds for which the highest rate must hold
    #[arg(long, default_value_t = 300)]
    hold_seconds: u64,
    /// Searches a second beside the writes
    #[arg(long, default_value_t = 20.0)]
    search_rate: f64,
    /// Writes that are looked for in every replica group, at 70 %
    #[arg(long, default_value_t = 2_000)]
    freshness_samples: usize,
    /// Records that may wait at the end of a trial, beyond a second's worth
    #[arg(long, default_value_t = 500)]
    lag_max: u64,
    /// Seed of the documents
    #[arg(long, default_value_t = 22)]
    seed: u64,
}

/// What a phase of writing saw.
#[derive(Debug, Default)]
struct Phase {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    pushed_back: AtomicU64,
    failed: AtomicU64,
    unsent: AtomicU64,
    in_flight: AtomicU64,
    acks: Mutex<Samples>,
    searches: Mutex<Samples>,
    search_errors: AtomicU64,
}

struct Bench {
    connection: Connection,
    args: WriteArgs,
    next_id: AtomicU64,
    /// Ids acknowledged, by namespace: each must be there at the end.
    written: Mutex<BTreeMap<String, Vec<u64>>>,
    groups: Vec<String>,
}

/// Looks for the highest rate, holds it, and measures at 70 % and 200 % of it.
pub async fn measure_writes(args: WriteArgs) -> anyhow::Result<Value> {
    let connection = Connection::open(&args.target).await?;
    for n in 0..args.namespaces {
        connection.ensure_namespace(&namespace(n)).await?;
    }
    let request = connection.request(GetStatusRequest {}, TIMEOUT)?;
    let status = connection.cluster().get_status(request).await?.into_inner();
    let groups: Vec<String> = status.groups.into_iter().map(|group| group.name).collect();
    ensure!(!groups.is_empty(), "the cluster names no replica group");
    // Ids go on from an earlier run, so that "new" is new.
    let first = connection.clock.unix_ms() * 1_000;
    let bench = Arc::new(Bench {
        connection,
        args,
        next_id: AtomicU64::new(first),
        written: Mutex::default(),
        groups,
    });
    let highest = match bench.args.rate {
        Some(rate) => rate,
        None => bench.find_highest().await?,
    };
    println!("\nhighest rate: {highest:.0} documents a second into {} groups", bench.groups.len());

    let hold = bench.phase(highest, bench.args.hold_seconds, 0.0).await?;
    let hold_lag = bench.lag().await?;
    println!(
        "held for {} s: {}, {hold_lag} records behind at its end",
        bench.args.hold_seconds,
        hold.line()
    );
    bench.until_caught_up().await?;

    let rest = bench.phase(0.0, 15, bench.args.search_rate).await?;
    println!("searches at rest:  {}", rest.searches().line());
    let (fresh, at_70) = bench.freshness(highest * 0.7).await?;
    println!("at 70 %: {}", at_70.line());
    for (group, samples) in &fresh {
        println!("  acknowledged to found in group {group}: {}", samples.line());
    }
    println!("  searches beside it: {}", at_70.searches().line());
    bench.until_caught_up().await?;

    let at_200 =
        bench.phase(highest * 2.0, bench.args.trial_seconds * 3, bench.args.search_rate).await?;
    println!("at 200 %: {}", at_200.line());
    println!("  searches beside it: {}", at_200.searches().line());
    bench.until_caught_up().await?;
    let (checked, lost) = bench.check_all().await?;
    println!("acknowledged documents looked for at the end: {checked}, lost: {lost}");
    Ok(json!({
        "highest_rate": highest,
        "hold": hold.to_json(),
        "hold_lag_records": hold_lag,
        "at_rest_searches": rest.searches().to_json(),
        "at_70": at_70.to_json(),
        "freshness": fresh.iter().map(|(g, s)| (g.clone(), s.to_json())).collect::<BTreeMap<_, _>>(),
        "at_200": at_200.to_json(),
        "checked": checked,
        "lost": lost,
    }))
}

fn namespace(n: usize) -> String {
    format!("bench-{n:03}")
}

impl Bench {
    /// Doubles until the backlog grows or writes are pushed back, then halves the interval five times.
    async fn find_highest(self: &Arc<Self>) -> anyhow::Result<f64> {
        let (mut good, mut bad) = (0.0, f64::INFINITY);
        let mut rate = self.args.start_rate;
        for _ in 0..12 {
            let phase = self.phase(rate, self.args.trial_seconds, 0.0).await?;
            let lag = self.lag().await?;
            let allowed = self.args.lag_max.saturating_add(whole(rate));
            let is_good = phase.pushed_back.load(Ordering::Relaxed) == 0
                && phase.unsent.load(Ordering::Relaxed) == 0
                && phase.failed.load(Ordering::Relaxed) == 0
                && lag <= allowed;
            let verdict = if is_good { "holds" } else { "too much" };
            println!("trial {rate:6.0}/s: {verdict}; {}, {lag} behind", phase.line());
            self.until_caught_up().await?;
            if is_good {
                good = rate
            } else {
                bad = rate
            }
            if bad.is_infinite() {
                rate *= 2.0;
            } else if bad - good < good * 0.06 {
                break;
            } else {
                rate = (good + bad) / 2.0;
            }
        }
        ensure!(good > 0.0, "not even {} documents a second hold", self.args.start_rate);
        Ok(good)
    }

    /// Writes at `rate` for some seconds, with searches beside it, however long answers take.
    async fn phase(
        self: &Arc<Self>,
        rate: f64,
        seconds: u64,
        search_rate: f64,
    ) -> anyhow::Result<Arc<Phase>> {
        let phase = Arc::new(Phase::default());
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        let begin = self.connection.clock.now();
        let end = begin + Duration::from_secs(seconds);
        let mut draws = Draws::new(self.args.seed ^ self.next_id.load(Ordering::Relaxed));
        let batches_a_second = rate / f64::from(self.args.batch);
        let (mut next_write, mut next_search) = (begin, begin);
        loop {
            let write_at = if rate > 0.0 { next_write } else { end };
            let search_at = if search_rate > 0.0 { next_search } else { end };
            let at = write_at.min(search_at);
            if at >= end {
                tokio::time::sleep_until(end.into()).await;
                break;
            }
            tokio::time::sleep_until(at.into()).await;
            if write_at <= search_at {
                next_write += Duration::from_secs_f64(1.0 / batches_a_second);
                self.send_batch(&mut tasks, &phase, &mut draws);
            } else {
                next_search += Duration::from_secs_f64(1.0 / search_rate);
                self.send_search(&mut tasks, &phase, &mut draws);
            }
        }
        // What is on its way is waited for, and counts.
        tokio::time::timeout(TIMEOUT, async {
            while phase.in_flight.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .context("batches did not come back")?;
        tasks.drain(TIMEOUT).await.log_laggards();
        Ok(phase)
    }

    fn send_batch(self: &Arc<Self>, tasks: &mut TaskGroup, phase: &Arc<Phase>, draws: &mut Draws) {
        if phase.in_flight.load(Ordering::Acquire) >= IN_FLIGHT_MAX {
            phase.unsent.fetch_add(self.args.batch.into(), Ordering::Relaxed);
            return;
        }
        let name = namespace(usize::try_from(draws.next()).unwrap_or(0) % self.args.namespaces);
        let mut ids = Vec::new();
        let old = {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let of_namespace = written.get(&name);
            let old = of_namespace.filter(|ids| !ids.is_empty());
            (0..self.args.batch)
                .map(|_| {
                    let is_edit = draws.next() % 100 < self.args.edits;
                    let ids = old.filter(|_| is_edit)?;
                    ids.get(usize::try_from(draws.next()).unwrap_or(0) % ids.len()).copied()
                })
                .collect::<Vec<_>>()
        };
        let writes = old.into_iter().map(|old| {
            let id = old.unwrap_or_else(|| self.next_id.fetch_add(1, Ordering::Relaxed));
            if old.is_none() {
                ids.push(id);
            }
            write(draws, &name, format!("d{id}"), "")
        });
        let message = WriteRequest { writes: writes.collect() };
        let (bench, phase) = (Arc::clone(self), Arc::clone(phase));
        phase.in_flight.fetch_add(1, Ordering::AcqRel);
        phase.sent.fetch_add(self.args.batch.into(), Ordering::Relaxed);
        tasks.spawn_finite("write", |_| async move {
            bench.write_batch(&phase, name, ids, message).await;
            phase.in_flight.fetch_sub(1, Ordering::AcqRel);
        });
    }

    async fn write_batch(&self, phase: &Phase, name: String, ids: Vec<u64>, message: WriteRequest) {
        let count = u64::try_from(message.writes.len()).unwrap_or(0);
        let sent = self.connection.clock.now();
        let Ok(request) = self.connection.request(message, TIMEOUT) else {
            phase.failed.fetch_add(count, Ordering::Relaxed);
            return;
        };
        match self.connection.ingest().write(request).await {
            Ok(answer) if answer.get_ref().results.iter().all(|r| r.error.is_none()) => {
                phase.acknowledged.fetch_add(count, Ordering::Relaxed);
                let took = self.connection.clock.now().saturating_duration_since(sent);
                phase.acks.lock().unwrap_or_else(PoisonError::into_inner).add(took);
                let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                written.entry(name).or_default().extend(ids);
            }
            Err(status) if status.code() == Code::ResourceExhausted => {
                phase.pushed_back.fetch_add(count, Ordering::Relaxed);
            }
            Ok(_) | Err(_) => {
                phase.failed.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    fn send_search(self: &Arc<Self>, tasks: &mut TaskGroup, phase: &Arc<Phase>, draws: &mut Draws) {
        let message = SearchRequest {
            query: format!("{} {}", draws.word(), draws.word()),
            namespaces: vec![namespace(
                usize::try_from(draws.next()).unwrap_or(0) % self.args.namespaces,
            )],
            ..SearchRequest::default()
        };
        let (bench, phase) = (Arc::clone(self), Arc::clone(phase));
        phase.in_flight.fetch_add(1, Ordering::AcqRel);
        tasks.spawn_finite("search", |_| async move {
            let sent = bench.connection.clock.now();
            let answer = match bench.connection.request(message, TIMEOUT) {
                Ok(request) => bench.connection.search().search(request).await.ok(),
                Err(_) => None,
            };
            let took = bench.connection.clock.now().saturating_duration_since(sent);
            if answer.is_some() {
                phase.searches.lock().unwrap_or_else(PoisonError::into_inner).add(took);
            } else {
                phase.search_errors.fetch_add(1, Ordering::Relaxed);
            }
            phase.in_flight.fetch_sub(1, Ordering::AcqRel);
        });
    }

    /// Writes at `rate`, and beside it single documents, each looked for in every group from its acknowledgement on.
    async fn freshness(
        self: &Arc<Self>,
        rate: f64,
    ) -> anyhow::Result<(BTreeMap<String, Samples>, Arc<Phase>)> {
        const SAMPLES_A_SECOND: u64 = 20;
        let seconds =
            u64::try_from(self.args.freshness_samples).unwrap_or(0) / SAMPLES_A_SECOND + 5;
        let load = self.phase(rate, seconds, self.args.search_rate);
        let probes = self.probe(Duration::from_millis(1_000 / SAMPLES_A_SECOND));
        let (load, fresh) = tokio::join!(load, probes);
        Ok((fresh?, load?))
    }

    async fn probe(self: &Arc<Self>, every: Duration) -> anyhow::Result<BTreeMap<String, Samples>> {
        let mut fresh = BTreeMap::<String, Samples>::new();
        let mut draws = Draws::new(self.args.seed);
        let mut at: Instant = self.connection.clock.now();
        for n in 0..self.args.freshness_samples {
            tokio::time::sleep_until(at.into()).await;
            at = (at + every).max(self.connection.clock.now());
            let name = namespace(n % self.args.namespaces);
            let mark = format!("fresh{}", self.next_id.fetch_add(1, Ordering::Relaxed));
            let message =
                WriteRequest { writes: vec![write(&mut draws, &name, mark.clone(), &mark)] };
            let request = self.connection.request(message, TIMEOUT)?;
            let answer = self.connection.ingest().write(request).await?.into_inner();
            let acknowledged = self.connection.clock.now();
            let looks = self.groups.iter().map(|group| {
                self.look_for(&name, &mark, group, &answer.consistency_token, acknowledged)
            });
            for (group, took) in self.groups.iter().zip(futures::future::join_all(looks).await) {
                fresh.entry(group.clone()).or_default().add(took?);
            }
        }
        Ok(fresh)
    }

    /// From the acknowledgement until the group has shown the document; the token makes it wait until it can.
    async fn look_for(
        &self,
        name: &str,
        mark: &str,
        group: &str,
        token: &str,
        acknowledged: Instant,
    ) -> anyhow::Result<Duration> {
        let message = SearchRequest {
            query: mark.to_owned(),
            match_mode: MatchMode::All.into(),
            namespaces: vec![name.to_owned()],
            view: View::Ids.into(),
            consistency_token: token.to_owned(),
            replica_group: group.to_owned(),
            ..SearchRequest::default()
        };
        let request = self.connection.request(message, TIMEOUT)?;
        let answer = self.connection.search().search(request).await?.into_inner();
        ensure!(
            answer.total_hits == 1,
            "{mark} was acknowledged and is not found in group {group}"
        );
        Ok(self.connection.clock.now().saturating_duration_since(acknowledged))
    }

    /// Records not yet applied, of the partition and group where most wait.
    async fn lag(&self) -> anyhow::Result<u64> {
        let request = self.connection.request(GetStatusRequest {}, TIMEOUT)?;
        let status = self.connection.cluster().get_status(request).await?.into_inner();
        let lag = status.partitions.iter().map(|partition| {
            let applied = partition.label.as_ref().map_or(0, |label| label.next_offset);
            partition.log_high_offset.saturating_sub(applied)
        });
        Ok(lag.max().unwrap_or(0))
    }

    async fn until_caught_up(&self) -> anyhow::Result<()> {
        let caught_up = async {
            while self.lag().await? > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(300), caught_up).await.context("catch up")?
    }

    /// Lists every namespace and looks for each id that was acknowledged.
    async fn check_all(&self) -> anyhow::Result<(usize, usize)> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut checked, mut lost) = (0, 0);
        for (name, ids) in written {
            let mut there = std::collections::BTreeSet::new();
            let mut page_token = String::new();
            loop {
                let message = ListDocumentsRequest {
                    namespace: name.clone(),
                    page_size: 1_000,
                    page_token,
                    latest: true,
                    ..ListDocumentsRequest::default()
                };
                let request = self.connection.request(message, TIMEOUT)?;
                let page = self.connection.search().list_documents(request).await?.into_inner();
                there.extend(page.documents.into_iter().map(|document| document.document_id));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            checked += ids.len();
            lost += ids.iter().filter(|id| !there.contains(&format!("d{id}"))).count();
        }
        Ok((checked, lost))
    }
}

impl Phase {
    fn searches(&self) -> Samples {
        self.searches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(&self) -> String {
        let acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "{} sent, {} acknowledged (p50 {:.1} ms, p99 {:.1}), {} pushed back, {} failed, {} not sent, {} searches failed",
            self.sent.load(Ordering::Relaxed),
            self.acknowledged.load(Ordering::Relaxed),
            acks.percentile(0.5),
            acks.percentile(0.99),
            self.pushed_back.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
            self.unsent.load(Ordering::Relaxed),
            self.search_errors.load(Ordering::Relaxed),
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "sent": self.sent.load(Ordering::Relaxed),
            "acknowledged": self.acknowledged.load(Ordering::Relaxed),
            "pushed_back": self.pushed_back.load(Ordering::Relaxed),
            "failed": self.failed.load(Ordering::Relaxed),
            "not_sent": self.unsent.load(Ordering::Relaxed),
            "acks": self.acks.lock().unwrap_or_else(PoisonError::into_inner).to_json(),
            "searches": self.searches().to_json(),
            "searches_failed": self.search_errors.load(Ordering::Relaxed),
        })
    }
}

fn whole(rate: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "documents a second: positive and far below 2^53"
    )]
    let whole = rate as u64;
    whole
}
