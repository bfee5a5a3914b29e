//! The language runtime of each target, and where its threads keep the id of the task that they are in.
//!
//! What a program's file tells ([`look_at`]) decides where to seek; the proof comes from how the words of running
//! threads behave. Until it has come, and where it does not come, the kernel half reads no task ids. Which files are
//! read and which processes there are is the same for every runtime; what one of them is known by has a room of its
//! own.

mod collection_maps;
mod detection;
mod elf;
pub mod go;
mod hunt;
mod program_reader;
mod seek_maps;
pub mod tokio;

use std::collections::BTreeMap;

use anyhow::Result;
use observer_common::TaskPath;

use super::kernel_half::KernelHalf;
use super::targets::Change;
use crate::event::{self, Event};
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::source::Merge;

pub(super) use collection_maps::CollectionMaps;
use detection::TaskIdPlace;
pub use detection::{DetectedRuntime, FoundBy, look_at};
use hunt::{Seeks, Stage};
use program_reader::{Answer, ProgramReader, Question};
pub(super) use seek_maps::SeekMaps;

/// The search for the runtimes of all targets.
pub(super) struct RuntimeSearch {
    program_reader: ProgramReader,
    /// Those with one, and those whose programs were not looked at yet.
    targets: BTreeMap<Pid, TargetRuntime>,
    /// Of these processes nothing holds any more that was known.
    over: Vec<Pid>,
    /// And looks at goroutines of such, of which not all were told.
    looks_over: Vec<go::Looks>,
    /// What was not read of programs' files.
    pub(super) full: Full,
}

#[derive(Default)]
struct TargetRuntime {
    pid: Pid,
    /// `None` before its program was looked at.
    found: Option<DetectedRuntime>,
    /// What was asked about it.
    question: Option<Question>,
    /// It is not begun with yet.
    is_new: bool,
    /// A search that is going on, in this slot.
    hunt: Option<(u32, Box<dyn Seeks>)>,
    /// What was proved: where, and how that is known.
    proved: Option<(TaskPath, event::Runtime)>,
    /// Its collection of garbage.
    collection: Option<go::Collection>,
    /// Its goroutines, as it counts them.
    scheduler: Option<go::Scheduler>,
    /// Looks at where its requests wait, once its goroutines are known.
    looks: Option<go::Looks>,
}

impl RuntimeSearch {
    /// Of these processes, in which this was found; `full` has what was not read of their files.
    pub(super) fn new(
        targets: impl Iterator<Item = (Pid, Option<DetectedRuntime>)>,
        full: Full,
    ) -> Result<Self> {
        let found = targets.filter_map(|(pid, found)| {
            let target = TargetRuntime {
                pid,
                found: Some(found?),
                is_new: true,
                ..TargetRuntime::default()
            };
            Some((pid, target))
        });
        Ok(Self {
            program_reader: ProgramReader::begin()?,
            targets: found.collect(),
            over: Vec::new(),
            looks_over: Vec::new(),
            full,
        })
    }

    /// Follows which processes there are, and which programs they run.
    pub(super) fn on_change(&mut self, change: Change) {
        let unknown = |pid| TargetRuntime {
            pid,
            ..TargetRuntime::default()
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
                self.is_over(pid);
                self.targets.insert(pid, unknown(pid));
            }
            Change::Gone { pid, .. } => self.is_over(pid),
            Change::Unwatched => {}
        }
    }

    /// Nothing holds any more that was known of a process.
    fn is_over(&mut self, pid: Pid) {
        self.over.push(pid);
        let target = self.targets.remove(&pid);
        self.looks_over.extend(target.and_then(|target| target.looks));
    }

    /// Follows which requests the goroutines of processes serve.
    pub(super) fn on_event(&mut self, event: &Event<'_>) {
        let tgid = match event {
            Event::Receive(event, _) => event.tgid,
            Event::Send(event, _) => event.tgid,
            _ => return,
        };
        let target = self.targets.get_mut(&Pid(tgid));
        if let Some(looks) = target.and_then(|target| target.looks.as_mut()) {
            looks.on_event(event);
        }
    }

    /// Has programs looked at that were not yet, and takes note of what was found.
    fn look(&mut self) {
        for Answer {
            question,
            found,
            full,
        } in self.program_reader.answers()
        {
            self.full.add(&full);
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
                target.question = self.program_reader.ask(target.pid);
            }
        }
    }

    /// Goes on seeking with the samples that have come, and looks at what is found. Everything before `released_ns` was
    /// given out.
    ///
    /// # Errors
    /// When the kernel half cannot be told what to do.
    pub(super) fn step(
        &mut self,
        kernel_half: &mut KernelHalf,
        now_ns: u64,
        released_ns: u64,
        merge: &mut Merge,
    ) -> Result<()> {
        kernel_half.seeking.drain(|sample| {
            let target = self.targets.get_mut(&Pid(sample.head.tgid));
            if let Some((_, hunt)) = target.and_then(|target| target.hunt.as_mut()) {
                hunt.see(sample);
            }
        });
        kernel_half.collecting.drain(|collected| {
            let target = self.targets.get_mut(&Pid(collected.head.tgid));
            if let Some(collection) = target.and_then(|target| target.collection.as_mut()) {
                collection.found(collected, released_ns, merge);
            }
        });
        for pid in self.over.drain(..) {
            if let Some(slot) = kernel_half.targets.give_back(pid) {
                kernel_half.seeking.seek(slot, None)?;
                kernel_half.collecting.look_at(slot, 0)?;
            }
        }
        for mut looks in self.looks_over.drain(..) {
            looks.tell_counts(now_ns, merge);
        }
        self.look();
        for target in self.targets.values_mut() {
            if std::mem::take(&mut target.is_new) {
                target.begin(kernel_half, now_ns, merge)?;
            }
            target.step(kernel_half, now_ns, merge)?;
            if let Some(scheduler) = &mut target.scheduler {
                scheduler.look(now_ns, merge);
            }
            if let Some(looks) = &mut target.looks {
                looks.look(now_ns, merge);
            }
            if let Some(collection) = &mut target.collection
                && let Some(at) = collection.look(now_ns, released_ns, merge)
                && let Some(slot) = kernel_half.targets.slot(target.pid)
            {
                kernel_half.collecting.look_at(slot, at)?;
            }
        }
        Ok(())
    }

    /// Tells what was not told yet, when nothing more is wanted.
    pub(super) fn finish(&mut self, now_ns: u64, merge: &mut Merge) {
        let looks = self
            .targets
            .values_mut()
            .filter_map(|target| target.looks.as_mut());
        for looks in looks.chain(&mut self.looks_over) {
            looks.tell_counts(now_ns, merge);
        }
    }
}

impl TargetRuntime {
    /// A child of it, with a copy of its memory.
    fn forked(&self, pid: Pid) -> Self {
        let told = |(path, fact): &(TaskPath, event::Runtime)| {
            let evidence = event::text(&fact.evidence);
            let fact = event::Runtime {
                header: event::Runtime::new(0, pid, "", "", "").header,
                evidence: event::text_field(&format!(
                    "as in process {}, which forked it: {evidence}",
                    self.pid
                )),
                ..*fact
            };
            (*path, fact)
        };
        Self {
            pid,
            found: self.found.clone(),
            question: None,
            is_new: self.found.is_some(),
            hunt: None,
            proved: self.proved.as_ref().map(told),
            collection: None,
            scheduler: None,
            looks: None,
        }
    }

    /// Begins with the program that was found.
    fn begin(&mut self, kernel_half: &mut KernelHalf, now_ns: u64, merge: &mut Merge) -> Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        if let TaskIdPlace::OfGo(place) = &found.tasks {
            self.collection = Some(go::Collection::new(self.pid, place));
            self.scheduler = Some(go::Scheduler::new(self.pid, place));
        }
        if let Some((path, fact)) = &mut self.proved {
            if let Some(slot) = kernel_half.targets.slot(self.pid) {
                kernel_half.targets.set_path(slot, *path)?;
                fact.header.at_ns = now_ns;
                merge.push(bytemuck::bytes_of(fact));
                self.looks = self.looks();
            }
            return Ok(());
        }
        let hunt: Box<dyn Seeks> = match &found.tasks {
            TaskIdPlace::Nowhere(reason) => {
                let reason = reason.clone();
                self.tell(now_ns, None, &reason, merge);
                return Ok(());
            }
            TaskIdPlace::Within(place) => Box::new(tokio::Hunt::new(place.clone(), now_ns)),
            TaskIdPlace::OfGo(place) => Box::new(go::Hunt::new(*place)),
        };
        // Who has ended has none.
        let Some(slot) = kernel_half.targets.slot(self.pid) else {
            return Ok(());
        };
        kernel_half.seeking.seek(slot, Some(hunt.seek()))?;
        self.hunt = Some((slot, hunt));
        Ok(())
    }

    fn step(&mut self, kernel_half: &mut KernelHalf, now_ns: u64, merge: &mut Merge) -> Result<()> {
        let Some((slot, hunt)) = &mut self.hunt else {
            return Ok(());
        };
        let slot = *slot;
        let (proved, evidence) = match hunt.step(now_ns) {
            Stage::Seeks(seek) => return kernel_half.seeking.seek(slot, Some(seek)),
            Stage::GivenUp(reason) => (None, reason),
            Stage::Proved(path, evidence) => {
                kernel_half.targets.set_path(slot, path)?;
                (Some(path), evidence)
            }
        };
        kernel_half.seeking.seek(slot, None)?;
        self.hunt = None;
        self.tell(now_ns, proved, &evidence, merge);
        Ok(())
    }

    fn tell(&mut self, now_ns: u64, proved: Option<TaskPath>, evidence: &str, merge: &mut Merge) {
        let Some(found) = &self.found else { return };
        let version = found.version.as_deref().unwrap_or_default();
        let fact = event::Runtime {
            task_ids: proved.is_some().into(),
            schedulers: proved.is_some_and(|path| path.scheduler != 0).into(),
            ..event::Runtime::new(now_ns, self.pid, found.name.name(), version, evidence)
        };
        merge.push(bytemuck::bytes_of(&fact));
        self.proved = proved.map(|path| (path, fact));
        self.looks = self.looks();
    }

    /// Looks at where its requests wait, where its goroutines are known.
    fn looks(&self) -> Option<go::Looks> {
        match self.found.as_ref()?.tasks {
            TaskIdPlace::OfGo(ref place) if self.proved.is_some() => go::Looks::new(self.pid, place),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
