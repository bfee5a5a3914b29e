//! What threads run: takes the sampled stacks out of their ring, has them named, and adds that to the stream as facts.
//!
//! Of a stack the stream holds one function's name, the one that says what the thread does. Names come a moment after
//! their sample; one that takes longer enters the stream late, with the time at which it was taken.

mod cell;
pub(super) mod clock;
mod debug;
mod follow;
mod image;
mod images;
mod known;
mod layers;
mod made;
mod maps;
mod process;
mod symbols;
mod telling;
mod worker;

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, RingBuf};
use bytemuck::pod_read_unaligned;
use observer_common::{Stack, StackHead, limits, names};
use rustc_hash::FxHashMap;

use self::clock::Clocks;
use self::follow::Follower;
use self::known::KnownCode;
pub(super) use self::worker::lets_others_go_first;
use self::worker::{NamedSample, NamingWork};
use super::kernel_half::map;
use super::targets::Change;
use crate::event;
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::model::own_threads;
use crate::source::Merge;

/// Samples that wait for their names, at most: 2 MiB.
const MAX_WAITING: usize = 128;

/// Drains of the ring are at most this far apart on an idle machine; the ring holds twice what is sampled meanwhile.
const DRAINS_A_SECOND: u32 = 50;

/// Size of the ring for so many samples a second of each CPU, bytes.
pub(super) fn ring_bytes(hz: u32, cpus: u32) -> u32 {
    if hz == 0 {
        return 4096;
    }
    let stacks = 2 * (hz / limits::SAMPLES_A_STACK / DRAINS_A_SECOND + 1) * cpus;
    (stacks * (size_of::<Stack>() as u32 + 8))
        .next_power_of_two()
        .min(64 << 20)
}

/// Samples of all CPUs.
pub(super) struct Stacks {
    ring: RingBuf<MapData>,
    lost_in_kernel: Counter,
    ticks_on_others: Counter,
    _follower: Follower,
    known: Arc<Mutex<KnownCode>>,
    /// Processes that are to be forgotten before anything is said of another stack.
    gone: Vec<Pid>,
    work: SyncSender<NamingWork>,
    named: Receiver<NamedSample>,
    /// Numbers of the names that are in the stream.
    functions: FxHashMap<Arc<str>, u32>,
    functions_numbered: u32,
    taken: u64,
    lost: u64,
}

impl Stacks {
    /// Samples of these processes, by the programs of `ebpf`, when these clocks tick.
    pub(super) fn begin(ebpf: &mut Ebpf, pids: &[Pid], clocks: Clocks) -> Result<Self> {
        let ring = map(ebpf, names::map::STACKS)?;
        let (work, asked) = sync_channel(MAX_WAITING.max(pids.len()));
        let (done, named) = channel();
        let known = Arc::<Mutex<KnownCode>>::default();
        let of_thread = Arc::clone(&known);
        thread::Builder::new()
            .name(own_threads::NAMES.to_owned())
            .spawn(move || worker::run(&of_thread, &asked, &done))
            .context("cannot start the thread that names functions")?;
        for &pid in pids {
            let _ = work.try_send(NamingWork::Begin(pid));
        }
        Ok(Self {
            ring,
            lost_in_kernel: Counter::take(ebpf, names::map::SAMPLES_LOST)?,
            ticks_on_others: Counter::take(ebpf, names::map::TICKS_ON_OTHERS)?,
            _follower: Follower::begin(ebpf, clocks)?,
            known,
            gone: Vec::new(),
            work,
            named,
            functions: FxHashMap::default(),
            functions_numbered: 0,
            taken: 0,
            lost: 0,
        })
    }

    /// Adds what threads were sampled running to the stream, of which everything before `released_ns` was given out:
    /// now, where all that is asked for is known, and else when it has been read.
    pub(super) fn drain(&mut self, released_ns: u64, merge: &mut Merge) {
        let mut named: Vec<NamedSample> = self.named.try_iter().collect();
        let mut known = self.known.try_lock().ok();
        if let Some(known) = &mut known {
            for pid in self.gone.drain(..) {
                if known.knows(pid) {
                    known.forget(pid);
                    // Where there is no room, it is noticed within ten seconds.
                    let _ = self.work.try_send(NamingWork::Forget(pid));
                }
            }
        }
        while let Some(item) = self.ring.next() {
            let Some((head, stack)) = item.split_at_checked(size_of::<StackHead>()) else {
                continue;
            };
            let head: StackHead = pod_read_unaligned(head);
            let stack = &stack[..stack.len().min(head.stack_bytes as usize)];
            let function = known.as_mut().map(|known| known.telling(&head, stack));
            if let Some(Ok(function)) = function {
                named.push(NamedSample { head, function });
            } else if self.work.try_send(NamingWork::Name(head, stack.into())).is_err() {
                self.lost += 1;
            }
        }
        drop(known);
        self.taken += named.len() as u64;
        for NamedSample { head, function } in named {
            let function = function.map_or(event::Sample::NOT_NAMED, |name| {
                self.number(name, released_ns, merge)
            });
            merge.push(bytemuck::bytes_of(&event::Sample::new(
                head.at_ns.max(released_ns),
                &head,
                function,
            )));
        }
    }

    /// The number of a name, which enters the stream first.
    fn number(&mut self, name: Arc<str>, released_ns: u64, merge: &mut Merge) -> u32 {
        if let Some(&number) = self.functions.get(&name) {
            return number;
        }
        // A name that was forgotten enters the stream again, with a new number.
        if self.functions.len() >= event::Function::MAX_KNOWN {
            self.functions.clear();
        }
        // Never one that was used before: a sample that is still in the merge means the former name.
        self.functions_numbered += 1;
        let number = self.functions_numbered;
        merge.push(bytemuck::bytes_of(&event::Function::new(
            released_ns,
            number,
            &name,
        )));
        self.functions.insert(name, number);
        number
    }

    /// What there was no room for in files that were read since the last call.
    pub(super) fn take_full(&self) -> Full {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.full.take()
    }

    /// Reacts to what happened to a target: what it had mapped is not there any more.
    pub(super) fn on_change(&mut self, change: Change) {
        if let Change::Exec { pid } | Change::Gone { pid, .. } = change {
            self.gone.push(pid);
        }
    }

    /// What was sampled since the last call.
    pub(super) fn count(&mut self, now_ns: u64) -> event::SampleCounts {
        self.lost += self.lost_in_kernel.since_last();
        event::SampleCounts::new(
            now_ns,
            std::mem::take(&mut self.taken),
            std::mem::take(&mut self.lost),
            self.ticks_on_others.since_last(),
        )
    }
}

/// What the kernel half counts on each CPU.
struct Counter {
    map: PerCpuArray<MapData, u64>,
    before: u64,
}

impl Counter {
    fn take(ebpf: &mut Ebpf, name: &str) -> Result<Self> {
        Ok(Self {
            map: map(ebpf, name)?,
            before: 0,
        })
    }

    fn since_last(&mut self) -> u64 {
        let all = self
            .map
            .get(&0, 0)
            .map_or(self.before, |counts| counts.iter().sum());
        all.saturating_sub(std::mem::replace(&mut self.before, all))
    }
}
