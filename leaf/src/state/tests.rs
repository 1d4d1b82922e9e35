//! Every transition, as a table.

use nautilus_service::Clock;

use super::*;

const GRACE: Duration = Duration::from_secs(2);

fn start() -> Instant {
    Clock::manual(0).0.now()
}

fn life(state: State) -> Life {
    Life { state, epoch: Epoch(5), ..Life::new(GRACE) }
}

fn failed(reason: &str) -> State {
    State::Failed { reason: reason.to_owned() }
}

fn assigned(epoch: u64, has_folder: bool) -> Event {
    Event::Assigned { epoch: Epoch(epoch), has_folder }
}

fn opened(next: u64, log_low: u64, log_high: u64) -> Event {
    let (next, log_low, log_high) = (Offset(next), Offset(log_low), Offset(log_high));
    Event::Opened { next, log_low, log_high }
}

fn applied(next: u64) -> Event {
    Event::Applied { next: Offset(next) }
}

fn damaged() -> Event {
    Event::Damaged { reason: "bytes".to_owned() }
}

fn broke() -> Event {
    Event::Broke { reason: "disk".to_owned() }
}

/// One of each state. Draining ends at `until`.
fn states(until: Instant) -> Vec<State> {
    let closing = |next| State::Closing { next };
    vec![
        State::Idle,
        State::Downloading,
        State::Opening { source: Source::Local },
        State::Replaying { until: Offset(9) },
        State::Serving,
        State::Draining { until: Some(until) },
        closing(Next::Gone),
        closing(Next::Recover),
        closing(Next::Restart),
        failed("before"),
        State::Gone,
    ]
}

/// What each state becomes by one event, in the order of [`states`]; `None` = nothing changes.
fn table(event: Event, now: Instant, expected: [Option<(State, Vec<Action>)>; 11]) {
    let until = now + GRACE;
    for (state, expected) in states(until).into_iter().zip(expected) {
        let mut life = life(state.clone());
        let actions = life.step(now, event.clone());
        let (after, wanted) = expected.unwrap_or((state.clone(), Vec::new()));
        assert_eq!((life.state(), actions), (&after, wanted), "{state:?} and {event:?}");
    }
}

fn to(state: State, actions: &[Action]) -> Option<(State, Vec<Action>)> {
    Some((state, actions.to_vec()))
}

fn closing(next: Next, folder: Folder) -> Option<(State, Vec<Action>)> {
    to(State::Closing { next }, &[Action::Close(folder)])
}

#[test]
fn being_assigned() {
    let opening = || to(State::Opening { source: Source::Local }, &[Action::Open]);
    let downloading = || to(State::Downloading, &[Action::Download]);
    let serving = || to(State::Serving, &[]);
    let restart = || to(State::Closing { next: Next::Restart }, &[]);
    let anew = closing(Next::Restart, Folder::Keep);
    let now = start();
    let row = |idle, failed| {
        [idle, None, None, None, None, serving(), restart(), None, None, failed, None]
    };
    table(assigned(6, true), now, row(opening(), anew.clone()));
    table(assigned(6, false), now, row(downloading(), anew));
    // The same epoch again is no reason to try again what failed.
    table(assigned(5, true), now, row(opening(), None));
    // An older one changes nothing anywhere.
    table(assigned(4, true), now, [const { None }; 11]);
}

#[test]
fn epochs_only_grow() {
    let now = start();
    for state in states(now) {
        let mut life = life(state);
        life.step(now, assigned(4, true));
        assert_eq!(life.epoch(), Epoch(5));
        life.step(now, assigned(8, true));
        assert_eq!(life.epoch(), Epoch(8));
    }
}

#[test]
fn being_served_elsewhere() {
    let now = start();
    let remove = || closing(Next::Gone, Folder::Remove);
    let gone = || to(State::Closing { next: Next::Gone }, &[]);
    let draining = to(State::Draining { until: Some(now + GRACE) }, &[Action::WakeAt(now + GRACE)]);
    table(
        Event::Unassigned,
        now,
        [
            to(State::Gone, &[Action::Forget]),
            remove(),
            remove(),
            remove(),
            draining,
            None,
            gone(),
            gone(),
            gone(),
            closing(Next::Gone, Folder::Keep),
            None,
        ],
    );
}

#[test]
fn what_a_download_ends_with() {
    let now = start();
    let mut row = [const { None }; 11];
    row[1] = to(State::Opening { source: Source::Snapshot }, &[Action::Open]);
    table(Event::Downloaded, now, row);
    let mut row = [const { None }; 11];
    row[1] = to(State::Opening { source: Source::Nothing }, &[Action::Open]);
    table(Event::NoSnapshot { log_low: Offset(0) }, now, row);

    let mut trimmed = life(State::Downloading);
    assert!(trimmed.step(now, Event::NoSnapshot { log_low: Offset(7) }).is_empty());
    let State::Failed { reason } = trimmed.state() else { panic!("{:?}", trimmed.state()) };
    assert!(reason.contains("offset 7") && reason.contains("restore a snapshot"), "{reason}");
}

#[test]
fn what_opening_finds() {
    let now = start();
    let mut row = [const { None }; 11];
    row[2] = to(State::Replaying { until: Offset(9) }, &[Action::Feed]);
    table(opened(3, 0, 9), now, row);
    let mut row = [const { None }; 11];
    row[2] = to(State::Serving, &[Action::Feed]);
    table(opened(9, 0, 9), now, row);
    // At the first record that is left is soon enough.
    let mut row = [const { None }; 11];
    row[2] = to(State::Replaying { until: Offset(9) }, &[Action::Feed]);
    table(opened(4, 4, 9), now, row);
    // Too old: a snapshot may be newer.
    let mut row = [const { None }; 11];
    row[2] = closing(Next::Recover, Folder::Remove);
    table(opened(3, 4, 9), now, row);

    for (source, event, remedy) in [
        (Source::Snapshot, opened(3, 4, 9), "restore a snapshot"),
        (Source::Nothing, opened(0, 4, 9), "restore a snapshot"),
        (Source::Local, opened(10, 4, 9), "restore the log"),
        (Source::Snapshot, opened(10, 4, 9), "restore the log"),
    ] {
        let mut life = life(State::Opening { source });
        assert!(life.step(now, event).is_empty());
        let State::Failed { reason } = life.state() else { panic!("{:?}", life.state()) };
        assert!(reason.contains(remedy), "{reason}");
    }
}

#[test]
fn serves_only_once_caught_up() {
    let now = start();
    table(applied(8), now, [const { None }; 11]);
    let mut row = [const { None }; 11];
    row[3] = to(State::Serving, &[]);
    table(applied(9), now, row);
}

#[test]
fn damage_is_set_aside_and_recovered_once() {
    let now = start();
    let recover = || closing(Next::Recover, Folder::SetAside);
    let gone = closing(Next::Gone, Folder::SetAside);
    let row = [None, None, recover(), recover(), recover(), gone, None, None, None, None, None];
    table(damaged(), now, row);

    let mut twice = life(State::Serving);
    twice.step(now, damaged());
    twice.step(now, Event::Closed { has_folder: false });
    assert_eq!(twice.state(), &State::Downloading);
    twice.step(now, Event::Downloaded);
    let soon = now + DAMAGE_PAUSE - Duration::from_millis(1);
    assert!(twice.clone().step(soon, damaged()).is_empty());
    assert_eq!(twice.step(now + DAMAGE_PAUSE, damaged()), [Action::Close(Folder::SetAside)]);
}

#[test]
fn failure_is_final_under_its_epoch() {
    let now = start();
    let fails = || to(failed("disk"), &[]);
    let row = [None, fails(), fails(), fails(), fails(), fails(), None, None, None, None, None];
    table(broke(), now, row);
}

#[test]
fn draining_ends_with_its_grace() {
    let now = start();
    let wake = to(State::Draining { until: Some(now + GRACE) }, &[Action::WakeAt(now + GRACE)]);
    let mut row = [const { None }; 11];
    row[5] = wake;
    table(Event::Tick, now, row);
    let mut due = life(State::Draining { until: Some(now) });
    assert_eq!(due.step(now, Event::Tick), [Action::Close(Folder::Remove)]);
    assert_eq!(due.state(), &State::Closing { next: Next::Gone });
}

#[test]
fn what_follows_closing() {
    let now = start();
    let gone = || to(State::Gone, &[Action::Forget]);
    let download = || to(State::Downloading, &[Action::Download]);
    let open = to(State::Opening { source: Source::Local }, &[Action::Open]);
    let row =
        |restart| [None, None, None, None, None, None, gone(), download(), restart, None, None];
    table(Event::Closed { has_folder: true }, now, row(open));
    table(Event::Closed { has_folder: false }, now, row(download()));
}

#[test]
fn stopping_keeps_answering_and_ends_all_else() {
    let now = start();
    let mut row = [const { None }; 11];
    row[4] = to(State::Draining { until: None }, &[]);
    table(Event::Stop, now, row);
    for state in states(now) {
        let mut life = life(state);
        life.step(now, Event::Stop);
        let before = life.state().clone();
        for event in [assigned(9, true), Event::Unassigned, Event::Tick, applied(99), damaged()] {
            assert!(life.step(now + GRACE, event).is_empty());
        }
        assert_eq!((life.state(), life.epoch()), (&before, Epoch(5)));
        assert_eq!(life.announcement(), None);
    }
}

#[test]
fn what_is_announced_and_answered() {
    use ReplicaState::{Downloading, Failed, Replaying, Serving};
    let announced = [
        None,
        Some(Downloading),
        Some(Replaying),
        Some(Replaying),
        Some(Serving),
        None,
        None,
        Some(Downloading),
        Some(Downloading),
        Some(Failed),
        None,
    ];
    let names = [
        "IDLE",
        "DOWNLOADING",
        "OPENING",
        "REPLAYING",
        "SERVING",
        "DRAINING",
        "DRAINING",
        "DOWNLOADING",
        "DOWNLOADING",
        "FAILED",
        "IDLE",
    ];
    for ((state, announced), name) in states(start()).into_iter().zip(announced).zip(names) {
        let answers = matches!(state, State::Serving | State::Draining { .. });
        assert_eq!(state.answers(), answers);
        assert_eq!((life(state.clone()).announcement(), state.name()), (announced, name));
    }
}

#[test]
fn being_told_of_another_build() {
    let anew = || closing(Next::Recover, Folder::Remove);
    let failed = closing(Next::Restart, Folder::Keep);
    let row = [None, anew(), anew(), anew(), anew(), None, None, None, None, failed, None];
    table(Event::OtherBuild, start(), row);
}

#[test]
fn being_refuted() {
    let exchange = closing(Next::Restart, Folder::Exchange);
    let row = [None, None, None, None, exchange, None, None, None, None, None, None];
    table(Event::Refuted, start(), row);
}
