use nautilus_service::Clock;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn prospect(latency_ms: u32, in_flight: u32) -> Prospect {
    Prospect {
        availability: Availability::Available,
        standing: Standing::Serving,
        is_behind: false,
        latency: Some(MS * latency_ms),
        in_flight,
    }
}

/// A random number that neither explores nor probes, and draws `first` before others.
fn plain(first: u64) -> u64 {
    (first << 16) | 1
}

#[test]
fn the_cheaper_of_two_is_asked() {
    let cases = [
        ([prospect(10, 0), prospect(2, 0)], 1),
        ([prospect(10, 0), prospect(2, 3)], 1),
        ([prospect(10, 0), prospect(2, 5)], 0),
        ([prospect(2, 0), prospect(2, 1)], 0),
    ];
    for (prospects, expected) in cases {
        for first in 0..2 {
            let chosen = choose(&prospects, plain(first));
            assert_eq!(chosen, Some((expected, Reason::Fastest)), "{prospects:?}");
        }
    }
    assert_eq!(choose(&[], plain(0)), None);
    assert_eq!(choose(&[prospect(1, 9)], 0), Some((0, Reason::Only)));
}

#[test]
fn fitness_comes_before_cost() {
    let (slow, fast) = (prospect(100, 9), prospect(1, 0));
    let unavailable = Prospect { availability: Availability::Unavailable, ..fast };
    let behind = Prospect { is_behind: true, ..fast };
    let draining = Prospect { standing: Standing::Draining, ..fast };
    let drained = Prospect { standing: Standing::GroupDrained, ..fast };
    let outdated = Prospect { standing: Standing::Outdated, ..fast };
    for worse in [unavailable, behind, draining, drained, outdated] {
        for random in [0, plain(0), plain(1), u64::MAX] {
            assert_eq!(choose(&[worse, slow], random), Some((1, Reason::Only)), "{worse:?}");
        }
    }
    // What is behind may catch up while it waits; what is unavailable answers nobody.
    assert_eq!(choose(&[unavailable, behind], 0), Some((1, Reason::Only)));
    assert_eq!(choose(&[behind, draining], 0), Some((1, Reason::Only)));
    // A drained group is the last that is asked of those that can answer as well.
    assert_eq!(choose(&[drained, draining], 0), Some((1, Reason::Only)));
    assert_eq!(choose(&[drained, behind], 0), Some((0, Reason::Only)));
    assert_eq!(choose(&[drained, unavailable], 0), Some((0, Reason::Only)));
    assert_eq!(choose(&[drained, outdated], 0), Some((0, Reason::Only)));
}

#[test]
fn the_unknown_is_tried_while_idle() {
    let unknown = Prospect { latency: None, ..prospect(0, 0) };
    let busy = Prospect { in_flight: 1, ..unknown };
    assert_eq!(choose(&[prospect(1, 0), unknown], plain(0)), Some((1, Reason::Explore)));
    assert_eq!(choose(&[prospect(1, 0), busy], plain(0)), Some((0, Reason::Fastest)));
    assert_eq!(choose(&[busy, unknown], plain(0)), Some((1, Reason::Explore)));
}

#[test]
fn now_and_then_another_is_explored() {
    let prospects = [prospect(5, 0), prospect(9, 0)];
    assert_eq!(choose(&prospects, 0), Some((1, Reason::Explore)));
    assert_eq!(choose(&prospects, 64), Some((1, Reason::Explore)));
    assert_eq!(choose(&prospects, 65), Some((0, Reason::Fastest)));
    // The slower it is the less often: here by 9, and at most by 16.
    let explored = |dear_ms| {
        let prospects = [prospect(1, 0), prospect(dear_ms, 0)];
        let chosen = |random| choose(&prospects, random) == Some((1, Reason::Explore));
        (0..0x1_0000).filter(|&random| chosen(random)).count()
    };
    assert_eq!((explored(1), explored(9)), (1_024, 0x1_0000_usize.div_ceil(64 * 9)));
    assert_eq!((explored(16), explored(900)), (64, 64));
    let probing = Prospect { availability: Availability::Probing, ..prospect(1, 0) };
    let prospects = [prospect(9, 0), probing];
    assert_eq!(choose(&prospects, 4), Some((1, Reason::Explore)));
    assert_eq!(choose(&prospects, 5), Some((0, Reason::Fastest)), "only probes go there");
}

#[test]
fn probation_returns_exponentially_and_ends_with_an_answer() {
    let start = Clock::system().now();
    let mut record = ReplicaRecord::default();
    let mut now = start;
    for expected_ms in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        record.started();
        record.failed(now);
        // Those under way at the same time fail for the same cause.
        record.started();
        record.failed(now + MS);
        let end = now + MS * expected_ms;
        assert_eq!(record.availability(end - MS), Availability::Unavailable, "{expected_ms}");
        assert_eq!(record.availability(end), Availability::Probing, "{expected_ms}");
        now = end;
    }
    record.started();
    assert_eq!(record.availability(now), Availability::Unavailable, "one probe at a time");
    record.succeeded(MS);
    assert_eq!(record.availability(start), Availability::Available);
}

#[test]
fn latency_follows_and_abandoned_requests_only_raise_it() {
    let mut record = ReplicaRecord::default();
    let answered = |record: &mut ReplicaRecord, ms| {
        record.started();
        record.succeeded(MS * ms);
    };
    answered(&mut record, 8);
    assert_eq!(record.latency(), Some(MS * 8));
    answered(&mut record, 4);
    assert_eq!(record.latency(), Some(MS * 7));
    record.started();
    record.abandoned(MS);
    assert_eq!(record.latency(), Some(MS * 7), "cut off early says nothing");
    record.started();
    record.abandoned(MS * 107);
    assert_eq!(record.latency(), Some(MS * 32));
}

/// Plays requests that arrive one each millisecond against replicas of these latencies.
fn play(latencies_ms: &[u32], requests: u32, seed: u64) -> Vec<u32> {
    let mut records = vec![ReplicaRecord::default(); latencies_ms.len()];
    let mut under_way: Vec<(u32, usize, u32)> = Vec::new();
    let mut counts = vec![0; latencies_ms.len()];
    let mut random = seed | 1;
    for now in 0..requests {
        under_way.retain(|&(end, index, took)| {
            let is_done = end <= now;
            if is_done {
                records[index].succeeded(MS * took);
            }
            !is_done
        });
        let in_flight = |index| under_way.iter().filter(|(_, i, _)| *i == index).count();
        let prospects: Vec<_> = (0..records.len())
            .map(|index| Prospect {
                latency: records[index].latency(),
                in_flight: u32::try_from(in_flight(index)).expect("few"),
                ..prospect(0, 0)
            })
            .collect();
        // xorshift64 (Marsaglia, 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (index, _) = choose(&prospects, random).expect("there are some");
        records[index].started();
        counts[index] += 1;
        under_way.push((now + latencies_ms[index], index, latencies_ms[index]));
    }
    counts
}

proptest! {
    /// An unavailable replica is never chosen when another is there, nor one behind when another of
    /// the available ones is not.
    #[test]
    fn the_unfit_are_never_chosen_when_others_are_there(
        states in proptest::collection::vec(
            (0..3_u8, any::<bool>(), 0..3_u8, proptest::option::of(0..50_u32), 0..9_u32), 1..7),
        random in any::<u64>(),
    ) {
        let prospects: Vec<_> = states.iter().map(|&(availability, is_behind, standing, ms, in_flight)| {
            Prospect {
                availability: [Availability::Available, Availability::Probing, Availability::Unavailable]
                    [usize::from(availability)],
                standing: [Standing::Serving, Standing::Draining, Standing::Outdated][usize::from(standing)],
                is_behind,
                latency: ms.map(|ms| MS * ms),
                in_flight,
            }
        }).collect();
        let (index, reason) = choose(&prospects, random).expect("there are some");
        let chosen = &prospects[index];
        if chosen.availability == Availability::Unavailable {
            prop_assert!(prospects.iter().all(|p| p.availability == Availability::Unavailable));
        } else if chosen.is_behind {
            let is_usable = |p: &&Prospect| p.availability != Availability::Unavailable;
            prop_assert!(prospects.iter().filter(is_usable).all(|p| p.is_behind));
        }
        prop_assert!(matches!(reason, Reason::Only | Reason::Fastest | Reason::Explore));
    }

    #[test]
    fn load_spreads_over_equals(seed in any::<u64>(), count in 2..5_usize, ms in 1..20_u32) {
        let counts = play(&vec![ms; count], 2_000, seed);
        let fair = 2_000 / u32::try_from(count).expect("few");
        for of_one in &counts {
            prop_assert!((fair / 2..fair * 2).contains(of_one), "{counts:?}");
        }
    }

    #[test]
    fn a_slow_replica_gets_little_but_not_nothing(seed in any::<u64>(), fast_ms in 1..4_u32) {
        let counts = play(&[fast_ms, fast_ms * 30], 2_000, seed);
        prop_assert!((1..200).contains(&counts[1]), "{counts:?}");
    }
}
