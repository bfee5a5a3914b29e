//! The sampling clock of a CPU, on which the program hangs.
//!
//! Its price is its interrupts, and not what the program does in them. A clock for each watched thread costs more: each
//! switch to and from the thread would set a timer.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result};
use aya_obj::generated::{
    PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, PERF_FLAG_FD_CLOEXEC,
    perf_event_attr, perf_sw_ids, perf_type_id,
};

use crate::source::live::facts::SECOND_NS;

/// Clocks that all run one program.
pub(crate) struct Clocks {
    program: OwnedFd,
    hz: u32,
    /// By CPU; none where the CPU was not online when it was last asked for.
    clocks: Vec<Option<OwnedFd>>,
}

impl Clocks {
    /// A clock on every CPU, which runs `program` `hz` times a second once it is started, while the CPU is not idle.
    pub(crate) fn new(program: BorrowedFd<'_>, hz: u32) -> Result<Self> {
        let cpus = aya::util::online_cpus().map_err(|(file, error)| {
            anyhow::Error::new(error).context(format!("cannot read the CPUs from {file}"))
        })?;
        let mut clocks = Self {
            program: program.try_clone_to_owned()?,
            hz,
            clocks: Vec::new(),
        };
        for cpu in cpus {
            clocks.of(cpu)?;
        }
        Ok(clocks)
    }

    /// Starts or stops the clock of a CPU. When it is started again it goes on where it was, so that the first tick is
    /// not always as long after what it is started for.
    pub(super) fn run(&mut self, cpu: u32, run: bool) -> Result<()> {
        let request = if run {
            PERF_EVENT_IOC_ENABLE
        } else {
            PERF_EVENT_IOC_DISABLE
        };
        ask(self.of(cpu)?, request, 0)
    }

    fn of(&mut self, cpu: u32) -> Result<BorrowedFd<'_>> {
        let place = usize::try_from(cpu)?;
        if self.clocks.len() <= place {
            self.clocks.resize_with(place + 1, || None);
        }
        let clock: &OwnedFd = match &mut self.clocks[place] {
            Some(clock) => clock,
            none => none.insert(open(self.program.as_fd(), cpu, self.hz)?),
        };
        Ok(clock.as_fd())
    }
}

fn open(program: BorrowedFd<'_>, cpu: u32, hz: u32) -> Result<OwnedFd> {
    // SAFETY: a plain C structure, for which zeros are valid.
    let mut attributes: perf_event_attr = unsafe { std::mem::zeroed() };
    attributes.size = u32::try_from(size_of::<perf_event_attr>())?;
    attributes.type_ = perf_type_id::PERF_TYPE_SOFTWARE as u32;
    attributes.config = perf_sw_ids::PERF_COUNT_SW_CPU_CLOCK as u64;
    attributes.set_disabled(1);
    attributes.set_exclude_idle(1);
    // As a period, which this clock makes of a frequency anyway: a frequency above `kernel.perf_event_max_sample_rate`
    // is refused, and the kernel lowers that by itself on a slow machine.
    attributes.__bindgen_anon_1.sample_period = SECOND_NS / u64::from(hz.max(1));
    let (every_process, no_group) = (-1, -1);
    // SAFETY: the kernel reads as many bytes as the structure says, which lives on the stack.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            every_process,
            i32::try_from(cpu)?,
            no_group,
            u64::from(PERF_FLAG_FD_CLOEXEC),
        )
    };
    let clock = RawFd::try_from(opened)
        .ok()
        .filter(|descriptor| *descriptor >= 0)
        .ok_or_else(io::Error::last_os_error)
        .context("the perf_event_open syscall failed")?;
    // SAFETY: a new descriptor, which nobody else owns.
    let clock = unsafe { OwnedFd::from_raw_fd(clock) };
    ask(clock.as_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd())?;
    Ok(clock)
}

fn ask(clock: BorrowedFd<'_>, request: u32, argument: RawFd) -> Result<()> {
    // SAFETY: the requests that are made here take a number, and write no memory.
    let status = unsafe { libc::ioctl(clock.as_raw_fd(), request.into(), argument) };
    if status != 0 {
        return Err(io::Error::last_os_error()).context("the kernel refused to run a program on its clock");
    }
    Ok(())
}
