//! Takes a CPU away from everybody else on it, for a bounded time.

use std::fs;
use std::hint;
use std::io;
use std::mem::size_of_val;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use testbed::duration;

const BITS: u16 = u64::BITS as u16;
const MASK_WORDS: u16 = 128;
/// Clock reads are cheap but not free; this is some microseconds.
const SPINS_PER_LOOK: u32 = 1000;

/// Spin on one CPU until the duration is over
#[derive(clap::Parser)]
struct Arguments {
    /// CPU to spin on; without it, wherever the scheduler puts it
    #[arg(long, value_parser = clap::value_parser!(u16).range(..i64::from(BITS * MASK_WORDS)))]
    cpu: Option<u16>,
    /// For how long
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration::parse)]
    duration: Duration,
}

fn main() -> Result<()> {
    let Arguments { cpu, duration } = Arguments::parse();
    // The name that the scheduler shows, whatever the file is called.
    fs::write("/proc/self/comm", "hog").context("cannot write /proc/self/comm")?;
    if let Some(cpu) = cpu {
        pin(cpu).with_context(|| format!("cannot run on CPU {cpu}: sched_setaffinity"))?;
    }
    let start = Instant::now();
    while start.elapsed() < duration {
        for _ in 0..SPINS_PER_LOOK {
            hint::spin_loop();
        }
    }
    Ok(())
}

fn pin(cpu: u16) -> io::Result<()> {
    let mut mask = [0_u64; MASK_WORDS as usize];
    mask[usize::from(cpu / BITS)] = 1 << (cpu % BITS);
    // SAFETY: the kernel reads as many bytes as the second argument says, all of them of `mask`. Process 0 is
    // the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
