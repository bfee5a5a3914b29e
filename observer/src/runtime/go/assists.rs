//! When goroutines helped the garbage collection to mark, while they ran: who allocates must, before it gets memory.
//!
//! A goroutine that does has its thread, and says that it waits, for this. It counts that as having stopped to run. So
//! two looks at a thread that find the same goroutine like that, with the same count, lie in the same assist. What was
//! before the first look and after the last one is not known: of an assist that is over between two ticks of the clock
//! there is nothing.

use rustc_hash::FxHashMap;

use super::Stay;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};
use crate::newest::Newest;

/// Those that are remembered of a process, the newest: 128 KiB.
const MAX_ASSISTS: usize = 4096;

const _: () = assert!(MAX_ASSISTS * size_of::<Assist>() <= 128 << 10);

/// Threads that are in one. One more, and all of them are found anew, where those that are too long ago make no room.
const MAX_THREADS: usize = 4096;

/// Two looks that are further apart say nothing, ns: a goroutine stops 256 times before its count is the same again.
const MOST_APART_NS: u64 = 10_000_000;

/// A part of an assist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assist {
    /// The thread.
    pub(crate) tid: Tid,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// Number of the cycle that marked, where it is known.
    pub(crate) cycle: Option<u32>,
}

/// Threads that were in an assist when they were looked at last: when, ns, and what a record said of their goroutine.
#[derive(Debug, Default)]
pub(super) struct Looks(FxHashMap<Tid, (Pid, u64, u64)>);

/// What is known of the assists of a process.
#[derive(Debug, Default)]
pub(super) struct Assists {
    /// In the order of their ends.
    newest: Newest<Assist, MAX_ASSISTS>,
    /// Of those that ended before this, some are forgotten, ns.
    pub(super) forgotten_until_ns: u64,
    /// How much was found since this was asked last, ns.
    found_ns: u64,
}

impl Looks {
    /// A thread was seen with what stands in a record's field of a task. Tells since when it has been in the same
    /// assist. What is found anew is counted in `full`.
    pub(super) fn seen(&mut self, pid: Pid, tid: Tid, at_ns: u64, field: u64, full: &Full) -> Option<u64> {
        if !Stay::of(field).is_some_and(Stay::assists) {
            if !self.0.is_empty() {
                self.0.remove(&tid);
            }
            return None;
        }
        if self.0.len() == MAX_THREADS && !self.0.contains_key(&tid) {
            self.make_room(at_ns, full);
        }
        let (of, since_ns, before) = self.0.insert(tid, (pid, at_ns, field))?;
        let is_same = of == pid && before == field;
        (is_same && since_ns < at_ns && at_ns - since_ns <= MOST_APART_NS).then_some(since_ns)
    }

    /// Looks that are too long ago say nothing any more.
    fn make_room(&mut self, at_ns: u64, full: &Full) {
        let says = |seen_ns: u64| seen_ns.saturating_add(MOST_APART_NS) >= at_ns;
        self.0.retain(|_, (_, seen_ns, _)| says(*seen_ns));
        if self.0.len() == MAX_THREADS {
            full.count(Table::Assists, self.0.len() as u64);
            self.0.clear();
        }
    }
}

impl Assists {
    /// A thread was in the same one all the time.
    pub(super) fn add(&mut self, tid: Tid, from_ns: u64, to_ns: u64) {
        self.found_ns += to_ns - from_ns;
        let goes_on = |before: &Assist| before.tid == tid && before.to_ns == from_ns;
        let before = self.newest.iter().rposition(goes_on);
        let before = before.and_then(|place| self.newest.remove(place));
        let forgotten = self.newest.push(Assist {
            tid,
            from_ns: before.map_or(from_ns, |before| before.from_ns),
            to_ns,
            cycle: None,
        });
        if let Some(forgotten) = forgotten {
            self.forgotten_until_ns = forgotten.to_ns;
        }
    }

    /// Those that a time overlaps, the last to end first.
    pub(super) fn between(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = &Assist> {
        self.newest
            .iter()
            .rev()
            .take_while(move |assist| assist.to_ns > from_ns)
            .filter(move |assist| assist.from_ns < to_ns)
    }

    /// How much of them was found since this was asked last, ns.
    pub(super) fn take_found_ns(&mut self) -> u64 {
        std::mem::take(&mut self.found_ns)
    }
}

#[cfg(test)]
mod tests {
    use observer_common::task;

    use super::*;

    const PID: Pid = Pid(7);
    const TID: Tid = Tid(8);
    const ASSISTS: u64 = 1;

    fn field(reason: u64, stops: u64, for_runtime: bool) -> u64 {
        let flag = if for_runtime { task::FOR_RUNTIME } else { 0 };
        task::HAS_STAY | (reason << task::REASON_SHIFT | stops) << task::STAY_SHIFT | flag | 31
    }

    /// Since when it is known at the last of these looks, each a millisecond after the other.
    fn since(looks: &[u64]) -> Option<u64> {
        let mut seen = Looks::default();
        let at_ns = |index: u64| (index + 1) * 1_000_000;
        let told = (0..)
            .zip(looks)
            .map(|(index, &field)| seen.seen(PID, TID, at_ns(index), field, &Full::default()));
        told.last().flatten()
    }

    #[test]
    fn two_looks_that_find_the_same_count_lie_in_the_same_assist() {
        let (in_one, in_next) = (field(ASSISTS, 3, true), field(ASSISTS, 4, true));
        let after_it = field(ASSISTS, 3, false);
        assert_eq!(since(&[in_one, in_one]), Some(1_000_000));
        assert_eq!(since(&[in_one, in_next]), None);
        assert_eq!(since(&[in_one, after_it]), None, "it runs again");
        assert_eq!(since(&[after_it, after_it]), None);
        for between in [after_it, task::NONE, task::UNKNOWN] {
            assert_eq!(since(&[in_one, between, in_one]), None, "the count came around");
        }
        let marks = field(29, 3, true);
        assert_eq!(since(&[marks, marks]), None, "it is no assist");
    }

    #[test]
    fn looks_at_another_thread_or_long_ago_say_nothing() {
        let in_one = field(ASSISTS, 3, true);
        let mut looks = Looks::default();
        let mut seen = |pid, tid, at_ns| looks.seen(pid, tid, at_ns, in_one, &Full::default());
        assert_eq!(seen(PID, TID, 10), None);
        assert_eq!(seen(PID, Tid(9), 20), None);
        assert_eq!(
            seen(Pid(6), TID, 30),
            None,
            "a thread of that id is another's now"
        );
        assert_eq!(seen(Pid(6), TID, 31 + MOST_APART_NS), None);
    }

    #[test]
    fn looks_that_say_nothing_any_more_make_room_and_where_there_are_none_all_are_forgotten_and_counted() {
        let in_one = field(ASSISTS, 3, true);
        let (mut looks, full) = (Looks::default(), Full::default());
        let mut seen = |tid, at_ns| looks.seen(PID, Tid(tid), at_ns, in_one, &full);
        (1..=MAX_THREADS as u32).for_each(|tid| assert_eq!(seen(tid, 10), None));
        let later_ns = 11 + MOST_APART_NS;
        (1..=MAX_THREADS as u32).for_each(|tid| assert_eq!(seen(10_000 + tid, later_ns), None));
        assert_eq!(full, Full::default());
        assert_eq!(seen(10_001, later_ns + 1), Some(later_ns));
        assert_eq!(seen(1, later_ns + 1), None);
        assert_eq!(
            full.counts().collect::<Vec<_>>(),
            [(Table::Assists, MAX_THREADS as u64)]
        );
        assert_eq!(seen(10_002, later_ns + 1), None);
    }

    #[test]
    fn what_goes_on_is_one_and_the_oldest_are_forgotten() {
        let mut assists = Assists::default();
        assists.add(TID, 10, 20);
        assists.add(Tid(9), 15, 25);
        assists.add(TID, 20, 30);
        let found = |assists: &Assists, from_ns, to_ns| -> Vec<_> {
            let between = assists.between(from_ns, to_ns);
            between
                .map(|assist| (assist.tid, assist.from_ns, assist.to_ns))
                .collect()
        };
        assert_eq!(found(&assists, 0, 100), [(TID, 10, 30), (Tid(9), 15, 25)]);
        assert_eq!(found(&assists, 26, 100), [(TID, 10, 30)]);
        assert_eq!(found(&assists, 0, 12), [(TID, 10, 30)]);
        assert_eq!((assists.take_found_ns(), assists.take_found_ns()), (30, 0));
        (0..MAX_ASSISTS as u64).for_each(|at| assists.add(TID, at * 100 + 50, at * 100 + 60));
        assert_eq!(
            (assists.newest.len(), assists.forgotten_until_ns),
            (MAX_ASSISTS, 30)
        );
    }
}
