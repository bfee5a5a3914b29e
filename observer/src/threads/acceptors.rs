//! Which threads of a process were woken because its listener had a connection: those accept.

use rustc_hash::FxHashMap;

use super::Threads;
use crate::model::full::{Full, Table};

/// Threads that are remembered of a process, the newest. A runtime's workers take turns.
const MAX_ACCEPTORS: usize = 16;

/// By process, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Acceptors(FxHashMap<u32, Vec<u32>>);

impl Acceptors {
    /// A new connection woke a thread.
    pub(super) fn woken(&mut self, pid: u32, tid: u32, full: &Full) {
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

    /// A thread ended.
    pub(super) fn ended(&mut self, pid: u32, tid: u32) {
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
    pub fn acceptors(&self, pid: u32) -> &[u32] {
        self.acceptors.0.get(&pid).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_acceptors_are_remembered_until_they_end() {
        let (mut acceptors, full) = (Acceptors::default(), Full::default());
        for tid in 1..=MAX_ACCEPTORS as u32 + 1 {
            acceptors.woken(7, tid, &full);
            acceptors.woken(7, tid, &full);
        }
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::Acceptors, 1)]);
        assert_eq!(acceptors.0[&7].len(), MAX_ACCEPTORS);
        assert_eq!(acceptors.0[&7][0], 2);
        (1..=MAX_ACCEPTORS as u32 + 1).for_each(|tid| acceptors.ended(7, tid));
        assert!(acceptors.0.is_empty());
    }
}
