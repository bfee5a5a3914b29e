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
use super::images::FileAddress;
use super::made::{self, Code as MadeCode, Made, News};
use super::maps::{FileId, Mapped};
use super::process::Process;
use super::telling::{NamedFunction, telling};
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::source::code::made::is_interpreter;

/// Ranges of code whose functions are remembered: some 4 MiB.
const MAX_RANGES: usize = 32_768;

/// Stacks that are remembered: some 3 MiB.
const MAX_STACKS: usize = 8192;

/// Processes, and functions of the files that they have mapped.
#[derive(Default)]
pub(super) struct KnownCode {
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
    /// What it tells of the code that it makes; `None` where it tells nothing.
    made: Option<Made>,
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
    fn at(&self, place: FileAddress) -> Option<(u64, &Functions)> {
        let ranges = self.files.get(&place.file)?;
        let (begin, (end, functions)) = ranges.range(..=place.address).next_back()?;
        (place.address < *end).then_some((*begin, functions))
    }

    /// What the frames of a stack tell, from the innermost out.
    ///
    /// Where functions are among them that the process made at run time, these are the program, and all others what
    /// its runtime is made of.
    fn telling(&self, pid: Pid, places: &[Option<FileAddress>]) -> Result<Option<Arc<str>>, Missing> {
        let (mut functions, mut made, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for place in places {
            let Some(place) = *place else {
                functions.push(None);
                made.push(None);
                continue;
            };
            let Some((_, known)) = self.at(place) else {
                missing.push(place);
                continue;
            };
            functions.extend(known.iter().map(Option::as_ref));
            let interprets = |function: &Option<NamedFunction<_>>| {
                function
                    .as_ref()
                    .is_some_and(|function: &NamedFunction<Arc<str>>| is_interpreter(&function.name))
            };
            if place.file == FileId::made_by(pid) {
                made.extend(known.iter().map(Option::as_ref));
            } else if known.iter().any(interprets) {
                made.push(None);
            }
        }
        if !missing.is_empty() {
            return Err(Missing::Functions(missing));
        }
        let told = if made.iter().any(Option::is_some) {
            telling(&made)
        } else {
            telling(&functions)
        };
        Ok(told.cloned())
    }
}

impl WatchedCode {
    /// What is at an address when a sample was taken.
    fn place(&self, pid: Pid, address: u64, sampled_ns: u64) -> Option<FileAddress> {
        self.process.place(address).or_else(|| {
            self.made.as_ref()?.at(address, sampled_ns)?;
            Some(FileAddress {
                file: FileId::made_by(pid),
                address,
            })
        })
    }

    fn made(&self) -> usize {
        self.made.as_ref().map_or(0, Made::len)
    }
}

/// What is not known of a stack.
#[derive(Debug)]
pub(super) enum Missing {
    /// What the process has mapped.
    Process,
    /// What is mapped where the thread is, though something else is known of the process.
    Mapping,
    /// What the process told of the code that it made until the stack was taken.
    Made,
    /// Which functions are at these places.
    Functions(Vec<FileAddress>),
}

impl KnownCode {
    /// The function that says what a thread does; `None` where it has no name.
    pub(super) fn telling(&mut self, head: &StackHead, stack: &[u8]) -> Result<Option<Arc<str>>, Missing> {
        let pid = Pid(head.tgid);
        let watched = match self.processes.get_mut(&pid) {
            Some(Some(watched)) => watched,
            Some(None) => return Ok(None),
            None => return Err(Missing::Process),
        };
        let nothing = Made::default();
        let made = watched.made.as_ref().unwrap_or(&nothing);
        let mut frames = watched.process.frames(made, head, stack, &mut self.cache);
        let places: Vec<Option<FileAddress>> = frames
            .iter()
            .map(|&frame| watched.place(pid, frame, head.at_ns))
            .collect();
        let in_made =
            |place: &Option<FileAddress>| place.is_none_or(|place| place.file == FileId::made_by(pid));
        if watched.made.is_some() && places.iter().any(in_made) && !made.was_looked_at(head.at_ns) {
            return Err(Missing::Made);
        }
        let place = places.first().copied().flatten().ok_or(Missing::Mapping)?;
        if let Some((begin, _)) = self.code.at(place) {
            frames[0] -= place.address - begin;
            if let Some(known) = watched.answers.get(&*frames) {
                return Ok(known.clone());
            }
        }
        let function = self.code.telling(pid, &places)?;
        watched.answers.insert(frames.into(), function.clone());
        self.stacks += 1;
        if self.stacks >= MAX_STACKS {
            self.stacks = 0;
            let watched = self.processes.values_mut().flatten();
            watched.for_each(|watched| watched.answers.clear());
        }
        Ok(function)
    }

    /// A process told this of the code that it makes, and nothing more until `now_ns`.
    pub(super) fn add_made(&mut self, pid: Pid, news: &News, now_ns: u64) {
        let together: usize = self.processes.values().flatten().map(WatchedCode::made).sum();
        let Some(Some(watched)) = self.processes.get_mut(&pid) else {
            return;
        };
        let made = watched.made.get_or_insert_default();
        let room = made::MAX_PIECES.saturating_sub(together);
        let gone = made.add(news, now_ns, room, &self.full);
        if news.is_other || !news.entries.is_empty() {
            watched.answers.clear();
        }
        match (gone, self.code.files.get_mut(&FileId::made_by(pid))) {
            (Some(gone), Some(ranges)) => {
                for begin in gone {
                    ranges.remove(&begin);
                }
            }
            (None, Some(ranges)) => ranges.clear(),
            (_, None) => {}
        }
    }

    pub(super) fn has_made(&self, pid: Pid) -> bool {
        let watched = self.processes.get(&pid).and_then(Option::as_ref);
        watched.is_some_and(|watched| watched.made.is_some())
    }

    /// The code that a process made at this address: where, and what is known of it.
    pub(super) fn made_at(&self, pid: Pid, address: u64) -> Option<(Range<u64>, MadeCode)> {
        let watched = self.processes.get(&pid)?.as_ref()?;
        watched.made.as_ref()?.at(address, u64::MAX)
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
        let before = self.processes.remove(&pid).flatten();
        let watched = process.map(|process| WatchedCode {
            process,
            made: before.and_then(|before| before.made),
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
        let made: Vec<FileId> = self.processes.keys().map(|pid| FileId::made_by(*pid)).collect();
        code.files
            .retain(|file, _| made.contains(file) || self.uses(*file));
        self.code = code;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::live::stacks::layers::Layer::{self, Framework, Program, Standard};

    const PID: Pid = Pid(7);

    /// What a stack tells of frames that are in a file, or in code that the process made; without a name none.
    fn tells(stack: &[(&str, Option<(&str, Layer)>)]) -> Option<String> {
        let mut code = Code::default();
        let mut places = Vec::new();
        for (at, (kind, function)) in (0..).zip(stack) {
            if *kind == "nowhere" {
                places.push(None);
                continue;
            }
            let file = FileId::made_by(if *kind == "made" { PID } else { Pid(0) });
            let named = function.map(|(name, layer)| NamedFunction {
                name: name.into(),
                layer,
                library: (*kind == "made").then(|| "".into()),
            });
            let ranges = code.files.entry(file).or_default();
            ranges.insert(at, (at + 1, [named].into()));
            places.push(Some(FileAddress { file, address: at }));
        }
        code.telling(PID, &places).unwrap().map(|name| name.to_string())
    }

    #[test]
    fn code_that_a_process_makes_is_the_program_and_its_runtime_says_how() {
        let main = ("file", Some(("uv_run", Program)));
        let handler = ("made", Some(("handler (s.js:3)", Program)));
        let framework = ("made", Some(("onRead (net:9)", Framework)));
        let json = ("file", Some(("v8::internal::JsonStringify", Program)));
        assert_eq!(
            tells(&[json, handler, framework, main]).as_deref(),
            Some("handler (s.js:3)")
        );
        let map = ("made", Some(("ArrayMap", Standard)));
        assert_eq!(
            tells(&[map, handler, framework, main]).as_deref(),
            Some("handler (s.js:3)")
        );
        assert_eq!(tells(&[json, framework, main]).as_deref(), Some("onRead (net:9)"));
        assert_eq!(
            tells(&[("file", None), handler, main]).as_deref(),
            Some("handler (s.js:3)"),
            "a function of the runtime that was stripped of its name"
        );
        assert_eq!(
            tells(&[json, main]).as_deref(),
            Some("v8::internal::JsonStringify")
        );
    }

    #[test]
    fn a_function_that_is_interpreted_is_not_passed_by() {
        let handler = ("made", Some(("handler (s.js:3)", Program)));
        let array = ("made", Some(("ArrayMap", Standard)));
        let interpreter = ("file", Some(("Builtins_InterpreterEntryTrampoline", Program)));
        assert_eq!(tells(&[interpreter, handler]), None);
        assert_eq!(tells(&[array, interpreter, handler]), None);
        assert_eq!(tells(&[("made", None), handler]), None, "Java's");
        assert_eq!(
            tells(&[handler, interpreter]).as_deref(),
            Some("handler (s.js:3)")
        );
        assert_eq!(tells(&[array, ("nowhere", None)]), None);
    }
}
