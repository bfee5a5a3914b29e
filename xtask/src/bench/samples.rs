//! What samples cost: their clocks are turned off and on again under one observer, turn by turn.
//!
//! Two observers, one after the other, differ by more than that: by what the machine does meanwhile.

use std::fs;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use rustix::ioctl::{self, NoArg, Opcode};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::figures::Round;
use super::load::Server;
use super::subject::{OBSERVER, Tools};
use super::{Bench, CONNECTIONS, report};

/// Pairs of turns in each round: many, as turns differ by more than what samples add.
const PAIRS_A_ROUND: u16 = 6;

pub(super) fn run(bench: &Bench, paths: &[String]) -> Result<()> {
    let tools = Tools::beside(&bench.observer);
    println!("{}", report::SAMPLES_HEADING);
    for path in paths {
        let server = Server::start(&bench.observer, 1)?;
        let observer = OBSERVER.start(&tools, server.pid())?;
        let observer = observer.context("observer was not started")?;
        let clocks = Clocks::of(observer.pid())?;
        // Most of the server's code that samples see is known after the first three seconds.
        bench.warm_up(&server, path, CONNECTIONS)?;
        bench.warm_up(&server, path, CONNECTIONS)?;
        let pairs = bench.rounds.saturating_mul(PAIRS_A_ROUND);
        let (mut with, mut without): (Vec<Round>, Vec<Round>) = (Vec::new(), Vec::new());
        for pair in 1..=pairs {
            eprint!("\r{path}: pair {pair} of {pairs}          ");
            // What drifts from turn to turn is for the one as often as for the other.
            let first = pair % 2 == 0;
            for on in [first, !first] {
                clocks.set(on)?;
                let turns = if on { &mut with } else { &mut without };
                turns.push(bench.turn(&server, path, CONNECTIONS, Some(&observer))?);
            }
        }
        eprintln!();
        println!("{}", report::samples(path, &with, &without));
    }
    Ok(())
}

/// The clocks on which a process has programs run.
struct Clocks(Vec<OwnedFd>);

impl Clocks {
    /// Those of a process of ours: its descriptors of them, which are copied.
    fn of(pid: u32) -> Result<Self> {
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = pidfd_open(process.context("no process has this id")?, PidfdFlags::empty())
            .context("cannot hold observer's process")?;
        let mut clocks = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            let entry = entry?;
            if fs::read_link(entry.path())?.as_os_str() != "anon_inode:[perf_event]" {
                continue;
            }
            let name = entry.file_name();
            let descriptor = name.to_str().and_then(|name| name.parse().ok());
            let descriptor = descriptor.context("a descriptor has no number")?;
            let copied = pidfd_getfd(&process, descriptor, PidfdGetfdFlags::empty());
            clocks.push(copied.context("cannot copy a descriptor of observer's")?);
        }
        ensure!(!clocks.is_empty(), "observer has no clocks: samples are off");
        Ok(Self(clocks))
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
        for clock in &self.0 {
            // SAFETY: neither request takes an argument.
            let request = unsafe { NoArg::<REQUEST>::new() };
            // SAFETY: they write no memory.
            let asked = unsafe { ioctl::ioctl(clock, request) };
            asked.context("cannot turn a clock of observer's on or off")?;
        }
        Ok(())
    }
}
