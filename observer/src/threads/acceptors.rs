//! Which threads of a process were woken because its listener had a connection: those accept.

use rustc_hash::FxHashMap;

use super::Threads;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};

/// Threads that are remembered of a process, the newest. A runtime's workers take turns.
const MAX_ACCEPTORS: usize = 16;

/// By process, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Acceptors(FxHashMap<Pid, Vec<Tid>>);

impl Acceptors {
    /// A new connection woke a thread.
    pub(super) fn woken(&mut self, pid: Pid, tid: Tid, full: &Full) {
        let of_process = self.0.entry(pid).or_default();
        if of_process.contains(&tid) {
            return;
        }
        if of_process.len() == MAX_ACCEPTORS {
            of_process.remove(0);
            full.count(Table::Acceptors, 1);
        }
        of_process.push(tid);
    }

    /// Process `pid` became another program, or ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
    }

    /// A thread ended.
    pub(super) fn ended(&mut self, pid: Pid, tid: Tid) {
        if let Some(of_process) = self.0.get_mut(&pid) {
            of_process.retain(|&known| known != tid);
            if of_process.is_empty() {
                self.0.remove(&pid);
            }
        }
    }
}

impl Threads {
    /// Threads of process `pid` that new connections woke.
    #[must_use]
    pub fn acceptors(&self, pid: Pid) -> &[Tid] {
        self.acceptors.0.get(&pid).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_acceptors_are_remembered_until_they_end() {
        let (mut acceptors, full) = (Acceptors::default(), Full::default());
        let pid = Pid(7);
        let tids = || (1..=MAX_ACCEPTORS as u32 + 1).map(Tid);
        for tid in tids() {
            acceptors.woken(pid, tid, &full);
            acceptors.woken(pid, tid, &full);
        }
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::Acceptors, 1)]);
        assert_eq!(acceptors.0[&pid].len(), MAX_ACCEPTORS);
        assert_eq!(acceptors.0[&pid][0], Tid(2));
        tids().for_each(|tid| acceptors.ended(pid, tid));
        assert!(acceptors.0.is_empty());
    }
}
