//! The language runtime of each target, and where its threads keep the id of the task that they are in.
//!
//! What a program's file tells ([`look_at`]) decides where to seek; the proof comes from how the words of running
//! threads behave (`proof`). Until it has come, and where it does not come, the kernel half reads no task ids.

mod elf;
mod found;
mod looking;
mod proof;
mod seekers;

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Result;
use observer_common::conn;
use observer_common::seek::{Sample, Seek, WINDOW_BYTES};

use super::kernel_half::KernelHalf;
use super::targets::{Change, RuntimeWords};
use crate::event;
use crate::source::Merge;
use crate::syscall;

pub use elf::{FoundBy, Name};
pub use found::{Found, look_at};
use found::{Place, Tasks};
use looking::{Looking, Question};
use proof::{Doing, Moment, Proof, Search, Verdict};
pub(super) use seekers::Seekers;

/// Time between two samples of a kind on a CPU at first, ns: at a thousand requests a second every one is a sample.
const INTERVAL_NS: u32 = 200_000;

/// The same once that was no use.
const SLOW_INTERVAL_NS: u32 = 10_000_000;

/// Samples after which it was no use.
const FAST_SAMPLES: u32 = 4_000;

/// How often everything is gone through: what contradicted a word once can have been one odd connection.
const ATTEMPTS: u32 = 3;

impl Name {
    /// As users see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Go => "go",
        }
    }
}

impl FoundBy {
    /// As users see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::Strings => "strings",
            Self::BuildInfo => "buildinfo",
        }
    }
}

/// The runtimes of all targets.
pub(super) struct Runtimes {
    looking: Looking,
    /// Those with one, and those whose programs were not looked at yet.
    targets: BTreeMap<u32, Target>,
    /// Of these processes nothing holds any more that was known.
    over: Vec<u32>,
}

#[derive(Default)]
struct Target {
    pid: u32,
    /// `None` before its program was looked at.
    found: Option<Found>,
    /// What was asked about it.
    question: Option<Question>,
    /// It is not begun with yet.
    is_new: bool,
    hunt: Option<Hunt>,
    /// What was proved: where, and how that is known.
    proved: Option<(RuntimeWords, event::Runtime)>,
}

/// A search that is going on in a process.
struct Hunt {
    /// That of the process.
    slot: u32,
    place: Place,
    /// Parts of the place that are looked at one after the other.
    windows: Vec<Range<i64>>,
    /// Which of them is looked at now, counted through all attempts.
    turn: usize,
    search: Search,
    /// Samples from before are of another window or program.
    since_ns: u64,
    samples: u32,
}

impl Runtimes {
    /// Of these processes, in which this was found.
    pub(super) fn new(targets: impl Iterator<Item = (u32, Option<Found>)>) -> Result<Self> {
        let found = targets.filter_map(|(pid, found)| {
            let target = Target {
                pid,
                found: Some(found?),
                is_new: true,
                ..Target::default()
            };
            Some((pid, target))
        });
        Ok(Self {
            looking: Looking::begin()?,
            targets: found.collect(),
            over: Vec::new(),
        })
    }

    /// Follows which processes there are, and which programs they run.
    pub(super) fn on_change(&mut self, change: Change) {
        let unknown = |pid| Target {
            pid,
            ..Target::default()
        };
        match change {
            Change::Came {
                pid,
                parent: Some(parent),
                forked: true,
            } => {
                // What was not found in the one is not in the other.
                if let Some(parent) = self.targets.get(&parent) {
                    self.targets.insert(pid, parent.forked(pid));
                }
            }
            Change::Came { pid, .. } => {
                self.targets.insert(pid, unknown(pid));
            }
            Change::Exec { pid } => {
                self.over.push(pid);
                self.targets.insert(pid, unknown(pid));
            }
            Change::Gone { pid, .. } => {
                self.over.push(pid);
                self.targets.remove(&pid);
            }
            Change::Unwatched => {}
        }
    }

    /// Has programs looked at that were not yet, and takes note of what was found.
    fn look(&mut self) {
        for (question, found) in self.looking.answers() {
            let target = self.targets.get_mut(&question.pid);
            let Some(target) = target.filter(|target| target.question == Some(question)) else {
                continue;
            };
            if found.is_some() {
                (target.found, target.is_new) = (found, true);
            } else {
                self.targets.remove(&question.pid);
            }
        }
        for target in self.targets.values_mut() {
            if target.found.is_none() && target.question.is_none() {
                target.question = self.looking.ask(target.pid);
            }
        }
    }

    /// Goes on seeking with the samples that have come.
    ///
    /// # Errors
    /// When the kernel half cannot be told what to do.
    pub(super) fn step(
        &mut self,
        kernel_half: &mut KernelHalf,
        now_ns: u64,
        merge: &mut Merge,
    ) -> Result<()> {
        kernel_half.seekers.drain(|sample| {
            let target = self.targets.get_mut(&sample.head.tgid);
            if let Some(hunt) = target.and_then(|target| target.hunt.as_mut()) {
                hunt.see(sample);
            }
        });
        for pid in self.over.drain(..) {
            if let Some(slot) = kernel_half.targets.give_back(pid) {
                kernel_half.seekers.seek(slot, None)?;
            }
        }
        self.look();
        for target in self.targets.values_mut() {
            if std::mem::take(&mut target.is_new) {
                target.begin(kernel_half, now_ns, merge)?;
            }
            target.step(kernel_half, now_ns, merge)?;
        }
        Ok(())
    }
}

impl Target {
    /// A child of it, with a copy of its memory.
    fn forked(&self, pid: u32) -> Self {
        let told = |(words, fact): &(RuntimeWords, event::Runtime)| {
            let evidence = event::text(&fact.evidence);
            let fact = event::Runtime {
                header: event::Runtime::new(0, pid, "", "", "").header,
                evidence: event::text_field(&format!(
                    "as in process {}, which forked it: {evidence}",
                    self.pid
                )),
                ..*fact
            };
            (*words, fact)
        };
        Self {
            pid,
            found: self.found.clone(),
            question: None,
            is_new: self.found.is_some(),
            hunt: None,
            proved: self.proved.as_ref().map(told),
        }
    }

    /// Begins with the program that was found.
    fn begin(&mut self, kernel_half: &mut KernelHalf, now_ns: u64, merge: &mut Merge) -> Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        if let Some((words, fact)) = &mut self.proved {
            if let Some(slot) = kernel_half.targets.slot(self.pid) {
                kernel_half.targets.set_words(slot, *words)?;
                fact.header.at_ns = now_ns;
                merge.push(bytemuck::bytes_of(fact));
            }
            return Ok(());
        }
        match (&found.tasks, kernel_half.seekers.refused()) {
            (Tasks::Unknown, _) => {}
            (Tasks::Nowhere(reason), _) => {
                let reason = reason.clone();
                self.tell(now_ns, None, &reason, merge);
            }
            (Tasks::Within(_), Some(refused)) => {
                let evidence = format!("the kernel refused the programs that seek them: {refused}");
                self.tell(now_ns, None, &evidence, merge);
            }
            (Tasks::Within(place), None) => {
                // Who has ended has none.
                let Some(slot) = kernel_half.targets.slot(self.pid) else {
                    return Ok(());
                };
                let hunt = Hunt::new(slot, place.clone(), now_ns);
                kernel_half.seekers.seek(slot, Some(hunt.seek()))?;
                self.hunt = Some(hunt);
            }
        }
        Ok(())
    }

    fn step(&mut self, kernel_half: &mut KernelHalf, now_ns: u64, merge: &mut Merge) -> Result<()> {
        let Some(hunt) = &mut self.hunt else { return Ok(()) };
        let slot = hunt.slot;
        let (proved, evidence) = match hunt.search.verdict() {
            Verdict::Open => return kernel_half.seekers.seek(slot, Some(hunt.seek())),
            Verdict::Refuted(_) if hunt.next(now_ns) => {
                return kernel_half.seekers.seek(slot, Some(hunt.seek()));
            }
            Verdict::Refuted(reason) => (None, reason.to_owned()),
            Verdict::Proved(proof) => {
                let words = RuntimeWords {
                    task: Some(hunt.offset(proof.word)),
                    scheduler: proof.scheduler.map(|word| hunt.offset(word)),
                    kind: proof.kind.map(|word| hunt.offset(word)),
                };
                kernel_half.targets.set_words(slot, words)?;
                (Some(words), hunt.evidence(&proof))
            }
        };
        kernel_half.seekers.seek(slot, None)?;
        self.hunt = None;
        self.tell(now_ns, proved, &evidence, merge);
        Ok(())
    }

    fn tell(&mut self, now_ns: u64, proved: Option<RuntimeWords>, evidence: &str, merge: &mut Merge) {
        let Some(found) = &self.found else { return };
        let version = found.version.as_deref().unwrap_or_default();
        let fact = event::Runtime {
            task_ids: proved.is_some().into(),
            schedulers: proved.is_some_and(|words| words.scheduler.is_some()).into(),
            ..event::Runtime::new(now_ns, self.pid, found.name.name(), version, evidence)
        };
        merge.push(bytemuck::bytes_of(&fact));
        self.proved = proved.map(|words| (words, fact));
    }
}

impl Hunt {
    fn new(slot: u32, place: Place, now_ns: u64) -> Self {
        let windows = windows(&place.variables);
        Self {
            slot,
            search: search_in(&windows[0], &place),
            place,
            windows,
            turn: 0,
            since_ns: now_ns,
            samples: 0,
        }
    }

    /// Goes on to the next window; false when all have been gone through as often as is worth it.
    fn next(&mut self, now_ns: u64) -> bool {
        self.turn += 1;
        if self.turn >= self.windows.len() * ATTEMPTS as usize {
            return false;
        }
        self.search = search_in(self.window(), &self.place);
        self.since_ns = now_ns;
        true
    }

    fn window(&self) -> &Range<i64> {
        &self.windows[self.turn % self.windows.len()]
    }

    /// What the kernel half is asked for.
    fn seek(&self) -> Seek {
        let window = self.window();
        Seek {
            from: window.start,
            issued_at: self.place.issued_at.unwrap_or(0),
            bytes: u32::try_from(window.end - window.start).unwrap_or(0),
            interval_ns: if self.samples < FAST_SAMPLES {
                INTERVAL_NS
            } else {
                SLOW_INTERVAL_NS
            },
        }
    }

    fn see(&mut self, sample: &Sample) {
        let Sample { head, words } = sample;
        let words = words.get(..head.bytes as usize / 8);
        let Some(words) = words.filter(|_| head.at_ns >= self.since_ns) else {
            return;
        };
        self.samples = self.samples.saturating_add(1);
        let doing = match head.conn {
            conn::NONE if syscall::waits_for_events(head.syscall) => Doing::WaitForEvents,
            conn::NONE => return,
            conn => Doing::Receive(conn),
        };
        self.search.see(&Moment {
            tid: head.tid,
            doing,
            issued: head.issued,
            stack: head.stack,
            words,
        });
    }

    /// Of a word of the window, in bytes from a thread's `fsbase`.
    fn offset(&self, word: usize) -> i64 {
        self.window().start + 8 * i64::try_from(word).unwrap_or(0)
    }

    fn evidence(&self, proof: &Proof) -> String {
        let Proof {
            word,
            connections,
            receives,
            waits,
            counted,
            scheduler,
            kind,
        } = *proof;
        let whose = match connections {
            1 => "the only connection had one id".to_owned(),
            _ => format!("each of {connections} connections had an id of its own"),
        };
        let scheduler =
            scheduler.map_or_else(String::new, |word| format!("; word {word} is its scheduler's"));
        let kind = kind.map_or_else(String::new, |word| format!(", {word} its kind"));
        format!(
            "word {word} of the {} at fsbase{:+}: in {receives} receives, {whose}{}, and in {waits} waits for events no \
             thread had such an id{scheduler}{kind}",
            if self.place.is_context {
                "context"
            } else {
                "variables"
            },
            self.window().start,
            if counted { " that was given out" } else { "" },
        )
    }
}

fn search_in(window: &Range<i64>, place: &Place) -> Search {
    let words = usize::try_from((window.end - window.start) / 8).unwrap_or(0);
    Search::new(words, place.is_context)
}

/// Whole words, in pieces that fit a sample. The first is the one nearest to `fsbase`.
fn windows(variables: &Range<i64>) -> Vec<Range<i64>> {
    let bytes = WINDOW_BYTES.cast_signed() as i64;
    let start = (variables.start + 7).div_euclid(8) * 8;
    let end = variables.end.div_euclid(8) * 8;
    let mut windows = Vec::new();
    let mut end = end.max(start);
    while end > start || windows.is_empty() {
        let from = (end - bytes).max(start);
        windows.push(from..end);
        end = from;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_whole_words_are_in_a_window() {
        let of = |start, end| -> Vec<(i64, i64)> {
            let windows = windows(&(start..end));
            windows.iter().map(|window| (window.start, window.end)).collect()
        };
        assert_eq!(of(-0xd8, -0x60), [(-0xd8, -0x60)]);
        assert_eq!(of(-21, -1), [(-16, -8)]);
        assert_eq!(of(-1032, 0), [(-1024, 0), (-1032, -1024)]);
        assert_eq!(of(-8, -8), [(-8, -8)]);
    }
}
