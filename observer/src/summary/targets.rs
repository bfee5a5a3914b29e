//! Which process belongs to which target, and the figures of each target.
//!
//! A target is a process that is watched, with all that were forked from it while it was watched, and theirs; if that
//! is asked for, each process by itself. Of a process of which nobody has said whose child it is, it is taken that it
//! stands for itself. Targets that are told apart, and processes that are remembered, are bounded; what is beyond is
//! counted together. Those that have ended make room for those that come: their figures are added to what is counted
//! together, and a process with the number of one that ended has nothing of it.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::paths;
use super::target::{self, TargetSums};
use super::turns::Over;
use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::model::report::{ProcessMemory, ProcessWorkers, TargetTotals};

/// Targets that are told apart.
const MAX_TOLD_APART: usize = 64;

/// Processes that are remembered. Beyond, half of them are forgotten: first those that ended, then those that were not
/// seen for longest.
const MAX_PROCESSES: usize = 16_384;

/// Windows for which a process that ended is remembered though it did nothing: what it did can be told later.
const KEPT_WINDOWS: u64 = 4;

/// Processes of a target that are listed.
const LISTED: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct AllTargets {
    /// Each process is a target of its own.
    pub(super) apart: bool,
    /// In the order in which they came up.
    told_apart: Vec<NamedTarget>,
    /// All that found no place there.
    others: TargetSums,
    /// Places whose targets have ended, the last of which is used again next.
    ended: Vec<usize>,
    processes: FxHashMap<Pid, ProcessOfTarget>,
    /// Number of the window.
    window: u64,
    /// Processes that were forgotten.
    full: Full,
}

#[derive(Clone, Debug)]
struct NamedTarget {
    pid: Pid,
    /// Window in which it came.
    since: u64,
    /// That process has ended. Others of it may be there.
    has_ended: bool,
    comm: Option<String>,
    /// Its processes that did something in the run.
    processes: u64,
    target: TargetSums,
}

/// A process of which it is known whose it is.
#[derive(Clone, Copy, Debug)]
struct ProcessOfTarget {
    /// Place of its target among those that are told apart; `None` for the others.
    place: Option<usize>,
    /// Window in which it was forked, did something last, or ended.
    last: u64,
    /// It did something.
    is_seen: bool,
    has_ended: bool,
}

impl AllTargets {
    /// Process `pid` is watched, as nobody's child.
    pub(super) fn begin(&mut self, pid: Pid, comm: Option<&str>) {
        let place = self.place_of_its_own(pid, comm);
        self.remember(pid, place, false);
    }

    /// A watched process forked another, now or before: it is of the same target. This and [`Self::begin`] alone decide
    /// where a process belongs.
    pub(super) fn forked(&mut self, parent: Pid, child: Pid) {
        let place = match self.processes.get(&parent) {
            _ if self.apart => self.place_of_its_own(child, self.comm_of(parent).as_deref()),
            Some(parent) => parent.place,
            None => self.place_of_its_own(parent, None),
        };
        self.remember(child, place, false);
    }

    /// A watched process has ended.
    pub(super) fn ended(&mut self, pid: Pid) {
        if let Some(process) = self.processes.get_mut(&pid) {
            (process.has_ended, process.last) = (true, self.window);
        }
        if let Some(named) = self.told_apart.iter_mut().find(|named| named.is_of(pid)) {
            named.has_ended = true;
        }
    }

    /// The name of the target of a process, where it is known.
    fn comm_of(&self, pid: Pid) -> Option<String> {
        let place = self.processes.get(&pid)?.place?;
        self.told_apart.get(place)?.comm.clone()
    }

    /// The target of process `pid`, which does something.
    pub(super) fn of(&mut self, pid: Pid) -> &mut TargetSums {
        let (place, is_new) = if let Some(process) = self.processes.get_mut(&pid) {
            process.last = self.window;
            (process.place, !std::mem::replace(&mut process.is_seen, true))
        } else {
            let place = self.place_of_its_own(pid, None);
            self.remember(pid, place, true);
            (place, true)
        };
        match place.and_then(|place| self.told_apart.get_mut(place)) {
            Some(named) => {
                named.processes += u64::from(is_new);
                &mut named.target
            }
            None => &mut self.others,
        }
    }

    /// The same, as far as it is known.
    pub(super) fn get(&self, pid: Pid) -> Option<&TargetSums> {
        let process = self.processes.get(&pid)?;
        Some(
            process
                .place
                .map_or(&self.others, |place| &self.told_apart[place].target),
        )
    }

    /// Paths that each of them may tell apart.
    pub(super) fn max_paths(&self) -> usize {
        paths::max_paths(self.told_apart.len())
    }

    /// All, told apart or not.
    pub(super) fn all(&self) -> Vec<&TargetSums> {
        let told_apart = self.told_apart.iter().map(|named| &named.target);
        told_apart.chain([&self.others]).collect()
    }

    /// Those that are not told apart.
    pub(super) const fn others(&self) -> &TargetSums {
        &self.others
    }

    /// Where a process belongs that is nobody's child, as far as is known.
    fn place_of_its_own(&mut self, pid: Pid, comm: Option<&str>) -> Option<usize> {
        if let Some(place) = self.told_apart.iter().position(|named| named.is_of(pid)) {
            return Some(place);
        }
        let named = NamedTarget {
            pid,
            since: self.window,
            has_ended: false,
            comm: comm.map(str::to_owned),
            processes: 0,
            target: TargetSums::default(),
        };
        if self.told_apart.len() < MAX_TOLD_APART {
            self.told_apart.push(named);
            return Some(self.told_apart.len() - 1);
        }
        let place = self.ended.pop()?;
        let max_paths = self.max_paths();
        let ended = std::mem::replace(&mut self.told_apart[place], named);
        self.others.absorb(ended.target, max_paths);
        let of_ended = |process: &&mut ProcessOfTarget| process.place == Some(place);
        let processes = self.processes.values_mut().filter(of_ended);
        processes.for_each(|process| process.place = None);
        Some(place)
    }

    /// Forgets processes that ended long ago and had done nothing, and looks which places can be used again: where all
    /// are taken, those whose processes have all ended. First those that did nothing, then those that came first.
    fn free(&mut self) {
        let window = self.window;
        let is_over = |process: &ProcessOfTarget| process.is_over(window);
        self.processes
            .retain(|_, process| process.is_seen || !is_over(process));
        self.ended.clear();
        if self.told_apart.len() == MAX_TOLD_APART {
            let are_there = self.are_there(|process| !is_over(process));
            self.ended
                .extend((0..MAX_TOLD_APART).filter(|&place| !are_there[place]));
            let age = |&place: &usize| {
                let named = &self.told_apart[place];
                (!named.target.is_empty(), named.since, place)
            };
            self.ended.sort_by_key(|place| Reverse(age(place)));
        }
    }

    /// Which places have a process that is there, by what `is_there` says of each.
    fn are_there(&self, is_there: impl Fn(&ProcessOfTarget) -> bool) -> [bool; MAX_TOLD_APART] {
        let mut places = [false; MAX_TOLD_APART];
        for process in self.processes.values().filter(|process| is_there(process)) {
            if let Some(place) = process.place.and_then(|place| places.get_mut(place)) {
                *place = true;
            }
        }
        places
    }

    fn remember(&mut self, pid: Pid, place: Option<usize>, is_seen: bool) {
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&pid) {
            let age = |(&pid, process): (&Pid, &ProcessOfTarget)| {
                (!process.is_over(self.window), process.last, pid)
            };
            let mut by_age: Vec<_> = self.processes.iter().map(age).collect();
            by_age.sort_unstable();
            for (is_there, _, pid) in &by_age[..MAX_PROCESSES / 2] {
                self.processes.remove(pid);
                // Of one that has ended nothing more is asked.
                self.full.count(Table::Processes, u64::from(*is_there));
            }
        }
        let process = ProcessOfTarget {
            place,
            last: self.window,
            is_seen,
            has_ended: false,
        };
        self.processes.insert(pid, process);
    }

    /// The figures of each that is told apart, by pid.
    pub(super) fn totals(
        &self,
        over: Over,
        memory: &[ProcessMemory],
        workers: &[ProcessWorkers],
    ) -> Vec<TargetTotals> {
        let pids = self.pids(over);
        let are_there = self.are_there(|process| !process.has_ended);
        let is_of = |pid: Pid, place| {
            self.processes
                .get(&pid)
                .is_some_and(|process| process.place == Some(place))
        };
        let one = |(place, (named, mut pids)): (usize, (&NamedTarget, Vec<Pid>))| {
            let memory = memory.iter().filter(|memory| is_of(memory.pid, place));
            let workers = workers.iter().filter(|workers| is_of(workers.pid, place));
            let processes = match over {
                Over::Window => pids.len() as u64,
                Over::Run => named.processes,
            };
            pids.truncate(LISTED);
            TargetTotals {
                pid: named.pid,
                comm: named.comm.clone(),
                processes,
                pids,
                ended: named.has_ended && !are_there[place],
                figures: target::figures(
                    &[&named.target],
                    over,
                    memory.copied().collect(),
                    workers.cloned().collect(),
                ),
            }
        };
        let mut totals: Vec<_> = self.told_apart.iter().zip(pids).enumerate().map(one).collect();
        totals.sort_by_key(|target| target.pid);
        totals
    }

    /// The processes of each target that did something, in order.
    fn pids(&self, over: Over) -> Vec<Vec<Pid>> {
        let mut pids = vec![Vec::new(); self.told_apart.len()];
        let is_wanted =
            |process: &ProcessOfTarget| process.is_seen && (over == Over::Run || process.last == self.window);
        for (&pid, process) in self.processes.iter().filter(|(_, process)| is_wanted(process)) {
            if let Some(pids) = process.place.and_then(|place| pids.get_mut(place)) {
                pids.push(pid);
            }
        }
        pids.iter_mut().for_each(|pids| pids.sort_unstable());
        pids
    }

    /// What was forgotten or found no place since the last time.
    pub(super) fn take_full(&self) -> Full {
        let full = self.full.take();
        self.all().iter().for_each(|target| full.add(&target.take_full()));
        full
    }

    /// Adds the window to the run, and starts the next.
    pub(super) fn close_window(&mut self) {
        let max_paths = self.max_paths();
        for named in &mut self.told_apart {
            named.target.close_window(max_paths);
        }
        self.others.close_window(max_paths);
        self.window += 1;
        self.free();
    }
}

impl ProcessOfTarget {
    /// Whether nothing more comes of it.
    const fn is_over(&self, window: u64) -> bool {
        self.has_ended && self.last + KEPT_WINDOWS < window
    }
}

impl NamedTarget {
    /// Whether it is named after process `pid`, which has not ended.
    fn is_of(&self, pid: Pid) -> bool {
        self.pid == pid && !self.has_ended
    }
}
