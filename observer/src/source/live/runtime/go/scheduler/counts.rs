//! What the runtime of a process counts of its goroutines, and what these are themselves: read from outside.

use std::io;

use super::super::memory::{MemoryRange, read};
use super::super::offsets::Offsets;
use super::super::program::Globals;
use crate::model::id::Pid;

/// Goroutines that are gone through at once.
const AT_ONCE: usize = 512;

/// More Ps than this are none.
const MOST_PS: u64 = 1 << 12;

/// Goroutines in the queue of a P, at most.
const MOST_QUEUED: u32 = 256;

/// `_Gscan`, which comes on top of what a goroutine is, `_Grunnable` and `_Gdead`.
const SCANNED: u32 = 0x1000;
const RUNNABLE: u32 = 1;
const DEAD: u32 = 6;

/// `_Pidle`.
const IDLE: u32 = 0;

/// A status stands right before the id, bytes.
const BEFORE_ID: u64 = 8;

/// Reads it of one process.
pub(super) struct Reader {
    pub(super) pid: Pid,
    pub(super) globals: Globals,
    pub(super) offsets: Offsets,
}

/// What the runtime counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Where its list of all goroutines is, and how long: those that have ended stay in it.
    list: u64,
    pub(super) all: u64,
    /// Of these, those that have ended.
    pub(super) free: u64,
    /// Those that serve the runtime itself.
    system: u64,
    /// Those in queues: of the scheduler, and of each P.
    pub(super) runnable: u64,
    /// The Ps, and how many of them say that they are idle, and are counted to be.
    pub(super) ps: u64,
    idle: u64,
    counted_idle: u64,
}

/// What the goroutines themselves are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) free: u64,
    pub(super) runnable: u64,
}

/// What all Ps share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shared {
    ps: [u64; 2],
    list: [u64; 2],
    max_procs: u32,
    pub(super) free: u64,
    system: u32,
    idle: u32,
    runnable: u32,
}

impl Shared {
    /// Whether no goroutine was moved between what is counted together.
    fn is_same(&self, other: &Self) -> bool {
        let counted = |shared: &Self| (shared.ps, shared.list, shared.free, shared.system);
        counted(self) == counted(other)
    }
}

impl Counts {
    /// As `runtime.NumGoroutine` has it.
    pub(super) const fn goroutines(&self) -> Option<u64> {
        match self.all.checked_sub(self.free + self.system) {
            Some(count @ 1..) => Some(count),
            _ => None,
        }
    }

    /// Whether a walk through the goroutines agrees.
    pub(super) fn is_proved_by(&self, walk: Walk) -> bool {
        let of_walk = Walk {
            free: self.free,
            runnable: self.runnable,
        };
        // Where none has ended nothing tells where those are counted.
        self.free > 0 && self.idle == self.counted_idle && self.goroutines().is_some() && walk == of_walk
    }
}

impl Reader {
    /// What is counted now, if it is in order and was not changed meanwhile.
    pub(super) fn counts(&self) -> io::Result<Option<Counts>> {
        let shared = self.shared()?;
        let [ps_at, ps] = shared.ps;
        if ps != u64::from(shared.max_procs) || !(1..=MOST_PS).contains(&ps) {
            return Ok(None);
        }
        let mut at = vec![0; ps as usize];
        read(self.pid, &[array(ps_at, ps)], &mut at)?;
        let mut counts = Counts {
            list: shared.list[0],
            all: shared.list[1],
            free: shared.free,
            system: shared.system.into(),
            runnable: shared.runnable.into(),
            ps,
            idle: 0,
            counted_idle: shared.idle.into(),
        };
        if !self.add_ps(&at, &mut counts)? || !self.shared()?.is_same(&shared) {
            return Ok(None);
        }
        Ok(Some(counts))
    }

    fn shared(&self) -> io::Result<Shared> {
        let of_sched = |offset| half(self.globals.sched, offset);
        let Offsets {
            sched_system,
            sched_idle,
            sched_runnable,
            sched_free,
            sched_free_without_stack,
            ..
        } = self.offsets;
        let globals = &self.globals;
        let places = [
            of_sched(sched_system),
            of_sched(sched_idle),
            of_sched(sched_runnable),
            half(globals.max_procs, 0),
            of_sched(sched_free),
            of_sched(sched_free_without_stack),
            array(globals.all_ps, 2),
            array(globals.all_gs, 2),
        ];
        let mut words = [0; 7];
        read(self.pid, &places, &mut words)?;
        let [system_idle, runnable_procs, free, ps_at, ps, list, all] = words;
        let [system, idle] = halves(system_idle);
        let [runnable, max_procs] = halves(runnable_procs);
        let [free, without_stack] = halves(free).map(u64::from);
        let is_one = sched_free == sched_free_without_stack;
        Ok(Shared {
            ps: [ps_at, ps],
            list: [list, all],
            max_procs,
            free: if is_one { free } else { free + without_stack },
            system,
            idle,
            runnable,
        })
    }

    /// Adds what the Ps at these addresses count. Gives whether they are Ps.
    fn add_ps(&self, at: &[u64], counts: &mut Counts) -> io::Result<bool> {
        let Offsets {
            p_id,
            p_status,
            p_head,
            p_tail,
            p_next,
            p_free,
            ..
        } = self.offsets;
        let places = |&p: &u64| {
            let next = array(p.wrapping_add(p_next.into()), 1);
            let free = array(p.wrapping_add(p_free.into()), 1);
            let [id, status, head, tail] = [p_id, p_status, p_head, p_tail].map(|offset| half(p, offset));
            [id, status, head, tail, next, free]
        };
        let places: Vec<_> = at.iter().flat_map(places).collect();
        let mut words = vec![0; at.len() * 4];
        read(self.pid, &places, &mut words)?;
        let (each, _) = words.as_chunks::<4>();
        for (index, &[what, queue, next, free]) in each.iter().enumerate() {
            let ([id, status], [head, tail], [free, _]) = (halves(what), halves(queue), halves(free));
            let queued = tail.wrapping_sub(head);
            if id as usize != index || queued > MOST_QUEUED {
                return Ok(false);
            }
            counts.runnable += u64::from(queued) + u64::from(next != 0);
            counts.free += u64::from(free);
            counts.idle += u64::from(status == IDLE);
        }
        Ok(true)
    }

    /// Goes through all goroutines.
    pub(super) fn walk(&self, counts: &Counts) -> io::Result<Walk> {
        let mut gs = vec![0; counts.all as usize];
        read(self.pid, &[array(counts.list, counts.all)], &mut gs)?;
        let (status, m) = (self.offsets.g_goid as u64 - BEFORE_ID, self.offsets.g_m as u64);
        let mut walk = Walk::default();
        for gs in gs.chunks(AT_ONCE) {
            let places = gs
                .iter()
                .flat_map(|&g| [array(g.wrapping_add(status), 1), array(g.wrapping_add(m), 1)]);
            let places: Vec<_> = places.collect();
            let mut words = vec![0; places.len()];
            read(self.pid, &places, &mut words)?;
            let (each, _) = words.as_chunks::<2>();
            for &[status, m] in each {
                let [status, _] = halves(status);
                // What a thread of C has for its calls of Go is not free.
                walk.free += u64::from(status == DEAD && m == 0);
                walk.runnable += u64::from(status & !SCANNED == RUNNABLE);
            }
        }
        Ok(walk)
    }
}

/// So many words.
const fn array(address: u64, words: u64) -> MemoryRange {
    MemoryRange {
        address,
        bytes: words as usize * size_of::<u64>(),
    }
}

/// A number of four bytes.
fn half(address: u64, offset: u16) -> MemoryRange {
    MemoryRange {
        address: address.wrapping_add(offset.into()),
        bytes: size_of::<u32>(),
    }
}

const fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::go::Version;

    #[test]
    fn goroutines_are_those_that_have_not_ended_and_do_not_serve_the_runtime() {
        let counts = Counts {
            all: 40,
            free: 12,
            system: 5,
            ..Counts::default()
        };
        assert_eq!(counts.goroutines(), Some(23));
        assert_eq!(
            Counts { system: 28, ..counts }.goroutines(),
            None,
            "one always runs"
        );
        assert_eq!(Counts { free: 41, ..counts }.goroutines(), None);
    }

    #[test]
    fn only_a_walk_that_agrees_is_a_proof() {
        let counts = Counts {
            all: 40,
            free: 12,
            system: 5,
            runnable: 3,
            idle: 1,
            counted_idle: 1,
            ..Counts::default()
        };
        let walk = Walk {
            free: 12,
            runnable: 3,
        };
        assert!(counts.is_proved_by(walk));
        assert!(!counts.is_proved_by(Walk { free: 11, ..walk }));
        assert!(!counts.is_proved_by(Walk { runnable: 2, ..walk }));
        assert!(
            !Counts {
                counted_idle: 2,
                ..counts
            }
            .is_proved_by(walk)
        );
        let none_ended = Counts { free: 0, ..counts };
        assert!(!none_ended.is_proved_by(Walk { free: 0, ..walk }));
    }

    /// A process whose memory is that of this one: the scheduler is made up of arrays.
    #[test]
    fn what_is_counted_is_read_where_the_offsets_say_and_only_of_ps_in_their_order() {
        let offsets = Offsets::of(Version::NEWEST);
        let put = |words: &mut [u8], offset: u16, number: u32| {
            words[usize::from(offset)..][..4].copy_from_slice(&number.to_le_bytes());
        };
        let mut sched = vec![0; 1024];
        for (offset, number) in [
            (offsets.sched_system, 5),
            (offsets.sched_idle, 1),
            (offsets.sched_runnable, 7),
            (offsets.sched_free, 32),
            (offsets.sched_free_without_stack, 64),
        ] {
            put(&mut sched, offset, number);
        }
        let mut ps = [vec![0; 4096], vec![0; 4096]];
        put(&mut ps[1], offsets.p_id, 1);
        put(&mut ps[1], offsets.p_status, 1);
        put(&mut ps[1], offsets.p_head, u32::MAX);
        put(&mut ps[1], offsets.p_tail, 2);
        put(&mut ps[1], offsets.p_next, 1);
        put(&mut ps[1], offsets.p_free, 4);
        let address = |bytes: &[u8]| bytes.as_ptr() as u64;
        let pointers = [address(&ps[0]), address(&ps[1])];
        let all_ps = [pointers.as_ptr() as u64, 2, 2];
        let all_gs = [8_u64, 200, 256];
        let max_procs = [2_u32];
        let globals = Globals {
            sched: address(&sched),
            all_ps: all_ps.as_ptr() as u64,
            all_gs: all_gs.as_ptr() as u64,
            max_procs: max_procs.as_ptr() as u64,
            ..Globals::default()
        };
        let mut reader = Reader {
            pid: Pid(std::process::id()),
            globals,
            offsets,
        };
        let counts = reader.counts().unwrap().unwrap();
        let expected = Counts {
            list: 8,
            all: 200,
            free: 100,
            system: 5,
            runnable: 11,
            ps: 2,
            idle: 1,
            counted_idle: 1,
        };
        assert_eq!((counts, counts.goroutines()), (expected, Some(95)));
        put(&mut ps[1], offsets.p_id, 2);
        assert_eq!(reader.counts().unwrap(), None);
        reader.pid = Pid(u32::MAX / 2);
        assert!(reader.counts().is_err(), "there is no such process");
    }
}
