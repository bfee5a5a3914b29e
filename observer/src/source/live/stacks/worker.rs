//! A thread of its own reads what is not known yet of a stack's functions. What the first sample of a program asks for,
//! its symbols and perhaps its debug information, takes up to seconds: the rings must be drained meanwhile.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use observer_common::StackHead;
use procfs::process::MemoryMap;
use rustc_hash::FxHashMap;

use super::cell::Cell;
use super::image::Functions;
use super::images::{FileAddress, Images};
use super::known::{KnownCode, Missing};
use super::layers::Layer;
use super::made::Source;
use super::maps::{FileId, Mapped, executable};
use super::process::Process;
use super::telling::NamedFunction;
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::source::code::made::{Function, Whose};
use crate::source::live::LiveSource;

/// How often it is looked whether what a process has mapped is still the same, and what is not used any more.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// An address that is in nothing known makes a process be looked at again, but not sooner than this.
const LOOK_AGAIN_SOONEST: Duration = Duration::from_secs(1);

/// How often a stack is looked at: before its process is known, before what that made at run time is, before its
/// functions are, and when all is. More comes up only where so much is remembered that it is forgotten again at once.
const MAX_LOOKS: usize = 4;

/// What the thread is asked.
pub(super) enum NamingWork {
    /// This process may be sampled: read its symbols.
    Begin(Pid),
    /// This process is another program now, or ended.
    Forget(Pid),
    /// What this thread does; its stack.
    Name(StackHead, Box<[u8]>),
}

/// A sample with what its thread does.
pub(super) struct NamedSample {
    pub(super) head: StackHead,
    pub(super) function: Option<Arc<str>>,
}

/// Works until nobody asks any more, and lets whoever is observed go first: names may come late.
pub(super) fn run(known: &Mutex<KnownCode>, work: &Receiver<NamingWork>, done: &Sender<NamedSample>) {
    lets_others_go_first();
    let mut worker = Namer {
        known,
        images: Images::default(),
        made: FxHashMap::default(),
        full: Full::default(),
        looked: FxHashMap::default(),
    };
    let mut looked = Instant::now();
    loop {
        match work.recv_timeout(LOOK_AGAIN) {
            Ok(NamingWork::Begin(pid)) => worker.look_at(pid),
            Ok(NamingWork::Forget(pid)) => worker.forget(pid),
            Ok(NamingWork::Name(head, stack)) => {
                let function = worker.telling(&head, &stack);
                if done.send(NamedSample { head, function }).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= LOOK_AGAIN {
            looked = Instant::now();
            worker.look_again();
        }
    }
}

/// Makes this thread the least urgent one: what it finds out may come late.
pub(in super::super) fn lets_others_go_first() {
    const LEAST_URGENT: i32 = 19;
    let this_thread = 0;
    // SAFETY: always callable. Where it is refused, the thread goes on as it is.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, this_thread, LEAST_URGENT) };
}

struct Namer<'a> {
    /// Never held while a file is read.
    known: &'a Mutex<KnownCode>,
    images: Images,
    /// Where processes tell of the code that they make.
    made: FxHashMap<Pid, Source>,
    /// What there was no room for in these.
    full: Full,
    /// When processes were looked at.
    looked: FxHashMap<Pid, Instant>,
}

impl<'a> Namer<'a> {
    fn known(&self) -> MutexGuard<'a, KnownCode> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at(&mut self, pid: Pid) {
        let maps = executable(&pid.to_string());
        let process = maps
            .as_deref()
            .map(|maps| Process::of(pid, maps, &mut self.images));
        let mut known = self.known();
        known.set(pid, process);
        known.full.add(&self.images.full.take());
        drop(known);
        self.looked.insert(pid, Instant::now());
        if let Some(maps) = maps {
            self.look_for_made(pid, &maps);
        }
    }

    /// Looks whether a process, which has this mapped, tells of the code that it makes, or elsewhere than before.
    fn look_for_made(&mut self, pid: Pid, maps: &[MemoryMap]) {
        let Some(found) = Source::find(pid, maps) else {
            return;
        };
        let followed = self.made.get(&pid).filter(|_| self.known().has_made(pid));
        if followed.is_none_or(|followed| found.is_other_than(followed)) {
            self.made.insert(pid, found);
            self.read_made(pid);
        }
    }

    /// Reads what a process has told of the code that it makes.
    fn read_made(&mut self, pid: Pid) {
        // Before it is looked: what is told meanwhile may be seen or not.
        let now_ns = LiveSource::now_ns();
        let Some(source) = self.made.get_mut(&pid) else {
            return;
        };
        // Who drains the rings may wait for what is known.
        for news in source.read_on(&self.full).in_parts() {
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add_made(pid, &news, now_ns);
        }
        self.known().full.add(&self.full.take());
    }

    /// The functions at an address of code that a process made, and the range of code of which they are.
    fn made_functions(&self, pid: Pid, place: FileAddress) -> (Range<u64>, Functions) {
        let Some((range, code)) = self.known().made_at(pid, place.address) else {
            return (Cell::only(place.address).range(), [None].into());
        };
        let source = self.made.get(&pid);
        let function = source.and_then(|source| source.function(range.start, code));
        let named = function.map(|Function { name, whose }| {
            let (layer, library) = match whose {
                Whose::Own => (Layer::Program, ""),
                Whose::Library(ref library) => (Layer::Program, library.as_str()),
                Whose::Framework => (Layer::Framework, ""),
                Whose::Language => (Layer::Standard, ""),
            };
            NamedFunction {
                name: name.into(),
                layer,
                library: Some(library.into()),
            }
        });
        (range, [named].into())
    }

    fn forget(&mut self, pid: Pid) {
        self.known().forget(pid);
        self.looked.remove(&pid);
        self.made.remove(&pid);
    }

    fn telling(&mut self, head: &StackHead, stack: &[u8]) -> Option<Arc<str>> {
        for _ in 0..MAX_LOOKS {
            let answer = self.known().telling(head, stack);
            match answer {
                Ok(function) => return function,
                Err(Missing::Process) => self.look_at(Pid(head.tgid)),
                Err(Missing::Mapping) => {
                    let looked = self.looked.get(&Pid(head.tgid));
                    if looked.is_some_and(|looked| looked.elapsed() < LOOK_AGAIN_SOONEST) {
                        return None;
                    }
                    self.look_at(Pid(head.tgid));
                }
                Err(Missing::Made) => self.read_made(Pid(head.tgid)),
                Err(Missing::Functions(places)) => {
                    for place in places {
                        let pid = Pid(head.tgid);
                        let (range, functions) = if place.file == FileId::made_by(pid) {
                            self.made_functions(pid, place)
                        } else {
                            self.images.functions(place)
                        };
                        self.known().learn(place.file, range, functions);
                    }
                }
            }
        }
        None
    }

    /// Looks at every process again: libraries come and go, and what is gone is given back.
    fn look_again(&mut self) {
        let pids = self.known().pids();
        for pid in pids {
            let Some(maps) = executable(&pid.to_string()) else {
                self.look_at(pid);
                continue;
            };
            let mapped: Vec<Mapped> = maps.iter().map(Mapped::of).collect();
            let is_same = self.known().is_mapped(pid, &mapped);
            if is_same {
                self.look_for_made(pid, &maps);
            } else {
                self.look_at(pid);
            }
        }
        let mut known = self.known();
        known.forget_unused();
        self.images.retain(|file| known.uses(file));
        self.looked.retain(|&pid, _| known.knows(pid));
        self.made.retain(|&pid, _| known.knows(pid));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::source::live::stacks::process::tests::caller;

    #[test]
    fn what_it_has_read_is_known_from_then_on() {
        let (head, stack) = caller();
        let known = Mutex::<KnownCode>::default();
        let telling = || known.lock().unwrap().telling(&head, &stack);
        assert!(matches!(telling(), Err(Missing::Process)));
        let (ask, asked) = channel();
        let (done, named) = channel();
        ask.send(NamingWork::Begin(Pid(head.tgid))).unwrap();
        ask.send(NamingWork::Name(head, stack.as_slice().into())).unwrap();
        drop(ask);
        thread::scope(|scope| {
            scope.spawn(|| {
                // They are this thread's, and end with it.
                let (asked, done) = (asked, done);
                run(&known, &asked, &done);
            });
        });
        let function = named.recv().unwrap().function.unwrap();
        // The test's harness is the program, and this crate a library that it uses.
        let called = "what_it_has_read_is_known_from_then_on";
        assert!(function.ends_with(called), "{function}");
        for _ in 0..2 {
            assert_eq!(telling().unwrap(), Some(Arc::clone(&function)));
        }
        known.lock().unwrap().forget(Pid(head.tgid));
        assert!(matches!(telling(), Err(Missing::Process)));
    }

    #[test]
    fn of_a_process_that_is_gone_nothing_is_told() {
        let (mut head, stack) = caller();
        head.tgid = u32::MAX;
        let known = Mutex::default();
        let mut worker = Namer {
            known: &known,
            images: Images::default(),
            made: FxHashMap::default(),
            full: Full::default(),
            looked: FxHashMap::default(),
        };
        assert_eq!(worker.telling(&head, &stack), None);
        assert!(
            worker.known().knows(Pid(head.tgid)),
            "it is not looked for each time"
        );
        worker.look_again();
        assert!(!worker.known().knows(Pid(head.tgid)));
    }
}
