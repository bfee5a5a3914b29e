//! What samples cost: the clock of the server's CPU is turned off and on again under one observer, turn by turn. The
//! others rest meanwhile: nobody who is watched runs there.
//!
//! Two observers, one after the other, differ by more than that: by what the machine does meanwhile. And a request is
//! written by default if it is slow for the run. With samples all are a little slower, so turns with them would have
//! most of what the run writes, which says nothing of an observer that samples all the time. Here none is written, or
//! all.

use std::fs;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lab::child::Child;
use rustix::ioctl::{self, NoArg, Opcode};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::figures::{Cpu, Spent};
use super::load::{self, Server};
use super::subject::{Subject, Tools, WRITES_NONE_AND_ALL};
use super::{Bench, CONNECTIONS, proc, report};

/// Pairs of turns in each round: many, as turns differ by more than what samples add.
const PAIRS_A_ROUND: u16 = 6;
const TURN: Duration = Duration::from_secs(1);
/// The first seconds of a load: most of the server's code that samples see is known after three.
const WARM_UP: Duration = Duration::from_secs(4);

pub(super) fn run(bench: &Bench, paths: &[String]) -> Result<()> {
    let tools = Tools::of(&bench.programs, None);
    xtask::print(report::SAMPLES_HEADING)?;
    for path in paths {
        for subject in &WRITES_NONE_AND_ALL {
            let (with, without) = measure(bench, &tools, path, subject)?;
            xtask::print(&report::samples(path, subject, &with, &without))?;
        }
    }
    xtask::print("")
}

/// Turns with samples, and those beside them without, all under one load: to begin one has its own price.
fn measure(bench: &Bench, tools: &Tools, path: &str, subject: &Subject) -> Result<(Vec<Spent>, Vec<Spent>)> {
    let server = Server::start(&bench.programs, 1)?;
    let observer = subject.start(tools, server.pid())?;
    let observer = observer.context("observer was not started")?;
    let clock = Clock::of(observer.pid())?;
    let pairs = bench.rounds.saturating_mul(PAIRS_A_ROUND);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let at_most = (WARM_UP + TURN * 2 * u32::from(pairs)) * 2;
    let wrk = bench.load.begin(&server.url(path), CONNECTIONS, at_most)?;
    thread::sleep(WARM_UP);
    for pair in 1..=pairs {
        eprint!("\r{path}, {}: pair {pair} of {pairs}          ", subject.name);
        // What drifts from turn to turn is for the one as often as for the other.
        let first = pair % 2 == 0;
        for on in [first, !first] {
            clock.set(on)?;
            let turns = if on { &mut with } else { &mut without };
            turns.push(turn(&server, &observer)?);
        }
        if bench.interrupt.came() {
            bail!("interrupted");
        }
    }
    eprintln!();
    load::answered(&wrk.stop()?)?;
    Ok((with, without))
}

/// What a loaded server and observer take in a turn. The server writes each answer at once, and next to nothing else.
fn turn(server: &Server, observer: &Child) -> Result<Spent> {
    let load = || {
        let (before, start) = (proc::writes(server.pid())?, Instant::now());
        thread::sleep(TURN);
        let duration = start.elapsed();
        Ok((proc::writes(server.pid())?.saturating_sub(before), duration))
    };
    let (cpu, (requests, duration)) = Cpu::during(server.pid(), Some(observer), load)?;
    Ok(Spent {
        requests,
        duration,
        cpu,
    })
}

/// The clock of observer's on which a CPU has a program run.
struct Clock(OwnedFd);

impl Clock {
    /// The one of the server's CPU, of a process of ours: its descriptor of it, which is copied.
    fn of(pid: u32) -> Result<Self> {
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = pidfd_open(process.context("no process has this id")?, PidfdFlags::empty())
            .context("cannot hold observer's process")?;
        let mut clocks = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            let entry = entry?;
            if fs::read_link(entry.path())?.as_os_str() == "anon_inode:[perf_event]" {
                let name = entry.file_name();
                let descriptor = name.to_str().and_then(|name| name.parse::<i32>().ok());
                clocks.push(descriptor.context("a descriptor has no number")?);
            }
        }
        // They were made CPU by CPU.
        clocks.sort_unstable();
        let clock = clocks.get(usize::from(load::SERVER_CPU)).copied();
        let clock = clock.context("observer has no clock on the server's CPU: samples are off")?;
        let copied = pidfd_getfd(&process, clock, PidfdGetfdFlags::empty());
        Ok(Self(copied.context("cannot copy a descriptor of observer's")?))
    }

    /// `PERF_EVENT_IOC_ENABLE` and `PERF_EVENT_IOC_DISABLE` of `linux/perf_event.h`.
    fn set(&self, on: bool) -> Result<()> {
        const ENABLE: Opcode = ioctl::opcode::none(b'$', 0);
        const DISABLE: Opcode = ioctl::opcode::none(b'$', 1);
        if on {
            self.ask::<ENABLE>()
        } else {
            self.ask::<DISABLE>()
        }
    }

    fn ask<const REQUEST: Opcode>(&self) -> Result<()> {
        // SAFETY: neither request takes an argument.
        let request = unsafe { NoArg::<REQUEST>::new() };
        // SAFETY: they write no memory.
        let asked = unsafe { ioctl::ioctl(&self.0, request) };
        asked.context("cannot turn a clock of observer's on or off")
    }
}
