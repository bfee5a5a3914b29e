//! A thread of its own turns stacks into names. What the first sample of a program asks for, its symbols and perhaps
//! its debug information, takes up to seconds: the rings must be drained meanwhile.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use framehop::x86_64::CacheX86_64;
use observer_common::StackHead;
use rustc_hash::FxHashMap;

use super::process::{Images, Process, Unmapped};

/// How often it is looked whether what a process has mapped is still the same, and what is not used any more.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// An address that is in nothing known makes a process be looked at again, but not sooner than this.
const LOOK_AGAIN_SOONEST: Duration = Duration::from_secs(1);

/// What the thread is asked.
pub(super) enum Work {
    /// This process may be sampled: read its symbols.
    Begin(u32),
    /// This process is another program now, or ended.
    Forget(u32),
    /// What this thread does; its stack.
    Name(StackHead, Box<[u8]>),
}

/// A sample with what its thread does.
pub(super) struct Named {
    pub(super) head: StackHead,
    pub(super) function: Option<Arc<str>>,
}

/// Works until nobody asks any more, and lets whoever is observed go first: names may come late.
pub(super) fn run(work: &Receiver<Work>, done: &Sender<Named>) {
    const LEAST_URGENT: i32 = 19;
    let this_thread = 0;
    // SAFETY: always callable. Where it is refused, the thread goes on as it is.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, this_thread, LEAST_URGENT) };
    let mut namer = Namer::default();
    let mut looked = Instant::now();
    loop {
        match work.recv_timeout(LOOK_AGAIN) {
            Ok(Work::Begin(pid)) => namer.begin(pid),
            Ok(Work::Forget(pid)) => {
                namer.processes.remove(&pid);
            }
            Ok(Work::Name(head, stack)) => {
                let function = namer.telling(&head, &stack);
                if done.send(Named { head, function }).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= LOOK_AGAIN {
            looked = Instant::now();
            namer.look_again();
        }
    }
}

/// Names that are shared, at most.
const MAX_NAMES: usize = 16_384;

#[derive(Default)]
struct Namer {
    images: Images,
    processes: FxHashMap<u32, Known>,
    cache: CacheX86_64,
    /// Names that were given out, so that they are shared.
    names: FxHashMap<Rc<str>, Arc<str>>,
}

struct Known {
    /// `None` where nothing could be read.
    process: Option<Process>,
    looked: Instant,
}

impl Known {
    fn look_at(pid: u32, images: &mut Images) -> Self {
        Self {
            process: Process::look_at(pid, images),
            looked: Instant::now(),
        }
    }
}

impl Namer {
    fn begin(&mut self, pid: u32) {
        let images = &mut self.images;
        self.processes
            .entry(pid)
            .or_insert_with(|| Known::look_at(pid, images));
    }

    fn telling(&mut self, head: &StackHead, stack: &[u8]) -> Option<Arc<str>> {
        let Self {
            images,
            processes,
            cache,
            names,
        } = self;
        let known = processes
            .entry(head.tgid)
            .or_insert_with(|| Known::look_at(head.tgid, images));
        let mut told = known.process.as_ref()?.telling(head, stack, cache);
        if matches!(told, Err(Unmapped)) && known.looked.elapsed() >= LOOK_AGAIN_SOONEST {
            *known = Known::look_at(head.tgid, images);
            told = known.process.as_ref()?.telling(head, stack, cache);
        }
        let name = told.ok()??;
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        let shared = names.entry(name).or_insert_with_key(|name| Arc::from(&**name));
        Some(Arc::clone(shared))
    }

    /// Looks at every process again: libraries come and go, and what is gone is given back.
    fn look_again(&mut self) {
        let Self {
            images, processes, ..
        } = self;
        for (&pid, known) in processes.iter_mut() {
            if known
                .process
                .as_ref()
                .is_none_or(|process| !process.is_current(pid))
            {
                *known = Known::look_at(pid, images);
            }
        }
        processes.retain(|_, known| known.process.is_some());
        images.forget_unused();
    }
}
