//! Sums of each process, of a bounded number of them.

use std::collections::{BTreeMap, VecDeque};

use crate::model::full::{Full, Table};
use crate::model::id::Pid;

/// Processes that are told apart. Beyond, those make room that have ended, and where none has, no other finds any.
const MAX_PROCESSES: usize = 256;

/// The sums, by process.
#[derive(Clone, Debug, Default)]
pub(super) struct ByProcess<T> {
    sums: BTreeMap<Pid, T>,
    /// Those that have ended, the first of them first.
    ended: VecDeque<Pid>,
}

impl<T: Default> ByProcess<T> {
    /// Those of process `pid`, if there is room. What finds none or makes it is counted.
    pub(super) fn of(&mut self, pid: Pid, full: &Full) -> Option<&mut T> {
        if self.sums.len() >= MAX_PROCESSES && !self.sums.contains_key(&pid) {
            full.count(Table::Processes, 1);
            self.sums.remove(&self.ended.pop_front()?);
        }
        Some(self.sums.entry(pid).or_default())
    }

    /// Nothing more comes of process `pid`.
    pub(super) fn ended(&mut self, pid: Pid) {
        if self.sums.contains_key(&pid) {
            self.ended.push_back(pid);
        }
    }

    /// Makes room of the process that had this number before.
    pub(super) fn forget(&mut self, pid: Pid, full: &Full) {
        if self.sums.remove(&pid).is_some() {
            self.ended.retain(|ended| *ended != pid);
            full.count(Table::Processes, 1);
        }
    }

    pub(super) fn clear(&mut self) {
        self.sums.clear();
        self.ended.clear();
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.sums.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_ended_make_room_and_their_numbers_begin_anew() {
        let (mut sums, full) = (ByProcess::<u64>::default(), Full::default());
        let most = MAX_PROCESSES as u32;
        (0..most).for_each(|pid| *sums.of(Pid(pid), &full).unwrap() = 1);
        assert_eq!(full, Full::default());
        assert!(sums.of(Pid(most), &full).is_none());
        for pid in [7, 5, 9] {
            sums.ended(Pid(pid));
        }
        sums.forget(Pid(9), &full);
        assert_eq!(*sums.of(Pid(9), &full).unwrap(), 0);
        for pid in [most, most + 1] {
            *sums.of(Pid(pid), &full).unwrap() = 2;
        }
        assert!(
            sums.of(Pid(7), &full).is_none(),
            "9 is another now, which has not ended"
        );
        assert_eq!(sums.all().sum::<u64>(), u64::from(most) - 3 + 4);
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::Processes, 5)]);
    }
}
