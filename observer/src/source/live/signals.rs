//! Attaches what gives each signal: the first of its hooks that this kernel and its lockdown state allow. What was
//! refused, and why, is kept for `observer doctor`.

mod hooks;

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Result, bail};
use aya::{Btf, Ebpf, programs::Program};
use observer_common::limits;

use hooks::{Alternative, SIGNALS, Signal};
pub(super) use hooks::{Hook, SAMPLE};

use super::stacks::clock::Clocks;
use super::types::Types;
use super::{direct, found};
use crate::model::id::Pid;

/// What became of one signal.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The signal.
    pub signal: &'static str,
    /// The hook that is used; `None` when only the fallback is left.
    pub hook: Option<String>,
    /// What that costs in exactness.
    pub note: Option<&'static str>,
    /// Hooks that were tried before, with the reason why they did not work.
    pub refused: Vec<(String, String)>,
    /// Whether observer can work with this outcome.
    pub usable: bool,
}

/// What programs are attached with.
pub(super) struct Attacher<'a> {
    pub(super) ebpf: &'a mut Ebpf,
    pub(super) btf: &'a Btf,
    /// The same types, for those who ask about single ones.
    pub(super) kernel: &'a Types,
    /// Where aya is not to load the programs itself.
    pub(super) direct: Option<direct::Programs>,
    /// Whose sockets are found.
    pub(super) pids: &'a [Pid],
    /// How often a second the clocks tick; 0 leaves the signal out.
    pub(super) sample_hz: u32,
    /// The clocks, which rest.
    pub(super) clocks: Option<Clocks>,
    /// What finds the sockets of processes that come later.
    pub(super) finder: Option<OwnedFd>,
    /// What keeps programs attached that aya did not attach.
    pub(super) links: Vec<OwnedFd>,
    /// Those of its programs that are attached, of which the kernel counts what it kept from them.
    pub(super) programs: Vec<OwnedFd>,
}

impl<'a> Attacher<'a> {
    /// Attaches the programs of `ebpf` by aya, for these processes.
    pub(super) const fn new(
        ebpf: &'a mut Ebpf,
        btf: &'a Btf,
        kernel: &'a Types,
        pids: &'a [Pid],
        sample_hz: u32,
    ) -> Self {
        Self {
            ebpf,
            btf,
            kernel,
            direct: None,
            pids,
            sample_hz,
            clocks: None,
            finder: None,
            links: Vec::new(),
            programs: Vec::new(),
        }
    }
}

/// Attaches another object that has programs of these names, as far as aya can load them.
pub fn attach_object(ebpf: &mut Ebpf, btf: &Btf, kernel: &Types) -> Vec<Outcome> {
    attach(&mut Attacher::new(ebpf, btf, kernel, &[], limits::SAMPLE_HZ))
}

/// Attaches every signal by the first hook that works. Attaches what it can, also when a needed one fails.
pub(super) fn attach(attacher: &mut Attacher<'_>) -> Vec<Outcome> {
    let (kernel, sampled) = (attacher.kernel, attacher.sample_hz > 0);
    SIGNALS
        .iter()
        .filter(|signal| sampled || signal.name != SAMPLE)
        .filter(|signal| signal.only_with.is_none_or(|name| kernel.has_function(name)))
        .map(|signal| attach_one(attacher, signal))
        .collect()
}

/// What tells of bytes that TCP holds after the last send needs no hook of its own, but fields that this kernel lacks.
pub(super) fn without_held(error: &anyhow::Error) -> Outcome {
    Outcome {
        signal: "held",
        hook: None,
        note: Some("bytes that TCP holds after the last send are not seen: latency ends with that send"),
        refused: vec![("tcp_sock".to_owned(), reason(error))],
        usable: true,
    }
}

/// Fails unless every needed signal has a hook.
///
/// # Errors
/// Names each signal that could not be attached, with the reasons.
pub fn require(outcomes: &[Outcome]) -> Result<()> {
    let missing: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.usable)
        .map(|outcome| {
            let reasons: Vec<String> = outcome
                .refused
                .iter()
                .map(|(hook, reason)| format!("{hook}: {reason}"))
                .collect();
            format!("{} ({})", outcome.signal, reasons.join("; "))
        })
        .collect();
    if !missing.is_empty() {
        bail!(
            "this kernel refused every hook for: {}. Run `observer doctor` to see the whole table",
            missing.join(", ")
        );
    }
    Ok(())
}

fn attach_one(attacher: &mut Attacher<'_>, signal: &Signal) -> Outcome {
    let kernel = attacher.kernel;
    let mut refused = Vec::new();
    for alternative in signal.alternatives {
        let name = alternative.hook.name();
        if let Some(reason) = alternative.hook.misfit(kernel) {
            // As a rule the same hook has another program, which is made for this kernel.
            let same = |other: &&Alternative| other.hook.name() == name;
            let mut others = signal.alternatives.iter().filter(same);
            if others.all(|other| other.hook.misfit(kernel).is_some()) {
                refused.push((name, reason));
            }
            continue;
        }
        match try_attach(attacher, alternative) {
            Ok(()) => {
                return Outcome {
                    signal: signal.name,
                    hook: Some(name),
                    note: alternative.note,
                    refused,
                    usable: true,
                };
            }
            Err(error) => refused.push((name, reason(&error))),
        }
    }
    Outcome {
        signal: signal.name,
        hook: None,
        note: signal.fallback,
        refused,
        usable: signal.fallback.is_some(),
    }
}

fn try_attach(attacher: &mut Attacher<'_>, alternative: &Alternative) -> Result<()> {
    let btf = attacher.btf;
    if let Some(programs) = &attacher.direct {
        let program = programs.load(alternative.program, alternative.hook, btf)?;
        match alternative.hook {
            Hook::Clock => attacher.clocks = Some(Clocks::new(program.as_fd(), attacher.sample_hz)?),
            Hook::Iterator(_) => {
                found::run(program.as_fd(), attacher.pids)?;
                attacher.finder = Some(program);
            }
            _ => {
                attacher.links.push(direct::attach(&program)?);
                attacher.programs.push(program);
            }
        }
        return Ok(());
    }
    let program = load_by_aya(attacher.ebpf, btf, alternative)?;
    let descriptor = program.fd()?.as_fd().try_clone_to_owned()?;
    match program {
        Program::BtfTracePoint(program) => program.attach().map(|_| ())?,
        Program::FEntry(program) => program.attach().map(|_| ())?,
        Program::FExit(program) => program.attach().map(|_| ())?,
        Program::Iter(_) => {
            found::run(descriptor.as_fd(), attacher.pids)?;
            attacher.finder = Some(descriptor);
            return Ok(());
        }
        Program::PerfEvent(_) => {
            attacher.clocks = Some(Clocks::new(descriptor.as_fd(), attacher.sample_hz)?);
            return Ok(());
        }
        _ => bail!("program {} is of another type", alternative.program),
    }
    attacher.programs.push(descriptor);
    Ok(())
}

fn load_by_aya<'a>(ebpf: &'a mut Ebpf, btf: &Btf, alternative: &Alternative) -> Result<&'a mut Program> {
    let Some(program) = ebpf.program_mut(alternative.program) else {
        bail!("program {} is not in the compiled object", alternative.program);
    };
    match (&mut *program, alternative.hook) {
        (Program::BtfTracePoint(program), Hook::Tracepoint(name)) => program.load(name, btf)?,
        (Program::FEntry(program), Hook::Entry(name)) => program.load(name, btf)?,
        (Program::FExit(program), Hook::Exit(name, _)) => program.load(name, btf)?,
        (Program::Iter(program), Hook::Iterator(name)) => program.load(name, btf)?,
        (Program::PerfEvent(program), Hook::Clock) => program.load()?,
        (_, hook) => bail!(
            "program {} does not fit hook {}",
            alternative.program,
            hook.name()
        ),
    }
    Ok(program)
}

/// The chain of reasons on one line, without the verifier's log, which is for `--verbose` readers.
fn reason(error: &anyhow::Error) -> String {
    let mut text: Vec<String> = error
        .chain()
        .map(|cause| {
            let cause = cause.to_string();
            let end = cause.find("Verifier output").unwrap_or(cause.len());
            cause[..end].trim().trim_end_matches('.').to_owned()
        })
        .collect();
    // Some errors print the one that they were made from.
    text.dedup_by(|inner, outer| outer.ends_with(inner.as_str()));
    if std::env::var_os("OBSERVER_VERIFIER_LOG").is_some() {
        return format!("{error:#}");
    }
    text.join(": ")
}
