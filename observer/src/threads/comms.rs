//! Names of threads that had CPUs or woke others, each kept once: thousands of slices have few names.

use std::sync::Arc;

use observer_common::limits::COMM_BYTES;
use rustc_hash::FxHashMap;

use crate::event;
use crate::newest::Newest;

/// Names that are remembered. One is for as long as half as many others come up after it was last met.
const MAX_COMMS: usize = 4096;

/// A name, see [`super::Threads::comm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comm(u32);

/// The names that were met last, by number.
#[derive(Debug, Default)]
pub(super) struct Comms {
    names: Newest<([u8; COMM_BYTES], Arc<str>), MAX_COMMS>,
    /// Number of the first of them. Numbers wrap.
    first: u32,
    numbers: FxHashMap<[u8; COMM_BYTES], u32>,
}

impl Comms {
    /// The number of a name. One that would soon be forgotten gets a new one.
    pub(super) fn number(&mut self, name: &[u8; COMM_BYTES]) -> Comm {
        let next = self.first.wrapping_add(self.names.len() as u32);
        if let Some(&number) = self.numbers.get(name)
            && next.wrapping_sub(number) as usize <= MAX_COMMS / 2
        {
            return Comm(number);
        }
        if let Some((oldest, _)) = self.names.push((*name, event::text(name).into())) {
            if self.numbers.get(&oldest) == Some(&self.first) {
                self.numbers.remove(&oldest);
            }
            self.first = self.first.wrapping_add(1);
        }
        self.numbers.insert(*name, next);
        Comm(next)
    }

    /// The name with this number, if it was not forgotten.
    pub(super) fn get(&self, comm: Comm) -> Option<&Arc<str>> {
        let place = comm.0.wrapping_sub(self.first);
        self.names.get(place as usize).map(|(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> [u8; COMM_BYTES] {
        event::text_field(&format!("thread-{number}"))
    }

    #[test]
    fn a_name_is_kept_while_it_is_met_and_forgotten_after_many_others() {
        let mut comms = Comms::default();
        let once = comms.number(&name(0));
        for other in 2..10 * MAX_COMMS as u32 {
            let often = comms.number(&name(1));
            comms.number(&name(other));
            assert_eq!(comms.get(often).unwrap().as_ref(), "thread-1");
            if other < MAX_COMMS as u32 / 2 {
                assert_eq!(comms.get(once).unwrap().as_ref(), "thread-0");
            }
        }
        assert_eq!(comms.get(once), None);
        assert!(comms.names.len() <= MAX_COMMS && comms.numbers.len() <= MAX_COMMS);
    }
}
