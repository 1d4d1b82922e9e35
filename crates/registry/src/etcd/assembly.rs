//! Makes whole revisions of what a watch is sent: pure, so that every order of events can be tried.

use std::collections::VecDeque;

use super::seen::corrupt;
use crate::{Change, RegistryError, Revision};

/// The changes of a revision, and the revisions ready to be told.
#[derive(Debug)]
pub(super) struct Assembly {
    /// What comes before is not to be told.
    from: Revision,
    /// The latest that was begun.
    last: Option<Revision>,
    /// One that may get more changes.
    open: Option<(Revision, Vec<Change>)>,
    ready: VecDeque<(Revision, Vec<Change>)>,
}

impl Assembly {
    pub(super) fn new(from: Revision) -> Self {
        Self { from, last: None, open: None, ready: VecDeque::new() }
    }

    /// Where etcd is asked to begin: one revision earlier than wanted. Of the revision it was compacted at
    /// etcd keeps the writes but not the deletions, and yet lets a watch begin there.
    pub(super) fn asked(&self) -> Revision {
        // 0 would be "now", and nothing happens at 1.
        Revision(self.from.0.saturating_sub(1).max(1))
    }

    /// The first revision that is not yet known in full.
    pub(super) fn next(&self) -> Revision {
        match (&self.open, self.last) {
            (Some((open, _)), _) => *open,
            (None, Some(last)) => last.next(),
            (None, None) => self.from,
        }
    }

    /// Takes the next change. One that should not come now is an error: old versions of etcd have been seen
    /// to repeat changes and to go back.
    pub(super) fn push(&mut self, at: Revision, change: Change) -> Result<(), RegistryError> {
        if let Some((open, changes)) = &mut self.open
            && *open == at
        {
            changes.push(change);
            return Ok(());
        }
        if self.last.is_none() && at < self.from && at >= self.asked() {
            return Ok(());
        }
        if at < self.next() || self.last.is_some_and(|last| at <= last) {
            let expected = self.next();
            return Err(corrupt(format!(
                "a watch told of revision {at} when {expected} or later was due"
            )));
        }
        self.close();
        self.open = Some((at, vec![change]));
        self.last = Some(at);
        Ok(())
    }

    /// No more changes of the latest revision will come.
    pub(super) fn close(&mut self) {
        self.ready.extend(self.open.take());
    }

    /// The next whole revision.
    pub(super) fn pop(&mut self) -> Option<(Revision, Vec<Change>)> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(at: u64, key: usize) -> (Revision, Change) {
        (Revision(at), Change::Delete { key: key.to_string(), at: Revision(at) })
    }

    /// Pushes and returns what is ready, or the error.
    fn told(
        assembly: &mut Assembly,
        messages: &[(Vec<(Revision, Change)>, bool)],
    ) -> Result<Vec<(Revision, Vec<Change>)>, RegistryError> {
        for (changes, is_fragment) in messages {
            for (at, change) in changes.clone() {
                assembly.push(at, change)?;
            }
            if !is_fragment {
                assembly.close();
            }
        }
        Ok(std::iter::from_fn(|| assembly.pop()).collect())
    }

    #[test]
    fn a_revision_in_fragments_is_told_whole_and_not_before() {
        let mut assembly = Assembly::new(Revision(5));
        let first = [(vec![change(5, 0), change(6, 0)], true)];
        let ready = told(&mut assembly, &first).unwrap();
        assert_eq!(ready, [(Revision(5), vec![change(5, 0).1])]);
        assert_eq!(assembly.next(), Revision(6));
        let more = [(vec![change(6, 1)], true), (vec![change(6, 2)], false)];
        let ready = told(&mut assembly, &more).unwrap();
        let whole = (0..3).map(|key| change(6, key).1).collect();
        assert_eq!(ready, [(Revision(6), whole)]);
        assert_eq!(assembly.next(), Revision(7));
    }

    #[test]
    fn what_was_asked_too_early_is_dropped() {
        let mut assembly = Assembly::new(Revision(5));
        assert_eq!(assembly.asked(), Revision(4));
        let messages = [(vec![change(4, 0), change(4, 1)], false), (vec![change(5, 0)], false)];
        assert_eq!(told(&mut assembly, &messages).unwrap(), [(Revision(5), vec![change(5, 0).1])]);
        for from in [0, 1, 2] {
            assert_eq!(Assembly::new(Revision(from)).asked(), Revision(1));
        }
    }

    #[test]
    fn what_repeats_or_goes_back_ends_it() {
        for (from, before, then) in [
            (5, vec![], 3),
            (5, vec![6], 4),
            (5, vec![6], 5),
            (5, vec![5], 5),
            (5, vec![5, 8], 8),
            (5, vec![5, 8], 7),
        ] {
            let mut assembly = Assembly::new(Revision(from));
            let messages: Vec<_> = before.iter().map(|at| (vec![change(*at, 0)], false)).collect();
            told(&mut assembly, &messages).unwrap();
            let (at, change) = change(then, 1);
            let error = assembly.push(at, change).unwrap_err();
            assert!(matches!(error, RegistryError::Corrupt { .. }), "{error:?}");
        }
        // Within a revision that is not whole yet, too.
        let mut assembly = Assembly::new(Revision(5));
        told(&mut assembly, &[(vec![change(6, 0), change(7, 0)], true)]).unwrap();
        let (at, change) = change(6, 1);
        assert!(assembly.push(at, change).is_err());
    }

    proptest! {
        /// However a history is cut into messages and fragments, it is told once, whole and in order.
        #[test]
        fn cutting_changes_nothing(
            sizes in prop::collection::vec(0_usize..5, 0..30),
            cuts in prop::collection::vec(any::<(bool, bool)>(), 0..150),
        ) {
            let history: Vec<(Revision, Vec<Change>)> = (3_u64..).zip(sizes)
                .filter(|(_, size)| *size > 0)
                .map(|(at, size)| (Revision(at), (0..size).map(|key| change(at, key).1).collect()))
                .collect();
            let events: Vec<_> = history.iter()
                .flat_map(|(at, changes)| changes.iter().map(|change| (*at, change.clone())))
                .collect();
            let mut assembly = Assembly::new(Revision(3));
            let mut told = Vec::new();
            for (i, (at, change)) in events.iter().enumerate() {
                assembly.push(*at, change.clone()).unwrap();
                let (is_cut, is_fragment) = cuts.get(i).copied().unwrap_or_default();
                // etcd cuts within a revision only into fragments.
                let is_within = events.get(i + 1).is_some_and(|(next, _)| next == at);
                if is_cut {
                    if !is_fragment && !is_within {
                        assembly.close();
                    }
                    told.extend(std::iter::from_fn(|| assembly.pop()));
                }
            }
            assembly.close();
            told.extend(std::iter::from_fn(|| assembly.pop()));
            prop_assert_eq!(told, history);
        }
    }
}
