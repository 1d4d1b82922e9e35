//! Two partitions on two cores against one that holds the documents of both.

use std::path::Path;

use anyhow::{Context, Result};
use nautilus_engine::{Mutation, Partition, ScopeEntry, SearchRequest, Unlimited};
use nautilus_query::Node;

use crate::engine::data::{Corpus, Id};
use crate::engine::exhaustive::PAGE;
use crate::engine::ours::{self, Ours, upsert};
use crate::engine::queries::{self, Band, Class, Profile};
use crate::engine::report::{Line, Target};
use crate::engine::rounds::whole_cpu;
use crate::measure::{Random, Samples, Watch};

/// Times each query is asked in a round by one thread.
const ASKED: usize = 40;

/// Apply and searches, by the clock; CPU a document as well.
pub(crate) fn two(dir: &Path, corpus: &Corpus, rounds: usize, seed: u64) -> Result<Vec<Line>> {
    // Even namespaces in one, odd ones in the other.
    let half = |id: &Id| corpus.owner(*id).is_multiple_of(2);
    let mutation = |id: Id| upsert(corpus.owner(id), id, corpus.text(&corpus.document(id)));
    let mutations: Vec<Mutation> = (0..corpus.len()).map(mutation).collect::<Result<_>>()?;
    let (even, odd): (Vec<Id>, Vec<Id>) = (0..corpus.len()).partition(half);
    let rate = |seconds: f64| mutations.len() as f64 / seconds;
    let micros = |cpu: f64| cpu * 1e6 / mutations.len() as f64;
    let (mut apart, mut together) = (Samples::default(), Samples::default());
    let (mut cpu_apart, mut cpu_together) = (Samples::default(), Samples::default());
    let (mut searched_by_two, mut searched_by_one) = (Samples::default(), Samples::default());
    let queries = [0, 1].map(|namespace| searches(corpus, namespace, seed));
    let [first_queries, second_queries] = queries;
    let (first_queries, second_queries) = (first_queries?, second_queries?);
    for _ in 0..rounds {
        let resources = ours::resources();
        let mut first = Ours::open_with(&dir.join("first"), &resources)?;
        let mut second = Ours::open_with(&dir.join("second"), &resources)?;
        let mut one = Ours::open_with(&dir.join("one"), &resources)?;
        let (cpu, wall) = whole_cpu(|| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| apply(&mut second, &mutations, &odd));
                apply(&mut first, &mutations, &even)?;
                other.join().ok().context("the second applier panicked")?
            })
        })?;
        apart.push(rate(wall));
        cpu_apart.push(micros(cpu));
        let all: Vec<Id> = (0..corpus.len()).collect();
        let (cpu, wall) = whole_cpu(|| apply(&mut one, &mutations, &all))?;
        together.push(rate(wall));
        cpu_together.push(micros(cpu));
        first.settle()?;
        second.settle()?;
        let (a, b) = (&first.partition, &second.partition);
        search(a, &first_queries)?;
        search(b, &second_queries)?;
        let watch = Watch::start();
        search(a, &first_queries)?;
        search(b, &second_queries)?;
        searched_by_one.push(1e6 / watch.micros());
        let watch = Watch::start();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| search(b, &second_queries));
            search(a, &first_queries)?;
            other.join().ok().context("the second searcher panicked")?
        })?;
        searched_by_two.push(1e6 / watch.micros());
        drop((first, second, one));
        for name in ["first", "second", "one"] {
            std::fs::remove_dir_all(dir.join(name))?;
        }
    }
    let total = ((first_queries.len() + second_queries.len()) * ASKED) as f64;
    let per_second = |samples: &Samples| -> Samples { samples.iter().map(|s| s * total).collect() };
    let line = |name: &str, unit, ours: &Samples, peer: &Samples, target| {
        let line = Line::of_rounds(format!("two-partitions/{name}"), unit, ours, peer, target);
        line.noted("peer: ours, one")
    };
    Ok(vec![
        line("apply", "documents/s", &apart, &together, Target::RatioAtLeast(1.5)),
        line("cpu-a-document", "CPU µs", &cpu_apart, &cpu_together, Target::RatioAtMost(1.1)),
        line(
            "searches",
            "searches/s",
            &per_second(&searched_by_two),
            &per_second(&searched_by_one),
            Target::RatioAtLeast(1.8),
        ),
    ])
}

fn apply(engine: &mut Ours, mutations: &[Mutation], ids: &[Id]) -> Result<()> {
    for &id in ids {
        engine.apply(&mutations[id as usize])?;
    }
    engine.flush()
}

fn searches(corpus: &Corpus, namespace: u32, seed: u64) -> Result<Vec<(ScopeEntry, Node)>> {
    let profiles = Profile::of(corpus, &[namespace]);
    let mut random = Random::new(seed);
    let mut all = Vec::new();
    for class in [Class::Term, Class::And2, Class::And3, Class::Or] {
        for band in Band::ALL {
            for query in queries::draw(corpus, &profiles, (class, band), 5, &mut random) {
                all.push((ours::scope(query.namespace)?, query.node(corpus)));
            }
        }
    }
    Ok(all)
}

fn search(partition: &Partition, queries: &[(ScopeEntry, Node)]) -> Result<()> {
    for _ in 0..ASKED {
        for (scope, node) in queries {
            let request = SearchRequest::new(std::slice::from_ref(scope), node, PAGE);
            let found = partition.searcher().search(&request, &mut Unlimited)?;
            std::hint::black_box(found);
        }
    }
    Ok(())
}
