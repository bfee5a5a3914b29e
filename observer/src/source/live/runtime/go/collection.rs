//! What the memory of a process tells of its garbage collection: the times of the last cycle, and each second the heap.
//! The times are read each time that the rings are drained, and by the kernel half when a clock ticks on a CPU that
//! runs one of its threads.
//!
//! What stands where the symbols say is proved before anything is told of it: the runtime keeps how long the world was
//! stopped in a cycle in another place too, by a clock reading of its own, and both must agree. The times of a cycle
//! are of `CLOCK_MONOTONIC`, as those of records. Both copies of a read must be the same: nothing was written
//! meanwhile.

use std::fs;

use observer_common::collection::{Collected, TIMES, WORDS};

use super::memory::{MemoryRange, read};
use super::offsets::{Offsets, WORK_TIMES};
use super::program::{GPlace, Globals};
use crate::event;
use crate::model::id::Pid;
use crate::source::Merge;
use crate::source::live::facts::SECOND_NS;

/// By how much the two places may differ, ns. The clock is read for one of them after a lock was taken.
const MOST_APART_NS: u64 = 20_000;

/// Cycles in which they do, until nothing more is expected.
const MOST_APART: u32 = 16;

/// Cycles of which the runtime keeps how long the world was stopped.
const PAUSES: u32 = 256;

/// More threads than this run no goroutines at a time.
const MOST_PROCS: u64 = 1 << 16;

const _: () = assert!(WORK_TIMES as usize / 8 + TIMES == WORDS);

/// The collection of one process.
pub(in super::super) struct Collection {
    pid: Pid,
    globals: Result<Globals, &'static str>,
    offsets: Offsets,
    state: State,
    looked_ns: u64,
}

enum State {
    /// It is not proved. So many cycles were seen that prove nothing, the last one of this number.
    Sought { apart: u32, last: u32 },
    /// What was told last.
    Followed(Times),
    /// It is not to be had.
    Over,
}

/// When the phases of a cycle began, as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    number: u32,
    begin_ns: u64,
    mark_ns: u64,
    /// When it had marked, and when it was over.
    end: Option<(u64, u64)>,
}

impl Times {
    /// What stands there, if that is a cycle that marks or is over.
    ///
    /// The number is given, and the beginning of marking is written, when the world goes on. A cycle that stops the
    /// world at the end may find that it has to go on marking: it is told when it is over.
    fn of(words: [u64; WORDS], now_ns: u64) -> Option<Self> {
        let [number, _, begin_ns, mark_ns, marked_ns, end_ns] = words;
        if begin_ns == 0 || begin_ns > mark_ns || [mark_ns, marked_ns, end_ns].iter().any(|&ns| ns > now_ns) {
            return None;
        }
        let is_over = mark_ns <= marked_ns && marked_ns <= end_ns;
        let marks = end_ns < begin_ns;
        (is_over || marks).then_some(Self {
            number: number as u32,
            begin_ns,
            mark_ns,
            end: is_over.then_some((marked_ns, end_ns)),
        })
    }

    /// Whether this was found after `before`: the kernel half tells what it found when that is drained.
    fn is_later_than(&self, before: &Self) -> bool {
        let ahead = self.number.wrapping_sub(before.number);
        ahead <= u32::MAX / 2 && (ahead > 0 || self.end.is_some() && before.end.is_none())
    }

    /// How long the world was stopped, if it is over, ns.
    fn stopped_ns(&self) -> Option<u64> {
        let (marked_ns, end_ns) = self.end?;
        Some(self.mark_ns - self.begin_ns + end_ns - marked_ns)
    }

    /// What is told of it, where `before` was told last, each as of the time from which on it holds: a request that
    /// ended meanwhile must find it.
    fn facts(&self, before: &Self, pid: Pid) -> impl Iterator<Item = event::GoCycle> + use<> {
        let Self {
            number,
            begin_ns,
            mark_ns,
            end,
        } = *self;
        let of_begin = [begin_ns, mark_ns, 0, 0];
        let begun = (before.number != number).then(|| event::GoCycle::new(begin_ns, pid, number, of_begin));
        let ended = end.map(|(marked_ns, end_ns)| {
            event::GoCycle::new(marked_ns, pid, number, [begin_ns, mark_ns, marked_ns, end_ns])
        });
        begun.into_iter().chain(ended)
    }
}

impl Collection {
    /// Of process `pid`, of which this was found.
    pub(in super::super) fn new(pid: Pid, place: &GPlace) -> Self {
        let in_symbols = "its symbols are gone, and with them where runtime.work is";
        let globals = place.globals.ok_or(in_symbols);
        Self {
            pid,
            globals: globals.and_then(|globals| {
                if has_own_clock(pid) {
                    Err("it is in a time namespace, and its clock is another")
                } else {
                    Ok(globals)
                }
            }),
            offsets: Offsets::of(place.version),
            state: State::Sought { apart: 0, last: 0 },
            looked_ns: 0,
        }
    }

    /// Looks, and tells what is new. Everything before `released_ns` was given out. Where it is just proved, gives the
    /// address at which the kernel half is to look too.
    pub(in super::super) fn look(&mut self, now_ns: u64, released_ns: u64, merge: &mut Merge) -> Option<u64> {
        if matches!(self.state, State::Over) {
            return None;
        }
        let globals = match self.globals {
            Ok(globals) => globals,
            Err(reason) => {
                self.give_up(now_ns, reason, merge);
                return None;
            }
        };
        // A program says itself where its variables are.
        let at = globals.work.wrapping_add(self.offsets.work_cycles.into());
        let times = match self.times(at, now_ns) {
            Ok(times) => times,
            Err(error) => {
                // One that has ended has no memory any more, and nothing is to be said.
                if error.raw_os_error() == Some(libc::EPERM) {
                    self.give_up(now_ns, "its memory cannot be read without CAP_SYS_PTRACE", merge);
                }
                return None;
            }
        };
        let was_sought = matches!(self.state, State::Sought { .. });
        if let Some(times) = times {
            if was_sought {
                self.prove(&times, now_ns, merge);
            } else {
                self.tell(times, released_ns, merge);
            }
        }
        let is_followed = matches!(self.state, State::Followed(_));
        if is_followed && now_ns.saturating_sub(self.looked_ns) >= SECOND_NS {
            self.looked_ns = now_ns;
            self.tell_heap(now_ns, merge);
        }
        (is_followed && was_sought).then_some(at)
    }

    /// Tells what the kernel half found, if that is new.
    pub(in super::super) fn found(&mut self, collected: &Collected, released_ns: u64, merge: &mut Merge) {
        let Collected { head, words, again } = collected;
        let times = (words == again)
            .then(|| Times::of(*words, head.at_ns.saturating_add(SECOND_NS)))
            .flatten();
        if let Some(times) = times {
            self.tell(times, released_ns, merge);
        }
    }

    fn tell(&mut self, times: Times, released_ns: u64, merge: &mut Merge) {
        let State::Followed(before) = &mut self.state else {
            return;
        };
        if !times.is_later_than(before) {
            return;
        }
        for mut fact in times.facts(before, self.pid) {
            fact.header.at_ns = fact.header.at_ns.max(released_ns);
            merge.push(bytemuck::bytes_of(&fact));
        }
        *before = times;
    }

    /// Whether what a cycle that is over tells is the runtime's own.
    fn prove(&mut self, times: &Times, now_ns: u64, merge: &mut Merge) {
        let State::Sought { apart, last } = &mut self.state else {
            return;
        };
        let Some(stopped_ns) = times.stopped_ns().filter(|_| *last != times.number) else {
            return;
        };
        (*apart, *last) = (*apart + 1, times.number);
        let is_last = *apart >= MOST_APART;
        let kept_ns = self.kept_pause(times.number).unwrap_or(u64::MAX);
        let apart_ns = kept_ns.abs_diff(stopped_ns);
        if apart_ns <= MOST_APART_NS {
            let evidence = format!(
                "runtime.work by its symbol: in cycle {} the world was stopped for {stopped_ns} ns by the times of its phases, and \
                 runtime.memstats has it as {kept_ns} ns",
                times.number
            );
            let fact = event::GoMemory::new(now_ns, self.pid, true, &evidence);
            merge.push(bytemuck::bytes_of(&fact));
            self.state = State::Followed(*times);
        } else if is_last {
            let reason = "what stands at runtime.work does not agree with runtime.memstats";
            self.give_up(now_ns, reason, merge);
        }
    }

    fn give_up(&mut self, now_ns: u64, reason: &str, merge: &mut Merge) {
        let fact = event::GoMemory::new(now_ns, self.pid, false, reason);
        merge.push(bytemuck::bytes_of(&fact));
        self.state = State::Over;
    }

    /// The last cycle, by what stands at this address.
    fn times(&self, at: u64, now_ns: u64) -> std::io::Result<Option<Times>> {
        let place = MemoryRange {
            address: at,
            bytes: WORDS * 8,
        };
        let mut words = [0; 2 * WORDS];
        read(self.pid, &[place, place], &mut words)?;
        let (first, second) = words.split_at(WORDS);
        let mut copy = [0; WORDS];
        copy.copy_from_slice(second);
        // The clock was read before the memory was.
        let after_ns = now_ns.saturating_add(SECOND_NS);
        Ok((first == second).then(|| Times::of(copy, after_ns)).flatten())
    }

    /// How long the world was stopped in a cycle, as the runtime keeps it, if that one was the last to be over, ns.
    fn kept_pause(&self, number: u32) -> Option<u64> {
        let memstats = self.globals.ok()?.memstats;
        let slot = number.wrapping_sub(1) % PAUSES;
        let word = |offset: u64| MemoryRange {
            address: memstats.wrapping_add(offset),
            bytes: 8,
        };
        let mut words = [0; 2];
        let pause = u64::from(self.offsets.memstats_pauses) + u64::from(slot) * 8;
        let places = [word(pause), word(self.offsets.memstats_numgc.into())];
        read(self.pid, &places, &mut words).ok()?;
        let [pause_ns, over] = words;
        (over as u32 == number).then_some(pause_ns)
    }

    fn tell_heap(&self, now_ns: u64, merge: &mut Merge) {
        let Ok(globals) = self.globals else { return };
        let word = |address: u64| MemoryRange { address, bytes: 8 };
        let places = [
            word(globals.max_procs),
            word(
                globals
                    .controller
                    .wrapping_add(self.offsets.controller_heap.into()),
            ),
            word(
                globals
                    .controller
                    .wrapping_add(self.offsets.controller_goal.into()),
            ),
        ];
        let mut words = [0; 3];
        if read(self.pid, &places, &mut words).is_err() {
            return;
        }
        let [max_procs, heap_bytes, goal_bytes] = words;
        // It is a number of four bytes.
        let max_procs = max_procs & u64::from(u32::MAX);
        if (1..=MOST_PROCS).contains(&max_procs) {
            let fact = event::GoHeap::new(now_ns, self.pid, max_procs, heap_bytes, goal_bytes);
            merge.push(bytemuck::bytes_of(&fact));
        }
    }
}

/// Whether the monotonic clock of a process is not that of the machine.
fn has_own_clock(pid: Pid) -> bool {
    let offsets = fs::read_to_string(format!("/proc/{pid}/timens_offsets")).unwrap_or_default();
    is_moved(&offsets)
}

fn is_moved(offsets: &str) -> bool {
    let monotonic = offsets.lines().find_map(|line| line.strip_prefix("monotonic"));
    monotonic.is_some_and(|offset| offset.split_whitespace().any(|part| part != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: u64 = 10_000;

    fn times(words: [u64; 4]) -> Option<Times> {
        let [begin_ns, mark_ns, marked_ns, end_ns] = words;
        Times::of([7, 0, begin_ns, mark_ns, marked_ns, end_ns], NOW_NS)
    }

    #[test]
    fn a_cycle_that_marks_or_is_over_is_one() {
        let over = times([1_000, 1_010, 1_110, 1_130]).unwrap();
        assert_eq!((over.number, over.stopped_ns()), (7, Some(30)));
        // The times of the end are of the cycle before, or it stops the world for the second time.
        for still in [[2_000, 2_010, 1_110, 1_130], [2_000, 2_010, 2_110, 1_130]] {
            assert_eq!(times(still).unwrap().stopped_ns(), None);
        }
    }

    #[test]
    fn what_is_in_no_order_is_none() {
        for none in [
            [0, 0, 0, 0],
            // The world is stopped for the first time.
            [2_000, 1_010, 1_110, 1_130],
            [1_000, 1_010, 1_009, 1_130],
            [1_000, 1_010, 1_110, NOW_NS + 1],
            [NOW_NS + 1, NOW_NS + 2, 1_110, 1_130],
            [1_000, 1_010, u64::MAX, 900],
        ] {
            assert_eq!(times(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_cycle_is_told_when_it_begins_to_mark_and_when_it_is_over() {
        let marks = times([2_000, 2_010, 1_110, 1_130]).unwrap();
        let over = times([2_000, 2_010, 2_110, 2_130]).unwrap();
        let before = Times { number: 6, ..over };
        let told = |times: &Times, before: &Times| -> Vec<_> {
            let facts = times.facts(before, Pid(7));
            facts.map(|fact| (fact.header.at_ns, fact.end_ns)).collect()
        };
        assert_eq!(told(&marks, &before), [(2_000, 0)]);
        assert_eq!(told(&over, &marks), [(2_110, 2_130)]);
        assert_eq!(told(&over, &before), [(2_000, 0), (2_110, 2_130)]);
        for (times, before, is_later) in [
            (marks, before, true),
            (over, marks, true),
            (marks, marks, false),
            (marks, over, false),
            (before, marks, false),
        ] {
            assert_eq!(
                times.is_later_than(&before),
                is_later,
                "{times:?} after {before:?}"
            );
        }
    }

    #[test]
    fn a_process_with_a_clock_of_its_own_is_told_by_its_namespace() {
        assert!(!is_moved(
            "monotonic           0         0\nboottime            0         0\n"
        ));
        assert!(is_moved(
            "monotonic       86400         0\nboottime            0         0\n"
        ));
        assert!(!is_moved(""));
    }
}
