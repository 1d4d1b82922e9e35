//! How threads that nobody waits for leave the processor to those that somebody does.
//!
//! A weight alone (niceness) says how much of a full machine a thread gets, not how soon others get on: Linux lets who
//! runs finish a slice of one to three milliseconds before a thread that wakes may go on, however light it is, and a
//! search that is handed from process to process waits for that at each step. So a thread in the background also asks
//! for short slices (`man 2 sched_setattr`; [EEVDF], from Linux 6.12): it keeps its share, in smaller pieces, and never
//! starves, as one of `SCHED_IDLE` would on a machine that is full.
//!
//! The one crate with `unsafe` code: two system calls that no kept library offers. On other systems nothing happens.
//!
//! [EEVDF]: https://docs.kernel.org/scheduler/sched-eevdf.html

use std::io;

/// What a thread in the background may run in one piece, in nanoseconds: the least that Linux grants.
pub const SLICE_NS: u64 = 100_000;

/// Niceness of the lightest thread.
#[cfg(target_os = "linux")]
const LIGHTEST: i32 = 19;

/// Gives the calling thread, and those it starts from now on, short slices, and a niceness higher by `nicer` (0 = the
/// weight it has, 5 = a third of it; together 19 at most).
///
/// Needs no privilege. An error where a sandbox forbids the calls: nothing has changed then.
#[cfg(target_os = "linux")]
pub fn give_way(nicer: u8) -> io::Result<()> {
    let nice = linux::get()?.nice.saturating_add(i32::from(nicer)).min(LIGHTEST);
    linux::set(&linux::Attributes { nice, slice_ns: SLICE_NS })
}

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub fn give_way(_nicer: u8) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "glibc has no wrappers of these calls before 2.41, and no kept library does"
)]
mod linux {
    use std::io;

    /// How the calling thread is scheduled among ordinary ones.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Attributes {
        pub(super) nice: i32,
        pub(super) slice_ns: u64,
    }

    /// `SCHED_ATTR_SIZE_VER0`: all fields of `libc::sched_attr`.
    const SIZE: u32 = 48;
    const _: () = assert!(size_of::<libc::sched_attr>() == 48, "the first version of the struct");

    fn zeroed() -> libc::sched_attr {
        libc::sched_attr {
            size: SIZE,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        }
    }

    pub(super) fn set(wanted: &Attributes) -> io::Result<()> {
        // Policy 0 is SCHED_OTHER, of which the runtime is the slice.
        let attributes = libc::sched_attr {
            sched_nice: wanted.nice,
            sched_runtime: wanted.slice_ns,
            ..zeroed()
        };
        // SAFETY: the kernel reads `SIZE` bytes, which is the size of the struct (checked above) and what its first
        // field says; it outlives the call. Thread 0 is the caller, flags are none.
        let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn get() -> io::Result<Attributes> {
        let mut attributes = zeroed();
        // SAFETY: the kernel writes at most `SIZE` bytes, the size of the struct, of which any bits are a value; nobody
        // else has a reference to it. Thread 0 is the caller, flags are none.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
        if result == 0 {
            Ok(Attributes { nice: attributes.sched_nice, slice_ns: attributes.sched_runtime })
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use super::*;

    /// Before Linux 6.12 an ordinary thread's slice is not its own, and the kernel says none.
    fn is_short(slice_ns: u64) -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
        let mut numbers = release.split(['.', '-']).map_while(|part| part.parse().ok());
        let version: (u32, u32) =
            (numbers.next().expect("a major"), numbers.next().expect("a minor"));
        if version < (6, 12) { slice_ns == 0 } else { slice_ns == SLICE_NS }
    }

    #[test]
    fn a_thread_and_those_it_starts_give_way_and_others_do_not() {
        let before = linux::get().expect("attributes");
        let given = thread::spawn(|| {
            give_way(5).expect("lighter");
            let own = linux::get().expect("attributes");
            let started = thread::spawn(|| {
                give_way(5).expect("lighter still");
                linux::get().expect("attributes")
            });
            (own, started.join().expect("ends"))
        });
        let (own, started) = given.join().expect("ends");
        assert_eq!((own.nice, started.nice), (5, 10));
        assert!(is_short(own.slice_ns) && is_short(started.slice_ns), "{own:?} {started:?}");
        assert_eq!(linux::get().expect("attributes"), before);
    }

    #[test]
    fn no_lighter_than_the_lightest() {
        let nice = thread::spawn(|| {
            give_way(100).expect("lighter");
            linux::get().expect("attributes").nice
        });
        assert_eq!(nice.join().expect("ends"), LIGHTEST);
    }
}
