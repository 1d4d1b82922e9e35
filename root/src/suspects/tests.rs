use nautilus_service::Clock;
use proptest::prelude::*;

use super::*;

const F: Fingerprint = Fingerprint(7);
const P: PartitionId = PartitionId(0);
const SECOND: Duration = Duration::from_secs(1);

/// Leaf `number` of group `group` is lost after `at` since the beginning.
fn loss(group: &str, number: u32, at: Duration) -> Loss {
    Loss {
        fingerprint: F,
        partition: P,
        group: GroupName::new(group).expect("valid"),
        leaf: LeafName::new(format!("leaf-{number}")).expect("valid"),
        unix_ms: 1_000_000 + u64::try_from(at.as_millis()).expect("fits"),
    }
}

struct World {
    suspects: Suspects,
    began: Instant,
}

impl World {
    fn new() -> Self {
        Self { suspects: Suspects::default(), began: Clock::system().now() }
    }

    fn lost(&mut self, loss: &Loss, at: Duration) -> Verdict {
        let now_unix_ms = 1_000_000 + u64::try_from(at.as_millis()).expect("fits");
        self.suspects.lost(loss, self.began + at, now_unix_ms)
    }

    fn refused_for(&self, at: Duration) -> Option<Duration> {
        self.suspects.refused_for(F, self.began + at)
    }
}

#[test]
fn the_first_death_allows_a_retry_and_the_second_none() {
    let mut world = World::new();
    assert_eq!(world.lost(&loss("a", 1, SECOND), SECOND), Verdict::RetryOnce);
    assert!(world.suspects.is_suspect(F, P, world.began + SECOND));
    assert_eq!(world.refused_for(SECOND), None);
    assert_eq!(world.lost(&loss("b", 1, SECOND), SECOND), Verdict::Contained);
    assert_eq!(world.refused_for(SECOND), Some(MEMORY));
    assert_eq!(world.suspects.counts(world.began + SECOND), (1, 1));
    let later = SECOND + MEMORY;
    assert_eq!(world.refused_for(later), None, "it ends");
    world.suspects.forget(world.began + later);
    assert!(world.suspects.is_empty());
}

#[test]
fn one_death_seen_twice_is_one() {
    let mut world = World::new();
    for at in [SECOND, SECOND * 2] {
        assert_eq!(world.lost(&loss("a", 1, at), at), Verdict::RetryOnce);
    }
    // The same leaf started again and died again.
    assert_eq!(world.lost(&loss("a", 1, SECOND * 9), SECOND * 9), Verdict::Contained);
}

#[test]
fn a_whole_group_lost_is_one_death_of_each_partition() {
    let mut world = World::new();
    for number in 0..3 {
        let of_group = Loss { partition: PartitionId(number), ..loss("a", number, SECOND) };
        assert_eq!(world.lost(&of_group, SECOND), Verdict::RetryOnce);
    }
    assert_eq!(world.refused_for(SECOND), None);
}

#[test]
fn an_answer_clears_what_was_lost_before_it_was_asked_for() {
    let mut world = World::new();
    world.lost(&loss("a", 1, SECOND), SECOND);
    let at = |time| world.began + time;
    world.suspects.answered(F, P, at(SECOND / 2));
    assert!(world.suspects.is_suspect(F, P, at(SECOND)), "it was sent before");
    world.suspects.answered(F, PartitionId(1), at(SECOND * 2));
    assert!(world.suspects.is_suspect(F, P, at(SECOND)), "another partition says nothing");
    world.suspects.answered(F, P, at(SECOND * 2));
    assert!(!world.suspects.is_suspect(F, P, at(SECOND * 2)));
    // What is learned again of the same death changes nothing.
    world.lost(&loss("a", 1, SECOND), SECOND * 3);
    assert!(!world.suspects.is_suspect(F, P, world.began + SECOND * 3));
    assert_eq!(world.lost(&loss("b", 1, SECOND * 4), SECOND * 4), Verdict::RetryOnce);
}

#[test]
fn what_others_tell_late_ends_when_theirs_does() {
    let mut world = World::new();
    let told = SECOND * 500;
    world.lost(&loss("a", 1, SECOND), told);
    world.lost(&loss("b", 1, SECOND), told);
    assert_eq!(world.refused_for(told), Some(SECOND * 101));
    let mut world = World::new();
    world.lost(&loss("a", 1, SECOND), SECOND * 700);
    assert!(world.suspects.is_empty(), "too old to count");
}

#[test]
fn memory_is_bounded() {
    let mut world = World::new();
    for number in 0..u64::try_from(FINGERPRINTS_MAX).expect("fits") + 5 {
        let at = Duration::from_millis(number);
        let loss = Loss { fingerprint: Fingerprint(number), ..loss("a", 1, at) };
        world.lost(&loss, at);
    }
    assert_eq!(world.suspects.deaths.len(), FINGERPRINTS_MAX);
    assert!(!world.suspects.deaths.contains_key(&Fingerprint(4)));
    assert!(world.suspects.deaths.contains_key(&Fingerprint(5)));
}

proptest! {
    /// Roots that send a request which kills every leaf it meets lose at most two leaves of a partition with it,
    /// however it is tried, as long as each tells the others before it is tried again.
    #[test]
    fn what_always_kills_costs_two_leaves(
        tries in proptest::collection::vec((0..3_usize, 0..1_000_u64), 1..40),
    ) {
        let mut worlds = [World::new(), World::new(), World::new()];
        let mut at = Duration::ZERO;
        let mut dead = 0;
        for (root, pause_ms) in tries {
            at += Duration::from_millis(pause_ms);
            let mut verdict = Verdict::RetryOnce;
            // The request and its one retry.
            for _ in 0..2 {
                if verdict == Verdict::Contained || worlds[root].refused_for(at).is_some() {
                    break;
                }
                let loss = loss("a", dead, at);
                dead += 1;
                verdict = worlds[root].lost(&loss, at);
                for other in &mut worlds {
                    other.lost(&loss, at);
                }
            }
        }
        prop_assert!(dead <= 2, "{} leaves", dead);
    }

    /// A request that is answered is never refused, however many leaves are lost beside it, one at a time.
    #[test]
    fn what_answers_is_never_refused(
        deaths in proptest::collection::vec((0..4_u32, 1..5_000_u64), 1..40),
    ) {
        let mut world = World::new();
        let mut at = Duration::ZERO;
        for (leaf, pause_ms) in deaths {
            at += Duration::from_millis(pause_ms);
            prop_assert_eq!(world.lost(&loss("a", leaf, at), at), Verdict::RetryOnce);
            world.suspects.answered(F, P, world.began + at);
            prop_assert_eq!(world.refused_for(at), None);
        }
    }
}
