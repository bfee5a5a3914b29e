//! The processes that run Go: their cycles of garbage collection, which of their goroutines work for that, and what was
//! told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assists::{Assist, Assists, Looks};
use super::cycles::{Cycle, CycleCounts, Cycles, Phase};
use super::waits::SeenWaiting;
use super::{Stay, Version};
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Task, TaskId, Tid};
use crate::model::request::{GcOverlap, WaitsIn};
use crate::model::runtime::{GoProcess, RuntimeAtWork, RuntimeLine, RuntimeThread};

/// Threads that are listed.
const LISTED: usize = 64;

/// Goroutines of a process that work for its garbage collection, at most: there are as many as run at a time. One more,
/// and they are found anew.
const MAX_MARKERS: usize = 1024;

/// Threads of each process that are remembered to have run goroutines.
const MAX_TOLD: usize = 1024;

/// All of them.
#[derive(Debug, Default)]
pub struct Processes {
    processes: BTreeMap<Pid, Process>,
    looks: Looks,
    /// What is not remembered any more.
    pub(crate) full: Full,
}

#[derive(Debug, Default)]
struct Process {
    /// Its first line, when it is known whether its goroutines are.
    line: Option<RuntimeLine>,
    /// Its version, where they are.
    version: Option<Version>,
    /// What its memory tells, once that is known or not to be had.
    go: Option<GoProcess>,
    /// How many threads the last line has, and all that were seen to run goroutines.
    threads_told: usize,
    threads: BTreeMap<Tid, Option<Arc<str>>>,
    /// Its memory told more since the last line.
    has_news: bool,
    cycles: Cycles,
    assists: Assists,
    heap: Option<Heap>,
    markers: BTreeSet<TaskId>,
    seen_waiting: SeenWaiting,
}

/// A heap when it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// What is in use, with what is not yet found to be not, bytes.
    pub bytes: u64,
    /// How much of it there may be when the next cycle is over, bytes; `None` where that is not bounded.
    pub goal_bytes: Option<u64>,
}

impl Processes {
    /// It was found out whether the goroutines of a process are known: of this version, if they are.
    pub(crate) fn found(&mut self, line: &RuntimeLine, version: Option<Version>) {
        let process = self.processes.entry(line.pid).or_default();
        process.version = version;
        process.line = Some(line.clone());
        process.has_news = process.go.is_some();
    }

    /// It was found out whether the memory of a process tells of its cycles.
    pub(crate) fn cycles_known(&mut self, pid: Pid, cycles: bool, evidence: String) {
        let go = self.memory_of(pid);
        go.cycles = Some(cycles);
        go.evidence = Some(evidence);
    }

    /// It was found out whether the memory of a process tells how many goroutines it has.
    pub(crate) fn counting_known(&mut self, pid: Pid, goroutines: bool, evidence: String) {
        let go = self.memory_of(pid);
        go.goroutines = Some(goroutines);
        go.goroutines_evidence = Some(evidence);
    }

    /// What the memory of a process tells, of which there is more now.
    fn memory_of(&mut self, pid: Pid) -> &mut GoProcess {
        let process = self.processes.entry(pid).or_default();
        process.has_news = true;
        process.go.get_or_insert_default()
    }

    /// A cycle has come to be known, or more of the last one.
    pub(crate) fn cycle(&mut self, pid: Pid, cycle: Cycle) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.cycles.add(cycle);
        }
    }

    /// A look at the memory of a process told how many of its threads may run goroutines, and of its heap.
    pub(crate) fn looked(&mut self, pid: Pid, max_procs: u64, heap: Heap) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        process.heap = Some(heap);
        if let Some(go) = &mut process.go
            && go.max_procs != Some(max_procs)
        {
            go.max_procs = Some(max_procs);
            process.has_news = true;
        }
    }

    /// A thread was seen with what stands in a record's field of a task.
    pub(crate) fn seen(&mut self, pid: Pid, tid: Tid, at_ns: u64, field: u64) {
        if let Some(since_ns) = self.looks.seen(pid, tid, at_ns, field, &self.full)
            && let Some(process) = self.processes.get_mut(&pid)
        {
            process.assists.add(tid, since_ns, at_ns);
        }
        let Some(stay) = Stay::of(field).filter(|stay| stay.can_be_marker()) else {
            return;
        };
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        if let (Some(version), Some(task)) = (process.version, Task::new(field).id())
            && stay.is_marker(version)
        {
            if process.markers.len() == MAX_MARKERS && !process.markers.contains(&task) {
                self.full.count(Table::Cycles, MAX_MARKERS as u64);
                process.markers.clear();
            }
            process.markers.insert(task);
        }
    }

    /// A goroutine of a process waited at this time in these functions, from the innermost out.
    pub(crate) fn waited(
        &mut self,
        pid: Pid,
        task: TaskId,
        stay: Option<Stay>,
        at_ns: u64,
        functions: &[impl AsRef<str>],
    ) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.seen_waiting.add(task, stay, at_ns, functions);
        }
    }

    /// Where a goroutine of a process waited most, of the looks at it in this time.
    pub(crate) fn waits_in(&self, pid: Pid, task: TaskId, from_ns: u64, to_ns: u64) -> Option<&WaitsIn> {
        let waits = &self.processes.get(&pid)?.seen_waiting;
        if waits.forgotten_until_ns > from_ns {
            self.full.count(Table::Looks, 1);
        }
        waits.most(task, from_ns, to_ns)
    }

    /// When a goroutine of a process was seen waiting for a mutex last in this time, ns, and what it said then.
    pub(crate) fn last_for_mutex(
        &self,
        pid: Pid,
        task: TaskId,
        from_ns: u64,
        to_ns: u64,
    ) -> Option<(u64, Option<Stay>)> {
        let process = self.processes.get(&pid)?;
        process.seen_waiting.last_for_mutex(task, from_ns, to_ns)
    }

    /// Whether a goroutine of a process, which has this version, was seen in this time waiting for something that no
    /// peer's answer ends.
    pub(crate) fn waited_for_no_peer(
        &self,
        (pid, version): (Pid, Version),
        task: TaskId,
        from_ns: u64,
        to_ns: u64,
    ) -> bool {
        let is_other = |stay: Stay| !stay.can_end_by_answer(version);
        let process = self.processes.get(&pid);
        process.is_some_and(|process| process.seen_waiting.was_seen(task, from_ns, to_ns, is_other))
    }

    /// A process became another program, or ended.
    pub(crate) fn forget(&mut self, pid: Pid) {
        self.processes.remove(&pid);
    }

    /// Whether a task is a goroutine of the runtime that marks what is in use.
    pub(crate) fn marks(&self, pid: Pid, task: TaskId) -> bool {
        let process = self.processes.get(&pid);
        process.is_some_and(|process| process.markers.contains(&task))
    }

    /// Whether anything is known of Go's runtime in a process.
    pub(crate) fn has_run(&self, pid: Pid) -> bool {
        self.processes.contains_key(&pid)
    }

    /// The parts of cycles of a process that a time overlaps, the last first.
    pub(crate) fn phases(&self, pid: Pid, from_ns: u64, to_ns: u64) -> impl Iterator<Item = Phase> {
        let process = self.processes.get(&pid);
        let was_forgotten = process.is_some_and(|process| process.cycles.forgotten_until_ns > from_ns);
        let end = self.full.end_of(Table::Cycles, was_forgotten);
        let phases = process.map(|process| process.cycles.phases(from_ns, to_ns));
        phases.into_iter().flatten().chain(end)
    }

    /// When threads of a process were found to help marking, as far as a time overlaps it; the last to end first.
    pub(crate) fn assists(&self, pid: Pid, from_ns: u64, to_ns: u64) -> impl Iterator<Item = Assist> {
        let process = self.processes.get(&pid);
        let was_forgotten = process.is_some_and(|process| process.assists.forgotten_until_ns > from_ns);
        let end = self.full.end_of(Table::Assists, was_forgotten);
        let assists = process.into_iter().flat_map(move |process| {
            let cycle = |assist: &Assist| process.cycles.at(assist.from_ns);
            let between = process.assists.between(from_ns, to_ns);
            between.map(move |assist| Assist {
                cycle: cycle(assist),
                ..*assist
            })
        });
        assists.chain(end)
    }

    /// Which cycles of a process a time overlaps.
    pub(crate) fn overlap(&self, pid: Pid, from_ns: u64, to_ns: u64) -> Option<GcOverlap> {
        let cycles = &self.processes.get(&pid)?.cycles;
        if cycles.forgotten_until_ns > from_ns {
            self.full.count(Table::Cycles, 1);
        }
        cycles.overlap(from_ns, to_ns)
    }

    /// What was counted in each process whose memory tells of its cycles, since this was asked last, with its heap as
    /// it was seen last.
    pub(crate) fn take_counts(&mut self) -> impl Iterator<Item = (Pid, CycleCounts, Heap)> {
        self.processes.iter_mut().filter_map(|(&pid, process)| {
            let heap = process.heap?;
            let counts = CycleCounts {
                assist_ns: process.assists.take_found_ns(),
                ..process.cycles.take_counts()
            };
            Some((pid, counts, heap))
        })
    }

    /// Lines about the processes of which more is known now than was told. These threads were seen to run goroutines.
    pub(crate) fn news<'a>(
        &mut self,
        unix_ns: u64,
        threads: impl Iterator<Item = (Pid, Tid, Option<&'a Arc<str>>)>,
    ) -> Vec<RuntimeLine> {
        for (pid, tid, comm) in threads {
            if let Some(process) = self.processes.get_mut(&pid) {
                process.ran_goroutines(tid, comm, &self.full);
            }
        }
        let lines = self
            .processes
            .values_mut()
            .filter_map(|process| process.news(unix_ns));
        lines.collect()
    }
}

impl Process {
    /// A thread was seen to run goroutines.
    fn ran_goroutines(&mut self, tid: Tid, comm: Option<&Arc<str>>, full: &Full) {
        if self.threads.len() < MAX_TOLD || self.threads.contains_key(&tid) {
            self.threads.insert(tid, comm.cloned());
        } else {
            full.count(Table::Workers, 1);
        }
    }

    fn news(&mut self, unix_ns: u64) -> Option<RuntimeLine> {
        let line = self.line.as_ref()?;
        let count = self.threads.len();
        if !self.has_news && self.threads_told == count {
            return None;
        }
        (self.has_news, self.threads_told) = (false, count);
        let ms = (count > 0).then(|| RuntimeAtWork {
            flavour: None,
            count: count as u64,
            threads: self
                .threads
                .iter()
                .take(LISTED)
                .map(|(&tid, comm)| RuntimeThread {
                    tid,
                    comm: comm.as_deref().map(str::to_owned),
                })
                .collect(),
            evidence: match count {
                1 => "1 thread was seen in a goroutine".to_owned(),
                _ => format!("{count} threads were seen in goroutines"),
            },
        });
        Some(RuntimeLine {
            unix_ns,
            runtimes: ms.into_iter().collect(),
            go: self.go.clone(),
            ..line.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use observer_common::task;

    use super::*;

    const PID: Pid = Pid(7);
    const VERSION: Option<Version> = Some(Version::NEWEST);

    fn found(task_ids: bool) -> RuntimeLine {
        RuntimeLine {
            unix_ns: 1,
            pid: PID,
            name: "go".to_owned(),
            version: Some("go1.26.8".to_owned()),
            task_ids,
            evidence: "g at fsbase-8".to_owned(),
            runtimes: Vec::new(),
            pool_threads: None,
            go: None,
        }
    }

    /// Of each line, how many threads it has and how many may run goroutines.
    fn news(processes: &mut Processes, tids: &[u32]) -> Vec<(u64, Option<u64>)> {
        let threads = tids.iter().map(|&tid| (PID, Tid(tid), None));
        let lines = processes.news(2, threads);
        let told = |line: &RuntimeLine| {
            let max_procs = line.go.as_ref().and_then(|go| go.max_procs);
            (line.runtimes.first().map_or(0, |ms| ms.count), max_procs)
        };
        lines.iter().map(told).collect()
    }

    #[test]
    fn a_line_comes_each_time_that_more_is_known_and_only_then() {
        let mut processes = Processes::default();
        processes.cycles_known(PID, true, String::new());
        assert_eq!(
            news(&mut processes, &[]),
            [],
            "of its goroutines nothing is known yet"
        );
        processes.found(&found(true), VERSION);
        assert_eq!(news(&mut processes, &[8]), [(1, None)]);
        processes.looked(PID, 4, Heap::default());
        assert_eq!(news(&mut processes, &[8]), [(1, Some(4))]);
        processes.looked(PID, 4, Heap::default());
        assert_eq!(news(&mut processes, &[8]), []);
        assert_eq!(news(&mut processes, &[9]), [(2, Some(4))], "it goes on to be one");
        processes.forget(PID);
        assert_eq!(news(&mut processes, &[8, 9, 10]), []);
    }

    #[test]
    fn one_more_goroutine_that_marks_than_there_is_room_for_and_all_are_forgotten_and_counted() {
        let mut processes = Processes::default();
        processes.found(&found(true), VERSION);
        let mut seen = |id: usize| {
            let waits = task::HAS_STAY | 28 << (task::STAY_SHIFT + 8);
            processes.seen(PID, Tid(8), 10, waits | id as u64);
            processes.full.take().counts().collect::<Vec<_>>()
        };
        for id in (1..=MAX_MARKERS).chain([1]) {
            assert_eq!(seen(id), []);
        }
        assert_eq!(seen(MAX_MARKERS + 1), [(Table::Cycles, MAX_MARKERS as u64)]);
        assert!(!processes.marks(PID, TaskId(1)) && processes.marks(PID, TaskId(MAX_MARKERS as u64 + 1)));
    }

    #[test]
    fn who_marks_is_told_by_what_it_waits_for_between_cycles() {
        let stamp = |id: u64, reason: u64| task::HAS_STAY | reason << (task::STAY_SHIFT + 8) | id;
        let marks = |task_ids, reason| {
            let mut processes = Processes::default();
            processes.found(&found(task_ids), VERSION.filter(|_| task_ids));
            processes.seen(PID, Tid(8), 10, stamp(31, reason));
            processes.marks(PID, TaskId(31))
        };
        assert!(marks(true, 28) && marks(true, 29));
        assert!(!marks(true, 27) && !marks(true, 30) && !marks(true, 2));
        assert!(!marks(false, 29), "nothing is known of its goroutines");
    }
}
