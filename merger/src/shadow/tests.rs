use proptest::prelude::*;

use super::*;
use nautilus_types::{Incarnation, NamespaceName};

fn document(number: u8) -> (Namespace, DocumentId) {
    let name = NamespaceName::new(format!("n{}", number % 2)).expect("valid");
    let id = DocumentId::new(format!("d{number}").as_bytes()).expect("valid");
    ((name, Incarnation(1)), id)
}

fn answered(numbers: &[u8], total_hits: u64, took_ms: u64) -> Answered {
    Answered {
        documents: numbers.iter().copied().map(document).collect(),
        total_hits,
        is_partial: false,
        is_truncated: false,
        took: Duration::from_millis(took_ms),
    }
}

fn page() -> impl Strategy<Value = Vec<u8>> {
    let numbers = (0..30_u8).collect::<Vec<_>>();
    proptest::sample::subsequence(numbers, 0..=10).prop_shuffle()
}

fn pages(shown: &[u8], candidate: &[u8]) -> Pages {
    let compared = compare(&answered(shown, 1, 1), &answered(candidate, 1, 1));
    compared.pages.expect("both are whole")
}

proptest! {
    #[test]
    fn an_overlap_is_a_share_either_way(shown in page(), candidate in page()) {
        let (there, back) = (pages(&shown, &candidate), pages(&candidate, &shown));
        prop_assert!((0.0..=1.0).contains(&there.overlap));
        prop_assert_eq!(there.overlap.to_bits(), back.overlap.to_bits());
        prop_assert_eq!(there.are_equal, shown == candidate);
        prop_assert_eq!(there.is_same_first, shown.first() == candidate.first());
        if there.are_equal {
            prop_assert_eq!(there.overlap.to_bits(), 1.0_f64.to_bits());
            prop_assert!(there.is_same_first);
        }
        let mut sorted = [shown.clone(), candidate.clone()];
        sorted.iter_mut().for_each(|page| page.sort_unstable());
        prop_assert_eq!(there.overlap >= 1.0, sorted[0] == sorted[1], "order is no matter");
    }

    #[test]
    fn a_tally_adds_up(
        outcomes in proptest::collection::vec(
            (page(), page(), 0..3_u64, 0..3_u64, 0..3_u64, any::<bool>(), 0..4_u8), 0..40),
    ) {
        let mut tally = Tally::new("new", 7);
        let (mut took, mut count) = (0, [0_u64; 4]);
        for (shown, candidate, hits, of_candidate, ms, is_partial, kind) in &outcomes {
            let shown = answered(shown, *hits, 1);
            let candidate = answered(candidate, *of_candidate, *ms);
            let candidate = Answered { is_partial: *is_partial, ..candidate };
            let outcome = match kind {
                0 => Outcome::Failed,
                1 => Outcome::Dropped,
                _ => Outcome::Answered(compare(&shown, &candidate)),
            };
            match &outcome {
                Outcome::Failed => count[0] += 1,
                Outcome::Dropped => count[1] += 1,
                Outcome::Answered(_) => {
                    count[if *is_partial { 2 } else { 3 }] += 1;
                    took += ms * 1_000;
                }
            }
            tally.add(&outcome);
        }
        let report = tally.report();
        let counted = [report.failed, report.dropped, report.incomplete, report.compared];
        prop_assert_eq!(counted, count);
        prop_assert_eq!(report.candidate_us, took);
        prop_assert_eq!(report.candidate_partial, report.incomplete);
        let compared = f64::from(u32::try_from(report.compared).expect("few"));
        prop_assert!((0.0..=compared).contains(&report.overlap_sum));
        prop_assert!(report.same_order <= report.same_first);
        prop_assert!(report.same_first <= report.compared);
        prop_assert!(report.more_hits + report.fewer_hits <= report.compared);
        prop_assert!(tally.is_of("new") && !tally.is_of(""));
    }
}

#[test]
fn pages_are_compared_by_their_documents() {
    let half = pages(&[1, 2], &[3, 2]);
    assert_eq!((half.overlap, half.is_same_first), (0.5, false));
    // The longer page counts: what one of them lacks is missing.
    let more = pages(&[1, 2], &[1, 2, 3, 4]);
    assert_eq!((more.overlap, more.is_same_first, more.are_equal), (0.5, true, false));
    assert_eq!(pages(&[1], &[]).overlap, 0.0);
    let none = pages(&[], &[]);
    assert_eq!((none.overlap, none.are_equal, none.is_same_first), (1.0, true, true));
    // The same id elsewhere is another document.
    let mut elsewhere = answered(&[1], 1, 1);
    elsewhere.documents[0].0.1 = Incarnation(2);
    let compared = compare(&answered(&[1], 1, 1), &elsewhere);
    assert_eq!(compared.pages.expect("whole").overlap, 0.0);
}

#[test]
fn what_is_not_whole_is_not_compared() {
    let whole = answered(&[1], 3, 1);
    let partial = Answered { is_partial: true, ..whole.clone() };
    let truncated = Answered { is_truncated: true, ..whole.clone() };
    let compared = compare(&whole, &partial);
    assert_eq!((compared.pages, compared.are_partial), (None, (false, true)));
    let compared = compare(&truncated, &whole);
    assert_eq!((compared.pages, compared.are_truncated), (None, (true, false)));
    let fewer = compare(&whole, &answered(&[1], 2, 9));
    assert_eq!(fewer.pages.expect("whole").hits, Ordering::Less);
}
