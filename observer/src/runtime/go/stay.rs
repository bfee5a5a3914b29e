//! Whether a goroutine has run on its thread all the time between two events, by what it counts itself.
//!
//! It parks, and its thread runs another, without any switch of threads: nothing else tells.

use observer_common::task;

use super::Version;

/// What a record says of the goroutine's stay on its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay {
    /// How often it stopped to run so far, modulo 256.
    stops: u8,
    /// Why it waited last, a number of its version. It stays when the goroutine runs again.
    reason: u8,
    /// It says that it waits, and has its thread: the runtime does something in its place.
    for_runtime: bool,
}

impl Stay {
    /// What stands in a record's field of a task, if it does.
    pub(crate) fn of(field: u64) -> Option<Self> {
        let is_there = field & task::HAS_STAY != 0 && field != task::NONE;
        let stay = (field & !task::HAS_STAY) >> task::STAY_SHIFT;
        is_there.then_some(Self {
            stops: stay as u8,
            reason: (stay >> task::REASON_SHIFT) as u8,
            for_runtime: field & task::FOR_RUNTIME != 0,
        })
    }

    /// Whether the goroutine helps the garbage collection to mark, on its thread.
    pub(super) const fn assists(self) -> bool {
        self.for_runtime && self.reason == Version::ASSISTS
    }

    /// Why the goroutine waited last, for people, if that is another reason than `before`.
    pub(crate) fn waited(self, before: Self, version: Version) -> Option<&'static str> {
        version
            .waited(self.reason)
            .filter(|_| self.reason != before.reason)
    }

    /// Why the goroutine waited last, for people.
    pub(crate) fn waited_last(self, version: Version) -> Option<&'static str> {
        version.waited(self.reason)
    }

    /// What it is called that the goroutine waited for last, if only marking has that.
    pub(crate) fn waits_in_mark(self, version: Version) -> Option<&'static str> {
        version.waits_in_mark(self.reason)
    }

    /// Whether a timer can have ended what the goroutine waited for last.
    pub(crate) fn can_end_by_timer(self, version: Version) -> bool {
        version.ends_by_timer(self.reason)
    }

    /// Whether what a peer answers can have ended what the goroutine waited for last.
    pub(crate) fn can_end_by_answer(self, version: Version) -> bool {
        version.ends_by_answer(self.reason)
    }

    /// Why the goroutine waited last, a number of its version.
    pub(crate) const fn reason(self) -> u8 {
        self.reason
    }

    /// Whether what the goroutine waited for last was that another one lets go of something.
    pub(crate) fn is_ended_by_unlock(self, version: Version) -> bool {
        version.is_lock(self.reason)
    }

    /// Whether the runtime kept the goroutine from running, to look at its stack, if it says anything of that.
    pub(crate) fn was_suspended(self, version: Version) -> bool {
        self.reason == version.preempted()
    }

    /// Whether the goroutine has not waited since it began.
    pub(crate) const fn never_waited(self) -> bool {
        self.reason == 0
    }

    /// Whether only a goroutine or a timer that makes it ready ends what the goroutine waited for last, if it has.
    pub(crate) fn is_ended_by_ready(self, version: Version) -> bool {
        self.never_waited() || version.waited(self.reason).is_some() && self.waits_in_mark(version).is_none()
    }

    /// What it is called that the goroutine waited for last, if that is another reason than `before`, and one that only
    /// marking has.
    pub(crate) fn waited_in_mark(self, before: Self, version: Version) -> Option<&'static str> {
        self.waits_in_mark(version)
            .filter(|_| self.reason != before.reason)
    }

    /// Whether it may be that of a goroutine that marks, in a version that is not looked at here.
    pub(super) const fn can_be_marker(self) -> bool {
        Version::ANY_MARKS.start <= self.reason && self.reason < Version::ANY_MARKS.end
    }

    /// Whether it is that of a goroutine that marks for the garbage collection: it waits for nothing else.
    pub(super) const fn is_marker(self, version: Version) -> bool {
        version.marks(self.reason)
    }

    /// Whether a timer can have ended what the goroutine waited for last, if that was after `before`.
    pub(crate) fn ends_by_timer(self, before: Self, version: Version) -> bool {
        self.reason == before.reason || version.ends_by_timer(self.reason)
    }

    /// Whether the goroutine has been running all the time from `before` to now, as far as this proves it. It went into
    /// so many system calls in between, as far as was seen.
    pub(crate) fn goes_on(self, before: Self, version: Version, calls: u8) -> bool {
        // A suspension for the scan of its stack is not counted. It shows in the reason, unless that was the last one
        // too.
        self.stops_since(before, version, calls) == 0
            && self.reason == before.reason
            && self.reason != version.preempted()
    }

    /// Whether the goroutine has stopped to run once from `before` to now, as far as is counted: it has waited for one
    /// thing at most. It went into so many system calls in between, as far as was seen.
    pub(crate) fn stopped_once(self, before: Self, version: Version, calls: u8) -> bool {
        self.stops_since(before, version, calls) == 1
    }

    /// Whether the goroutine has waited since `before`, and for a mutex last.
    pub(crate) fn waited_for_mutex(self, before: Self, version: Version) -> bool {
        version.is_mutex(self.reason) && self.reason != before.reason
    }

    /// How often it has stopped since `before`, without system calls.
    fn stops_since(self, before: Self, version: Version, calls: u8) -> u8 {
        let of_calls = if version.counts_calls() { calls } else { 0 };
        self.stops.wrapping_sub(before.stops).wrapping_sub(of_calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IO_WAIT: u8 = 2;

    fn stay(stops: u8, reason: u8) -> Stay {
        let stay = u64::from(reason) << task::REASON_SHIFT | u64::from(stops);
        Stay::of(task::HAS_STAY | stay << task::STAY_SHIFT | 7).unwrap()
    }

    #[test]
    fn a_field_says_it_or_does_not() {
        assert_eq!(
            stay(3, IO_WAIT),
            Stay {
                stops: 3,
                reason: IO_WAIT,
                for_runtime: false
            }
        );
        for field in [task::UNKNOWN, task::NONE, 7] {
            assert_eq!(Stay::of(field), None);
        }
    }

    #[test]
    fn a_goroutine_stays_while_it_neither_stops_nor_waits_for_something_else() {
        let version = Version::of("go1.26").unwrap();
        let before = stay(255, IO_WAIT);
        let goes_on = |after: Stay| after.goes_on(before, version, 1);
        assert!(goes_on(before));
        assert!(!goes_on(stay(0, IO_WAIT)));
        assert!(!goes_on(stay(255, 14)), "it slept");
        let scanned = stay(255, version.preempted());
        assert!(!scanned.goes_on(scanned, version, 0));
    }

    #[test]
    fn why_it_waited_is_told_where_it_did() {
        let version = Version::of("go1.26").unwrap();
        let (read, slept) = (stay(0, IO_WAIT), stay(1, 14));
        assert!(version.waited(14).is_some());
        assert_eq!(slept.waited(read, version), version.waited(14));
        assert_eq!(
            (slept.waited(slept, version), read.waited(slept, version)),
            (None, None)
        );
    }

    #[test]
    fn one_wait_is_one_stop_and_a_reason_that_stays_says_of_no_wait() {
        let version = Version::of("go1.26").unwrap();
        let mutex = 22;
        let (read, locked) = (stay(255, IO_WAIT), stay(0, mutex));
        let once = |sent: Stay, read| sent.stopped_once(read, version, 1);
        assert!(once(locked, read) && locked.waited_for_mutex(read, version));
        assert!(
            !once(stay(1, mutex), read),
            "it waited for something else as well"
        );
        assert!(!once(read, read));
        let before = stay(255, mutex);
        assert!(
            !locked.waited_for_mutex(before, version),
            "its stack may have grown"
        );
        assert!(!stay(0, 18).waited_for_mutex(read, version), "it was in select");
        let older = Version::of("go1.25").unwrap();
        assert!(stay(1, mutex).stopped_once(read, older, 1));
        assert!(!locked.stopped_once(read, older, 1), "that was its call");
    }

    #[test]
    fn before_1_26_it_counts_that_it_goes_into_a_call() {
        let version = Version::of("go1.25").unwrap();
        let (before, after) = (stay(255, IO_WAIT), stay(0, IO_WAIT));
        assert!(after.goes_on(before, version, 1));
        assert!(!after.goes_on(before, version, 0), "it parked");
        assert!(!stay(1, IO_WAIT).goes_on(before, version, 1), "it parked, too");
    }
}
