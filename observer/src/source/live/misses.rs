//! Events that did not come to observer's programs. The kernel does not begin a program on a CPU where the same one has
//! not ended: a thread was preempted in it there, or was interrupted, and the next comes to the same hook. It counts
//! what it kept from the program so (`recursion_misses`, Linux 5.12), which itself knows nothing of it.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
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
    /// What is kept from these programs, none of which was loaded before `began_ns`: also while others were attached.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(super) fn begin(programs: Vec<OwnedFd>, began_ns: u64) -> Result<Self> {
        let call = "the kernel does not tell which events it kept from programs: bpf(BPF_OBJ_GET_INFO_BY_FD)";
        counted_of_all(&programs).context(call)?;
        Ok(Self {
            programs,
            counted: 0,
            looked_ns: began_ns,
        })
    }

    /// Whether it is time to look again.
    pub(super) const fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.looked_ns) >= LOOK_NS
    }

    /// What was kept from them since the last look, if anything was.
    pub(super) fn look(&mut self) -> Option<event::Lost> {
        let looked_ns = clock(libc::CLOCK_MONOTONIC);
        let counted = counted_of_all(&self.programs);
        // Where it is not told this time, what there is is found at the next look, since the last that was.
        self.counts(counted.ok()?, looked_ns, clock(libc::CLOCK_MONOTONIC))
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

/// How often the kernel did not begin these programs.
///
/// # Errors
/// When it is not told of one.
fn counted_of_all(programs: &[OwnedFd]) -> io::Result<u64> {
    programs.iter().map(counted_of).sum()
}

/// How often the kernel did not begin a program since it was loaded.
///
/// # Errors
/// When it is not told.
fn counted_of(program: &OwnedFd) -> io::Result<u64> {
    let mut info = [0_u64; INFO_WORDS];
    let mut question = InfoQuestion {
        program: program.as_raw_fd().cast_unsigned(),
        bytes: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the kernel reads the question, which lives on the stack, and writes as many bytes as that says into
    // `info`, which does too. It writes into the question how many that were.
    let status = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_OBJ_GET_INFO_BY_FD as libc::c_long,
            &raw mut question,
            size_of_val(&question),
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // An older kernel tells less.
    let told = info[..question.bytes as usize / size_of::<u64>()].get(MISSES);
    told.copied().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_does_not_tell_is_no_zero_and_leaves_what_was_counted_before() {
        let no_program = || vec![std::fs::File::open("/dev/null").unwrap().into()];
        assert!(Misses::begin(no_program(), 0).is_err());
        let mut misses = Misses::begin(Vec::new(), 0).unwrap();
        misses.counts(7, 20, 21);
        misses.programs = no_program();
        assert!(misses.look().is_none());
        let lost = misses.counts(8, 40, 41).unwrap();
        assert_eq!((lost.count, lost.from_ns), (1, 20));
    }

    #[test]
    fn what_is_counted_since_the_last_look_was_lost_between_the_two() {
        let mut misses = Misses::begin(Vec::new(), 0).unwrap();
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
