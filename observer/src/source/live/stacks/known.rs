//! What is known of processes and their code: enough to say at once what most stacks tell.
//!
//! Two threads have it. The one that drains the rings asks it, and does not wait for it with a stack; the other reads
//! from files what it does not know yet, and adds that. What is forgotten for want of room is read again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use framehop::x86_64::CacheX86_64;
use observer_common::StackHead;
use rustc_hash::FxHashMap;

use super::image::Functions;
use super::images::Place;
use super::maps::{FileId, Mapped};
use super::process::Process;
use super::telling::telling;
use crate::model::full::Full;
use crate::model::id::Pid;

/// Ranges of code whose functions are remembered: some 4 MiB.
const MAX_RANGES: usize = 32_768;

/// Stacks that are remembered: some 3 MiB.
const MAX_STACKS: usize = 8192;

/// Processes, and functions of the files that they have mapped.
#[derive(Default)]
pub(super) struct Known {
    /// `None` is one of which nothing can be read.
    processes: FxHashMap<Pid, Option<WatchedCode>>,
    /// Stacks that have been remembered since all were forgotten.
    stacks: usize,
    code: Code,
    cache: CacheX86_64,
    /// What there was no room for when files were read.
    pub(super) full: Full,
}

struct WatchedCode {
    process: Process,
    /// What stacks tell, by the addresses of their frames, of which the innermost is where its range of code begins.
    ///
    /// Threads are seen at the same few places again and again. To look at the functions of each frame takes several
    /// times as long as to unwind, as little of them is in the CPU's caches.
    answers: FxHashMap<Box<[u64]>, Option<Arc<str>>>,
}

/// Which functions are where.
#[derive(Default)]
struct Code {
    /// By where a range of code begins: where it ends, and what is in it.
    files: FxHashMap<FileId, BTreeMap<u64, (u64, Functions)>>,
    /// Ranges that have been remembered since all were forgotten.
    ranges: usize,
}

impl Code {
    /// Where the range of code begins that a place is in, and its functions.
    fn at(&self, place: Place) -> Option<(u64, &Functions)> {
        let ranges = self.files.get(&place.file)?;
        let (begin, (end, functions)) = ranges.range(..=place.address).next_back()?;
        (place.address < *end).then_some((*begin, functions))
    }
}

/// What is not known of a stack.
#[derive(Debug)]
pub(super) enum Missing {
    /// What the process has mapped.
    Process,
    /// What is mapped where the thread is, though something else is known of the process.
    Mapping,
    /// Which functions are at these places.
    Functions(Vec<Place>),
}

impl Known {
    /// The function that says what a thread does; `None` where it has no name.
    pub(super) fn telling(&mut self, head: &StackHead, stack: &[u8]) -> Result<Option<Arc<str>>, Missing> {
        let WatchedCode { process, answers } = match self.processes.get_mut(&Pid(head.tgid)) {
            Some(Some(watched)) => watched,
            Some(None) => return Ok(None),
            None => return Err(Missing::Process),
        };
        let mut frames = process.frames(head, stack, &mut self.cache);
        let innermost = frames.first_mut().ok_or(Missing::Mapping)?;
        let place = process.place(*innermost).ok_or(Missing::Mapping)?;
        if let Some((begin, _)) = self.code.at(place) {
            *innermost -= place.address - begin;
            if let Some(known) = answers.get(&*frames) {
                return Ok(known.clone());
            }
        }
        let mut functions = Vec::new();
        let mut missing = Vec::new();
        for &address in &frames {
            let Some(place) = process.place(address) else {
                functions.push(None);
                continue;
            };
            match self.code.at(place) {
                Some((_, known)) => functions.extend(known.iter().map(Option::as_ref)),
                None => missing.push(place),
            }
        }
        if !missing.is_empty() {
            return Err(Missing::Functions(missing));
        }
        let function = telling(&functions).cloned();
        answers.insert(frames.into(), function.clone());
        self.stacks += 1;
        if self.stacks >= MAX_STACKS {
            self.stacks = 0;
            let watched = self.processes.values_mut().flatten();
            watched.for_each(|watched| watched.answers.clear());
        }
        Ok(function)
    }

    /// These functions are in a range of code of a file.
    pub(super) fn learn(&mut self, file: FileId, range: Range<u64>, functions: Functions) {
        if self.code.ranges >= MAX_RANGES {
            self.code = Code::default();
        }
        self.code.ranges += 1;
        let known = self.code.files.entry(file).or_default();
        known.insert(range.start, (range.end, functions));
    }

    /// A process has this mapped; `None` if that cannot be read.
    pub(super) fn set(&mut self, pid: Pid, process: Option<Process>) {
        let watched = process.map(|process| WatchedCode {
            process,
            answers: FxHashMap::default(),
        });
        self.processes.insert(pid, watched);
    }

    /// A process is another program now, or has ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.processes.remove(&pid);
    }

    pub(super) fn knows(&self, pid: Pid) -> bool {
        self.processes.contains_key(&pid)
    }

    pub(super) fn pids(&self) -> Vec<Pid> {
        self.processes.keys().copied().collect()
    }

    /// Whether it is known that a process has exactly this mapped.
    pub(super) fn is_mapped(&self, pid: Pid, maps: &[Mapped]) -> bool {
        let known = self.processes.get(&pid).and_then(Option::as_ref);
        known.is_some_and(|watched| watched.process.has(maps))
    }

    /// Whether any process has this file mapped.
    pub(super) fn uses(&self, file: FileId) -> bool {
        let mut watched = self.processes.values().flatten();
        watched.any(|watched| watched.process.uses(file))
    }

    /// Forgets processes of which nothing can be read, and the functions of files that no process has mapped.
    pub(super) fn forget_unused(&mut self) {
        self.processes.retain(|_, watched| watched.is_some());
        let mut code = std::mem::take(&mut self.code);
        code.files.retain(|file, _| self.uses(*file));
        self.code = code;
    }
}
