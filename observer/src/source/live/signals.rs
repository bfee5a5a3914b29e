//! Attaches what gives each signal: the first of its hooks that this kernel and its lockdown state allow. What was
//! refused, and why, is kept for `observer doctor`.

mod hooks;
mod probes;

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Result, bail};
use aya::{Btf, Ebpf, programs::Program};
use observer_common::limits;

pub(super) use hooks::Hook;
use hooks::{SIGNALS, Signal};
pub use probes::{Probes, require_probes};

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
    /// What asks for the signal, where it is attached only on demand.
    pub option: Option<&'static str>,
}

/// What is told of a signal that some processes do not give.
const OF_SOME: &str = "not of every process";

impl Outcome {
    /// None of a signal's hooks was tried yet.
    fn untried(signal: &Signal) -> Self {
        Self {
            signal: signal.name,
            hook: None,
            note: signal.fallback,
            refused: Vec::new(),
            usable: signal.fallback.is_some(),
            option: signal.on_demand().map(|(option, _)| option),
        }
    }

    /// This hook was wanted of so many, of the kernel or of processes, and tried where it can be.
    fn tried(&mut self, hook: &str, wanted: usize, results: Vec<Result<()>>) {
        let mut left = wanted;
        for result in results {
            match result {
                Ok(()) => left = left.saturating_sub(1),
                Err(error) => self.refused.push((hook.to_owned(), reason(&error))),
            }
        }
        if left < wanted {
            self.hook = Some(hook.to_owned());
            self.note = (left > 0).then_some(OF_SOME);
            self.usable = true;
        }
    }
}

/// What programs are attached with.
pub(super) struct Attacher<'a> {
    pub(super) ebpf: &'a mut Ebpf,
    pub(super) btf: &'a Btf,
    /// The same types, for those who ask about single ones.
    pub(super) kernel: &'a Types,
    /// The same programs, where aya is not to load all of them itself.
    pub(super) direct: Option<direct::Programs>,
    /// Processes that are watched.
    pub(super) pids: &'a [Pid],
    /// What is to be probed in their code.
    pub(super) probes: &'a [Probes],
    /// How often a second the clocks tick; 0 leaves the signal out.
    pub(super) sample_hz: u32,
    /// The clocks, which rest.
    pub(super) clocks: Option<Clocks>,
    /// What finds the sockets of processes that come later.
    pub(super) finder: Option<OwnedFd>,
    /// What keeps programs attached that aya did not attach.
    pub(super) links: Vec<OwnedFd>,
    /// Those of its programs that are attached to the kernel, which counts what it kept from them: those of
    /// probes are not among them.
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
            probes: &[],
            sample_hz,
            clocks: None,
            finder: None,
            links: Vec::new(),
            programs: Vec::new(),
        }
    }

    /// Whether a signal is to be attached.
    fn wants(&self, signal: &Signal) -> bool {
        let is_asked_for = match (signal.on_demand(), signal.hooks) {
            (Some((_, hook)), _) => self.probes.iter().any(|of| of.have_any_of(hook.programs())),
            (_, [Hook::Clock(_)]) => self.sample_hz > 0,
            _ => true,
        };
        is_asked_for && signal.only_with.is_none_or(|name| self.kernel.has_function(name))
    }
}

/// Attaches another object that has programs of these names, as far as aya can load them.
pub fn attach_object(ebpf: &mut Ebpf, btf: &Btf, kernel: &Types) -> Vec<Outcome> {
    attach(&mut Attacher::new(ebpf, btf, kernel, &[], limits::SAMPLE_HZ))
}

/// Attaches every signal that is wanted by the first hook that works. Attaches what it can, also when a needed one
/// fails.
pub(super) fn attach(attacher: &mut Attacher<'_>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for signal in SIGNALS {
        if attacher.wants(signal) {
            outcomes.push(attach_one(attacher, signal));
        }
    }
    outcomes
}

/// The signals that are attached only when they are asked for: what asks for each, its name and its hook.
pub fn on_demand() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    SIGNALS.iter().filter_map(|signal| {
        let (option, hook) = signal.on_demand()?;
        Some((option, signal.name, hook.name()))
    })
}

/// What tells of bytes that TCP holds after the last send needs no hook of its own, but fields that this kernel lacks.
pub(super) fn without_held(error: &anyhow::Error) -> Outcome {
    Outcome {
        signal: "held",
        hook: None,
        note: Some("bytes that TCP holds after the last send are not seen: latency ends with that send"),
        refused: vec![("tcp_sock".to_owned(), reason(error))],
        usable: true,
        option: None,
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
            "this kernel refused every hook for: {}. `observer doctor` prints all that it allows, and docs/kernels.md \
             names kernels that allow enough",
            missing.join(", ")
        );
    }
    Ok(())
}

fn attach_one(attacher: &mut Attacher<'_>, signal: &Signal) -> Outcome {
    let kernel = attacher.kernel;
    let mut outcome = Outcome::untried(signal);
    for hook in signal.hooks {
        let name = hook.name();
        if let Some(reason) = hook.misfit(kernel) {
            // As a rule the same hook has another program, which is made for this kernel.
            let same = |other: &&Hook| other.name() == name;
            let mut others = signal.hooks.iter().filter(same);
            if others.all(|other| other.misfit(kernel).is_some()) {
                outcome.refused.push((name, reason));
            }
            continue;
        }
        let (wanted, results) = if let Hook::Probe { .. } = hook {
            let results = probes::attach(attacher, *hook);
            (
                attacher.pids.len(),
                results.unwrap_or_else(|error| vec![Err(error)]),
            )
        } else {
            (1, vec![attach_to_kernel(attacher, *hook)])
        };
        outcome.tried(&name, wanted, results);
        if outcome.hook.is_some() {
            break;
        }
    }
    outcome
}

/// Attaches the program of a hook in the kernel.
fn attach_to_kernel(attacher: &mut Attacher<'_>, hook: Hook) -> Result<()> {
    let [name] = hook.programs() else {
        bail!("{} is not in the kernel", hook.name());
    };
    let btf = attacher.btf;
    if direct::is_needed()
        && let Some(programs) = &attacher.direct
    {
        let program = programs.load(name, hook, btf)?;
        match hook {
            Hook::Clock(_) => attacher.clocks = Some(Clocks::new(program.as_fd(), attacher.sample_hz)?),
            Hook::Iterator(..) => {
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
    let program = load_by_aya(attacher.ebpf, btf, hook, name)?;
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
        _ => bail!("program {name} is of another type"),
    }
    attacher.programs.push(descriptor);
    Ok(())
}

fn load_by_aya<'a>(ebpf: &'a mut Ebpf, btf: &Btf, hook: Hook, name: &str) -> Result<&'a mut Program> {
    let Some(program) = ebpf.program_mut(name) else {
        bail!("program {name} is not in the compiled object");
    };
    match (&mut *program, hook) {
        (Program::BtfTracePoint(program), Hook::Tracepoint(_, at)) => program.load(at, btf)?,
        (Program::FEntry(program), Hook::Entry(_, at)) => program.load(at, btf)?,
        (Program::FExit(program), Hook::Exit(_, at, _)) => program.load(at, btf)?,
        (Program::Iter(program), Hook::Iterator(_, at)) => program.load(at, btf)?,
        (Program::PerfEvent(program), Hook::Clock(_)) => program.load()?,
        (_, hook) => bail!("program {name} does not fit hook {}", hook.name()),
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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_signal_that_one_of_several_processes_does_not_give_is_not_exact() {
        let polls = SIGNALS.iter().find(|signal| signal.name == "poll").unwrap();
        let note = |results: Vec<Result<()>>| {
            let mut outcome = Outcome::untried(polls);
            outcome.tried("uprobe:f", 2, results);
            outcome.note
        };
        let refused = || Err(anyhow!("in process 7: it ended"));
        assert_eq!(note(vec![Ok(()), Ok(())]), None);
        assert_eq!(note(vec![Ok(()), refused()]), Some(OF_SOME));
        assert_eq!(note(vec![refused(), Ok(())]), Some(OF_SOME));
        assert_eq!(
            note(vec![Ok(())]),
            Some(OF_SOME),
            "the other has no such function"
        );
        assert_eq!(note(vec![refused()]), polls.fallback);
    }
}
