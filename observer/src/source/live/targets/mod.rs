//! The processes that are watched: which, since when, and in which family.
//!
//! The kernel half decides on the spot: a child of a watched process is one from its fork on, and none any more when it
//! has ended. Its records of that come CPU by CPU; here they are put into the order of their time, and whoever keeps
//! something of each target is told of every [`Change`]. Who is one from the start is chosen in [`choice`]. There are
//! at most `limits::MAX_TARGETS` at once, and the kernel half counts those for whom there is no room: what is kept of
//! each target is bounded by that.

pub mod choice;
mod in_kernel;
pub mod look;

use std::collections::{BTreeMap, BTreeSet};

use observer_common::{Process, ProcessChange, flags};

pub(super) use in_kernel::InKernel;

use crate::event;
use crate::model::id::Pid;
use crate::source::Merge;

/// After a loss the list is compared with the kernel half's so often, once a second: what is still on its way is not
/// missing.
const COMPARISONS: u32 = 3;

/// Something that happened to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is watched from now on.
    Came {
        pid: Pid,
        /// The target that it is a child of.
        parent: Option<Pid>,
        /// It was forked just now, and is the same program as its parent.
        forked: bool,
    },
    /// It runs another program.
    Exec { pid: Pid },
    /// It has ended.
    Gone {
        pid: Pid,
        at_ns: u64,
        /// It is the first of its family.
        is_root: bool,
    },
    /// A target has a child that is not watched.
    Unwatched,
}

/// A watched process.
#[derive(Clone, Copy, Debug)]
struct WatchedTarget {
    /// The first of its family: the one that was chosen.
    root: Pid,
    since_ns: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Targets {
    list: BTreeMap<Pid, WatchedTarget>,
    /// Records that wait for those before them.
    waiting: Vec<Process>,
    /// How often the list is still to be compared, and what differed the last time.
    comparisons: u32,
    differing: BTreeSet<Pid>,
}

impl Targets {
    /// These, which were chosen.
    pub(super) fn new(roots: &[Pid], now_ns: u64) -> Self {
        let mut targets = Self::default();
        for &pid in roots {
            targets.came(pid, None, false, now_ns);
        }
        targets
    }

    pub(super) fn contains(&self, pid: Pid) -> bool {
        self.list.contains_key(&pid)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Their numbers, in order.
    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.list.keys().copied()
    }

    /// Whether process `pid` is one of the family of process `root`.
    pub(super) fn is_of(&self, pid: Pid, root: Pid) -> bool {
        self.list.get(&pid).is_some_and(|target| target.root == root)
    }

    /// How many of the family of process `root`, which has ended itself, are still there.
    pub(super) fn left_of(&self, root: Pid) -> usize {
        self.list.values().filter(|target| target.root == root).count()
    }

    /// Takes a record in.
    pub(super) fn on_record(&mut self, record: &Process) {
        let is_thread = match ProcessChange::from_u32(record.change) {
            Some(ProcessChange::Fork) => record.child_tgid == record.tgid,
            Some(ProcessChange::Exit) => record.flags & flags::GROUP_DEAD == 0,
            Some(ProcessChange::Exec | ProcessChange::Listens) => false,
            None => true,
        };
        if !is_thread {
            self.waiting.push(*record);
        }
    }

    /// What changed before this time, of which all records are in: a drain that began then has read them. Of a child
    /// that ran on another CPU than its parent the end can be read before the beginning.
    pub(super) fn changes(&mut self, before_ns: u64) -> Vec<Change> {
        self.waiting.sort_by_key(|record| record.header.at_ns);
        let ready = self
            .waiting
            .partition_point(|record| record.header.at_ns < before_ns);
        let ready: Vec<Process> = self.waiting.drain(..ready).collect();
        ready.iter().flat_map(|record| self.apply(record)).collect()
    }

    fn apply(&mut self, record: &Process) -> Vec<Change> {
        let at_ns = record.header.at_ns;
        match ProcessChange::from_u32(record.change) {
            Some(ProcessChange::Fork) if record.flags & flags::WATCHED != 0 => {
                self.came(Pid(record.child_tgid), Some(Pid(record.tgid)), true, at_ns)
            }
            Some(ProcessChange::Fork) => vec![Change::Unwatched],
            Some(ProcessChange::Listens) => self.came(Pid(record.tgid), None, false, at_ns),
            Some(ProcessChange::Exec) => vec![Change::Exec {
                pid: Pid(record.tgid),
            }],
            Some(ProcessChange::Exit) => Vec::from_iter(self.gone(Pid(record.tgid), at_ns)),
            None => Vec::new(),
        }
    }

    /// A process is watched since `at_ns`.
    pub(super) fn came(&mut self, pid: Pid, parent: Option<Pid>, forked: bool, at_ns: u64) -> Vec<Change> {
        // Where its end was lost, the number is another's now.
        let mut changes = Vec::from_iter(self.gone(pid, at_ns));
        let root = parent.map_or(pid, |parent| {
            self.list.get(&parent).map_or(parent, |parent| parent.root)
        });
        let target = WatchedTarget {
            root,
            since_ns: at_ns,
        };
        self.list.insert(pid, target);
        changes.push(Change::Came { pid, parent, forked });
        changes
    }

    fn gone(&mut self, pid: Pid, at_ns: u64) -> Option<Change> {
        let target = self.list.get(&pid).filter(|target| target.since_ns <= at_ns)?;
        let is_root = target.root == pid;
        self.list.remove(&pid);
        Some(Change::Gone { pid, at_ns, is_root })
    }

    /// Records were lost: targets can have come and gone.
    pub(super) fn doubt(&mut self) {
        self.comparisons = COMPARISONS;
    }

    /// Whether the list is to be compared with that of the kernel half.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.comparisons > 0
    }

    /// Compares it, and tells the stream what was lost. Twice in a row a target has to be in one of the two lists only.
    pub(super) fn compare(
        &mut self,
        in_kernel: &BTreeSet<Pid>,
        now_ns: u64,
        merge: &mut Merge,
    ) -> Vec<Change> {
        self.comparisons = self.comparisons.saturating_sub(1);
        let own: BTreeSet<Pid> = self.pids().collect();
        let differing: BTreeSet<Pid> = own.symmetric_difference(in_kernel).copied().collect();
        let before = std::mem::replace(&mut self.differing, differing);
        let sure: Vec<Pid> = self.differing.intersection(&before).copied().collect();
        let mut changes = Vec::new();
        for pid in sure {
            if own.contains(&pid) {
                merge.push(bytemuck::bytes_of(&event::TargetGone::new(now_ns, pid)));
                changes.extend(self.gone(pid, now_ns));
            } else if let Some((parent, comm)) = look::parent(pid) {
                let parent = Some(parent).filter(|parent| self.contains(*parent));
                tell_executable(now_ns, pid, merge);
                merge.push(bytemuck::bytes_of(&event::TargetAdded::new(
                    now_ns, pid, parent, &comm,
                )));
                changes.extend(self.came(pid, parent, false, now_ns));
            }
        }
        changes
    }
}

/// Tells the stream which program process `pid` runs, right before that it is watched since `at_ns`.
pub(super) fn tell_executable(at_ns: u64, pid: Pid, merge: &mut Merge) {
    if let Some(path) = look::executable(pid) {
        merge.push(bytemuck::bytes_of(&event::Executable::new(at_ns, pid, &path)));
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::Header;

    use super::*;

    const MASTER: Pid = Pid(7);

    fn record(at_ns: u64, tgid: u32, change: ProcessChange, child: u32, flags: u32) -> Process {
        Process {
            header: Header {
                at_ns,
                tid: tgid,
                ..Header::zeroed()
            },
            tgid,
            change: change as u32,
            child_tid: child,
            child_tgid: child,
            flags,
            ..Process::zeroed()
        }
    }

    fn fork(at_ns: u64, child: u32) -> Process {
        record(at_ns, MASTER.0, ProcessChange::Fork, child, flags::WATCHED)
    }

    fn end(at_ns: u64, pid: u32) -> Process {
        record(at_ns, pid, ProcessChange::Exit, pid, flags::GROUP_DEAD)
    }

    const fn came(pid: u32) -> Change {
        Change::Came {
            pid: Pid(pid),
            parent: Some(MASTER),
            forked: true,
        }
    }

    const fn gone(pid: u32, at_ns: u64) -> Change {
        Change::Gone {
            pid: Pid(pid),
            at_ns,
            is_root: pid == MASTER.0,
        }
    }

    fn read(targets: &mut Targets, records: &[Process], before_ns: u64) -> Vec<Change> {
        records.iter().for_each(|record| targets.on_record(record));
        targets.changes(before_ns)
    }

    #[test]
    fn a_child_whose_end_is_read_before_its_beginning_has_come_and_gone() {
        let mut targets = Targets::new(&[MASTER], 1);
        assert_eq!(
            read(&mut targets, &[end(30, 8), fork(20, 8)], 100),
            [came(8), gone(8, 30)]
        );
        // What a drain reads of the time after it began waits for the next, which has all of it.
        assert_eq!(read(&mut targets, &[end(130, 9)], 120), []);
        assert_eq!(read(&mut targets, &[fork(110, 9)], 200), [came(9), gone(9, 130)]);
        assert_eq!(targets.pids().collect::<Vec<_>>(), [MASTER]);
    }

    #[test]
    fn a_number_that_is_used_again_at_once_is_the_new_process_s() {
        let mut targets = Targets::new(&[MASTER], 1);
        let changes = read(&mut targets, &[fork(40, 8), fork(20, 8), end(30, 8)], 100);
        assert_eq!(changes, [came(8), gone(8, 30), came(8)]);
        // Also where its end was lost.
        assert_eq!(read(&mut targets, &[fork(150, 8)], 200), [gone(8, 150), came(8)]);
        assert!(targets.contains(Pid(8)));
    }

    #[test]
    fn a_family_outlives_its_first_process() {
        let mut targets = Targets::new(&[MASTER], 1);
        let grandchild = record(30, 8, ProcessChange::Fork, 9, flags::WATCHED);
        let changes = read(
            &mut targets,
            &[fork(20, 8), grandchild, end(40, 8), end(50, MASTER.0)],
            100,
        );
        assert_eq!(changes.last(), Some(&gone(MASTER.0, 50)));
        assert_eq!(targets.left_of(MASTER), 1);
        assert!(!targets.is_empty());
        assert_eq!(read(&mut targets, &[end(150, 9)], 200), [gone(9, 150)]);
        assert!(targets.is_empty());
    }

    #[test]
    fn what_a_loss_hid_is_found_out_once_it_is_sure() {
        let (mut targets, mut merge) = (Targets::new(&[MASTER, Pid(8)], 1), Merge::default());
        let me = Pid(std::process::id());
        let in_kernel = BTreeSet::from([MASTER, me]);
        assert!(!targets.is_in_doubt());
        targets.doubt();
        assert_eq!(targets.compare(&in_kernel, 100, &mut merge), []);
        let changes = targets.compare(&in_kernel, 200, &mut merge);
        assert!(targets.contains(me) && !targets.contains(Pid(8)), "{changes:?}");
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert_eq!(targets.compare(&in_kernel, 300, &mut merge), []);
        assert!(!targets.is_in_doubt());
    }
}
