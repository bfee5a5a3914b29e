//! What `attach` and `record` share: look at the targets, load the kernel half, drain it until something ends
//! the run.

use std::fs;
use std::future::pending;
use std::time::Duration;

use anyhow::{Context as _, Result};
use observer::model::full::Full;
use observer::model::header::{Header, Options, Requests, RuntimeInfo, SignalInfo, TargetInfo};
use observer::model::id::Pid;
use observer::output::SAMPLE_ONE_IN;
use observer::runtime::go::PROBE_NS as GOROUTINE_PROBE_NS;
use observer::runtime::tokio::polls::PROBE_NS;
use observer::source::live::signals::{self, Probes};
use observer::source::live::targets::choice::{self, Choice, Unwatched, Vacant};
use observer::source::live::targets::look::{self, Target};
use observer::source::live::{self, KernelHalf, LiveSource, privilege};
use observer::source::{Batch, Source as _};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::args::{Print, Watch};
use super::say::say;

/// SIGHUP, among the signals of a process.
const HANGUP: u64 = 1;

/// A run that is attached and not yet drained.
pub(crate) struct Attached {
    source: LiveSource,
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    duration: Option<Duration>,
    /// What the run is about.
    pub(crate) header: Header,
}

/// Looks at the targets and attaches. What is to be printed of them a recording leaves open.
pub(crate) fn attach(watch: &Watch, print: Option<&Print>) -> Result<Attached> {
    let choice = Choice {
        pids: watch.pids.iter().copied().map(Pid).collect(),
        ports: watch.ports.clone(),
        follow: !watch.no_follow,
    };
    let chosen = choice::choose(&choice)?;
    privilege::require()?;
    let targets = chosen.targets;
    chosen.vacant.into_iter().for_each(say_vacant);
    let load = load_options(watch, choice, &targets)?;
    let kernel_half = KernelHalf::load(&load)?;
    signals::require(&kernel_half.outcomes)?;
    kernel_half.outcomes.iter().for_each(say_refused);
    // The end of one that died while this attached was recorded by nobody: it would be waited for for ever.
    for target in &targets {
        look::require(target.pid).with_context(|| format!("{} ended before it was watched", target.comm))?;
    }
    let options = Options {
        requests: print.map_or_else(Requests::default, |print| print.requests),
        sample_one_in: SAMPLE_ONE_IN,
        with_query: print.is_some_and(|print| print.with_query),
        apart: print.is_some_and(|print| print.apart),
        ring_bytes: load.ring_bytes.into(),
        polls: watch.polls,
        goroutines: watch.goroutines,
        sample_hz: watch.sample_hz,
        follow: load.follow,
        ports: load.awaited.clone(),
    };
    let header = header(&targets, &kernel_half, options);
    let runtimes = targets.iter().map(|target| (target.pid, target.runtime.clone()));
    let unread = Full::default();
    targets.iter().for_each(|target| unread.add(&target.unread));
    let source = LiveSource::new(kernel_half, &load, runtimes, unread)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    // Whoever reads that it is attached may end it: from then on that is a normal end.
    let in_runtime = runtime.enter();
    let interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let hangup = hangup()?;
    drop(in_runtime);
    Ok(Attached {
        source,
        runtime,
        interrupt,
        terminate,
        hangup,
        duration: watch.duration,
        header,
    })
}

impl Attached {
    /// What the rings hold, bytes.
    pub(crate) const fn rings_bytes(&self) -> usize {
        self.source.rings_bytes()
    }

    /// Drains until Ctrl-C, a closed terminal, the end of the duration, or that of all targets; then once more.
    pub(crate) fn run(self, mut each: impl FnMut(&Batch) -> Result<()>) -> Result<()> {
        let Self {
            mut source,
            runtime,
            mut interrupt,
            mut terminate,
            mut hangup,
            duration,
            ..
        } = self;
        let mut batch = Batch::default();
        runtime.block_on(async {
            let deadline = duration.map(|duration| Instant::now() + duration);
            loop {
                tokio::select! {
                    _ = interrupt.recv() => break,
                    _ = terminate.recv() => break,
                    () = received(&mut hangup) => break,
                    () = reached(deadline) => break,
                    () = sleep(source.drain_interval()) => {
                        source.next(&mut batch)?;
                        each(&batch)?;
                        if source.is_over() {
                            break;
                        }
                    }
                }
            }
            anyhow::Ok(())
        })?;
        source.finish(&mut batch)?;
        each(&batch)
    }
}

/// Watches for the end of the terminal, unless that is to be ignored, as under `nohup`.
fn hangup() -> Result<Option<Signal>> {
    let is_ignored = ignored_signals().is_some_and(|signals| signals & HANGUP != 0);
    let hangup = (!is_ignored).then(|| signal(SignalKind::hangup())).transpose();
    hangup.context("cannot wait for SIGHUP")
}

/// The signals that this process ignores, SIGHUP the lowest bit.
fn ignored_signals() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Waits for a signal, for ever if it is not watched for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// What the kernel half is loaded with.
fn load_options(watch: &Watch, choice: Choice, targets: &[Target]) -> Result<live::LoadOptions> {
    let mut probes = Vec::new();
    if watch.polls {
        let price = format!("{PROBE_NS} ns each time that one is called: three times a poll");
        probes.extend(find_probes(
            "polls",
            live::runtime::tokio::functions::find,
            &price,
            targets,
        )?);
    }
    if watch.goroutines {
        let price =
            format!("{GOROUTINE_PROBE_NS} ns each time that one is called: twice a wait of a goroutine");
        probes.extend(find_probes(
            "goroutines",
            live::runtime::go::functions::find,
            &price,
            targets,
        )?);
    }
    Ok(live::LoadOptions {
        pids: targets.iter().map(|target| target.pid).collect(),
        follow: choice.follow,
        awaited: choice.ports,
        ports: targets
            .iter()
            .flat_map(|target| target.ports.iter().map(|&port| (port, target.network)))
            .collect(),
        listeners: targets
            .iter()
            .flat_map(|target| target.listeners.iter().map(|&port| (target.pid, port)))
            .collect(),
        ring_bytes: watch.ring_kib * 1024,
        probes,
        sample_hz: watch.sample_hz,
    })
}

/// What the run is about, which begins now.
fn header(targets: &[Target], kernel_half: &KernelHalf, options: Options) -> Header {
    let unix_offset_ns = LiveSource::unix_offset_ns();
    Header {
        observer_version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel_release(),
        machine: std::env::consts::ARCH.to_owned(),
        page_bytes: procfs::page_size(),
        started_unix_ns: LiveSource::now_ns() + unix_offset_ns,
        unix_offset_ns,
        targets: targets.iter().map(info).collect(),
        signals: kernel_half.outcomes.iter().map(signal_info).collect(),
        options,
        replay: false,
    }
}

/// Says that nobody who can be watched listens on a port, and what follows from that.
fn say_vacant(vacant: Vacant) {
    let Vacant { port, taken_by } = vacant;
    let who = match taken_by {
        Some(Unwatched::First) => format!("process 1 listens on port {port}, for a service to come"),
        Some(Unwatched::Unseen) => {
            let missing = privilege::missing_for_descriptors();
            let why = if missing.any() {
                format!(" without {missing}")
            } else {
                String::new()
            };
            format!("whoever listens on port {port} cannot be seen{why}")
        }
        None => format!("nobody listens on port {port} in this network namespace"),
    };
    say(&format!("{who}: waits for the next who does"));
}

/// What is to be probed where this was asked for. Says what that will cost, and where there is nothing to be probed.
fn find_probes(
    what: &str,
    find: fn(Pid) -> Result<Probes>,
    price: &str,
    targets: &[Target],
) -> Result<Vec<Probes>> {
    signals::require_probes(&format!("--{what}"))?;
    if targets.is_empty() {
        say(&format!(
            "--{what} is for processes that are there at the attach: who comes later is not probed"
        ));
    }
    let find = |target: &Target| {
        let process = format!("{} ({})", target.comm, target.pid);
        let found = find(target.pid);
        say(&match &found {
            Ok(probes) => {
                let count = probes.functions();
                let functions = if count == 1 { "function" } else { "functions" };
                format!("--{what} probes {count} {functions} of {process}, at about {price}")
            }
            Err(error) => format!("goes on without the {what} of {process}: {error:#}"),
        });
        found.ok()
    };
    Ok(targets.iter().filter_map(find).collect())
}

/// Says what was asked for and the kernel refused.
fn say_refused(outcome: &signals::Outcome) {
    let Some(option) = outcome.option else { return };
    let of_some = if outcome.hook.is_some() {
        " of every process"
    } else {
        ""
    };
    for (hook, reason) in &outcome.refused {
        say(&format!("goes on without {option}{of_some}: {hook}: {reason}"));
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn info(target: &Target) -> TargetInfo {
    TargetInfo {
        pid: target.pid,
        comm: target.comm.clone(),
        exe: target.exe.clone(),
        threads: target.threads,
        runtime: target.runtime.as_ref().map(|runtime| RuntimeInfo {
            name: runtime.name.name().to_owned(),
            version: runtime.version.clone(),
            found_by: runtime.found_by.name().to_owned(),
        }),
    }
}

fn signal_info(outcome: &signals::Outcome) -> SignalInfo {
    SignalInfo {
        signal: outcome.signal.to_owned(),
        hook: outcome.hook.clone(),
        note: outcome.note.map(str::to_owned),
    }
}

pub(crate) fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |release| release.trim().to_owned())
}
