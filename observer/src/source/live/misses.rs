//! Events that did not come to observer's programs. The kernel does not begin a program on a CPU where the same one has
//! not ended: a thread was preempted in it there, or was interrupted, and the next comes to the same hook. It counts
//! what it kept from the program so (`recursion_misses`, Linux 5.12), which itself knows nothing of it.

use std::mem::offset_of;
use std::os::fd::{AsRawFd as _, OwnedFd};

use aya_obj::generated::{bpf_cmd, bpf_prog_info};

use super::drain::SLACK_NS;
use super::facts::clock;
use crate::event;

/// From one look to the next, at least, ns: one takes some 12 us.
const LOOK_NS: u64 = 50_000_000;

/// Nothing is given out before it is known what is missing of it.
const _: () = assert!(LOOK_NS < SLACK_NS);

/// What the kernel tells of a program, word by word.
const INFO_WORDS: usize = size_of::<bpf_prog_info>() / size_of::<u64>();

/// Which of these words counts what was kept from it.
const MISSES: usize = offset_of!(bpf_prog_info, recursion_misses) / size_of::<u64>();

/// What was kept from these programs.
pub(super) struct Misses {
    programs: Vec<OwnedFd>,
    counted: u64,
    /// When it was looked at last, ns.
    looked_ns: u64,
}

impl Misses {
    /// What is kept from these programs from now on.
    pub(super) fn begin(programs: Vec<OwnedFd>) -> Self {
        let mut misses = Self {
            programs,
            counted: 0,
            looked_ns: 0,
        };
        misses.look();
        misses
    }

    /// Whether it is time to look again.
    pub(super) const fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.looked_ns) >= LOOK_NS
    }

    /// What was kept from them since the last look, if anything was.
    pub(super) fn look(&mut self) -> Option<event::Lost> {
        let looked_ns = clock(libc::CLOCK_MONOTONIC);
        let counted = self.programs.iter().map(counted_of).sum();
        self.counts(counted, looked_ns, clock(libc::CLOCK_MONOTONIC))
    }

    /// So much was counted by now, in a look that was begun at `looked_ns`.
    fn counts(&mut self, counted: u64, looked_ns: u64, now_ns: u64) -> Option<event::Lost> {
        let from_ns = std::mem::replace(&mut self.looked_ns, looked_ns);
        let more = counted.saturating_sub(std::mem::replace(&mut self.counted, counted));
        (more > 0).then(|| event::Lost::new(from_ns, more, from_ns, now_ns, event::Lost::MISSED))
    }
}

/// `union bpf_attr` of `BPF_OBJ_GET_INFO_BY_FD` (`include/uapi/linux/bpf.h`).
#[repr(C)]
struct InfoQuestion {
    program: u32,
    bytes: u32,
    info: u64,
}

/// How often the kernel did not begin a program since it was loaded. An older kernel tells less, and not this.
fn counted_of(program: &OwnedFd) -> u64 {
    let mut info = [0_u64; INFO_WORDS];
    let question = InfoQuestion {
        program: program.as_raw_fd().cast_unsigned(),
        bytes: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the kernel reads the question, which lives on the stack, and writes as many bytes as that says into
    // `info`, which does too.
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_OBJ_GET_INFO_BY_FD as libc::c_long,
            &raw const question,
            size_of_val(&question),
        )
    };
    // Where it was refused, nothing was written.
    info[MISSES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_since_the_last_look_was_lost_between_the_two() {
        let mut misses = Misses::begin(Vec::new());
        assert!(misses.counts(0, 10, 11).is_none());
        let lost = |misses: &mut Misses, counted, looked_ns| {
            let lost = misses.counts(counted, looked_ns, looked_ns + 1)?;
            Some((lost.count, lost.from_ns, lost.to_ns, lost.header.at_ns))
        };
        assert_eq!(lost(&mut misses, 3, 20), Some((3, 10, 21, 10)));
        assert_eq!(lost(&mut misses, 3, 30), None);
        assert_eq!(lost(&mut misses, 5, 40), Some((2, 30, 41, 30)));
        assert!(!misses.is_due(39 + LOOK_NS) && misses.is_due(40 + LOOK_NS));
    }
}
