//! Where the goroutines of a process are: its runtime has a list of them all. They stay where they are; one that has
//! ended is used again, with another id.

use std::io;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::memory::MemoryRange;
use super::super::offsets::Offsets;
use super::goroutine::Read;
use crate::model::id::TaskId;

/// Goroutines that are gone through, at most.
const MOST_WALKED: u64 = 1 << 17;

/// Goroutines that are gone through at once.
const AT_ONCE: usize = 1024;

/// Goroutines of which it is remembered where they are. One more, and all are forgotten.
const MOST_KNOWN: usize = 16_384;

const WORD: usize = size_of::<u64>();

/// The list of one process.
pub(super) struct List {
    /// Where the runtime has it (`runtime.allgs`).
    all_gs: u64,
    known: FxHashMap<TaskId, u64>,
}

impl List {
    pub(super) fn new(all_gs: u64) -> Self {
        Self {
            all_gs,
            known: FxHashMap::default(),
        }
    }

    /// Where a goroutine is, as far as it was found.
    pub(super) fn place(&self, goroutine: TaskId) -> Option<u64> {
        self.known.get(&goroutine).copied()
    }

    /// Another one is there.
    pub(super) fn forget(&mut self, goroutine: TaskId) {
        self.known.remove(&goroutine);
    }

    /// Goes through the list to find these. Gives how many goroutines are in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn find(
        &mut self,
        wanted: &FxHashSet<TaskId>,
        offsets: &Offsets,
        read: &mut Read<'_>,
    ) -> io::Result<u64> {
        let mut slice = [0; 3];
        let place = |address, words: usize| MemoryRange {
            address,
            bytes: words * WORD,
        };
        read(&[place(self.all_gs, slice.len())], &mut slice)?;
        let [list, length, capacity] = slice;
        if length > capacity || length > MOST_WALKED {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut gs = vec![0; length as usize];
        read(&[place(list, gs.len())], &mut gs)?;
        for gs in gs.chunks(AT_ONCE) {
            let id = |g: &u64| place(g.wrapping_add_signed(offsets.g_goid.into()), 1);
            let places: Vec<_> = gs.iter().map(id).collect();
            let mut ids = vec![0; gs.len()];
            read(&places, &mut ids)?;
            for (&g, id) in gs.iter().zip(ids) {
                if wanted.contains(&TaskId(id)) {
                    if self.known.len() >= MOST_KNOWN {
                        self.known.clear();
                    }
                    self.known.insert(TaskId(id), g);
                }
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::memory;
    use super::*;
    use crate::model::id::Pid;
    use crate::runtime::go::Version;

    /// Goroutines of these ids, in this process's own memory.
    fn find(ids: &[u64], wanted: &[u64], length: u64) -> io::Result<(List, Vec<u64>)> {
        let offsets = Offsets::of(Version::NEWEST);
        let gs: Vec<Vec<u64>> = ids
            .iter()
            .map(|&id| {
                let mut g = vec![0; 64];
                g[offsets.g_goid as usize / WORD] = id;
                g
            })
            .collect();
        let places: Vec<u64> = gs.iter().map(|g| g.as_ptr() as u64).collect();
        let all_gs = [places.as_ptr() as u64, length, ids.len() as u64];
        let mut list = List::new(all_gs.as_ptr() as u64);
        let wanted = wanted.iter().map(|&id| TaskId(id)).collect();
        let me = Pid(std::process::id());
        list.find(&wanted, &offsets, &mut |places, words| {
            memory::read(me, places, words)
        })?;
        Ok((list, places))
    }

    #[test]
    fn goroutines_are_found_by_their_ids_until_another_is_there() {
        let (mut list, places) = find(&[1, 17, 0, 19], &[17, 19, 23], 4).unwrap();
        let place = |list: &List, id| list.place(TaskId(id));
        assert_eq!(
            [17, 19].map(|id| place(&list, id)),
            [Some(places[1]), Some(places[3])]
        );
        assert_eq!([1, 23].map(|id| place(&list, id)), [None; 2]);
        list.forget(TaskId(17));
        assert_eq!(place(&list, 17), None);
    }

    #[test]
    fn what_is_no_list_is_not_gone_through() {
        assert!(find(&[1, 2], &[1], 3).is_err());
        assert!(find(&[1, 2], &[1], u64::MAX).is_err());
        let many = vec![7; AT_ONCE * 2 + 1];
        assert!(find(&many, &[7], many.len() as u64).is_ok());
    }
}
