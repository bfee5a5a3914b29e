//! The kernel half's own list of targets, and what it is told of the variables of their threads.
//!
//! What is known of a process stands in its slot. A child has that of its parent until it gets one of its own; who has
//! none is one of whom nothing is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError};
use bytemuck::Zeroable as _;
use observer_common::{TaskPath, limits, names};

use super::super::kernel_half::map;
use super::super::map_value::MapValue;
use crate::model::id::Pid;

/// `BPF_NOEXIST` and `BPF_EXIST` of `bpf(2)`.
const ONLY_NEW: u64 = 1;
const ONLY_THERE: u64 = 2;

/// The list, and the slots.
pub(in super::super) struct InKernel {
    targets: HashMap<MapData, u32, u32>,
    families: Array<MapData, u32>,
    only_target: Array<MapData, u32>,
    paths: Array<MapData, MapValue<TaskPath>>,
    /// By process.
    slots: BTreeMap<Pid, u32>,
    /// Those that nobody has had yet.
    unused: Range<u32>,
    /// Those that were given back. The one that was free for longest comes first.
    free: VecDeque<u32>,
}

impl InKernel {
    /// Watches these from the moment on in which programs are attached.
    pub(in super::super) fn begin(ebpf: &mut Ebpf, roots: &[Pid]) -> Result<Self> {
        let mut list = Self {
            targets: map(ebpf, names::map::TARGETS)?,
            families: map(ebpf, names::map::FAMILIES)?,
            only_target: map(ebpf, names::variable::ONLY_TARGET_MAP)?,
            paths: map(ebpf, names::map::TASK_PATHS)?,
            slots: BTreeMap::new(),
            unused: 0..limits::MAX_TARGETS,
            free: VecDeque::new(),
        };
        for &pid in roots {
            let slot = list.unused.next().unwrap_or(limits::NO_SLOT);
            list.know_family(pid)?;
            list.targets.insert(pid.0, slot, ONLY_NEW).with_context(|| {
                format!(
                    "cannot watch process {pid}: at most {} processes at once",
                    limits::MAX_TARGETS
                )
            })?;
            list.slots.insert(pid, slot);
        }
        Ok(list)
    }

    /// Watches process `pid` too, unless that is so already, which gives `None`, or there is no room, which gives
    /// false.
    pub(in super::super) fn add(&mut self, pid: Pid) -> Result<Option<bool>> {
        self.know_family(pid)?;
        match self.targets.insert(pid.0, limits::NO_SLOT, ONLY_NEW) {
            Ok(()) => {}
            Err(error) if fails_with(&error, libc::EEXIST) => return Ok(None),
            Err(error) if fails_with(&error, libc::E2BIG) => return Ok(Some(false)),
            Err(error) => return Err(error).with_context(|| format!("cannot watch process {pid}")),
        }
        let nobody = 0;
        self.only_target
            .set(0, nobody, 0)
            .context("cannot watch more than one process")?;
        Ok(Some(true))
    }

    /// The kernel half asks the list about this process from now on.
    fn know_family(&mut self, pid: Pid) -> Result<()> {
        self.families
            .set(pid.0 & limits::FAMILY_MASK, 1, 0)
            .with_context(|| format!("cannot watch process {pid}"))
    }

    /// Watches process `pid` no more: it had ended before it was watched.
    pub(in super::super) fn remove(&mut self, pid: Pid) {
        // It can have ended only then.
        let _ = self.targets.remove(&pid.0);
    }

    /// All that the kernel half watches.
    pub(in super::super) fn pids(&self) -> BTreeSet<Pid> {
        self.targets.keys().flatten().map(Pid).collect()
    }

    /// The place of process `pid` in the arrays that have one for each of which something is known or sought. `None`
    /// where it has ended, or all are taken.
    pub(in super::super) fn slot(&mut self, pid: Pid) -> Option<u32> {
        let slot = match self.slots.get(&pid) {
            Some(&slot) => slot,
            None => self.free_slot()?,
        };
        self.slots.insert(pid, slot);
        // Another program of it has none at first.
        if self.targets.insert(pid.0, slot, ONLY_THERE).is_err() {
            self.give_back(pid);
            return None;
        }
        Some(slot)
    }

    /// A slot that nobody has.
    fn free_slot(&mut self) -> Option<u32> {
        if let Some(slot) = self.unused.next() {
            return Some(slot);
        }
        let slot = self.free.pop_front()?;
        // A child of whoever gave it back can have it still. What such a one forks meanwhile has it as well.
        loop {
            let entries = self.targets.iter().flatten();
            let children: Vec<u32> = entries
                .filter(|(_, of)| *of == slot)
                .map(|(pid, _)| pid)
                .collect();
            if children.is_empty() {
                return Some(slot);
            }
            for pid in children {
                // Where it has ended meanwhile, it has none.
                let _ = self.targets.insert(pid, limits::NO_SLOT, ONLY_THERE);
            }
        }
    }

    /// What was known of process `pid` holds no more. Gives the slot that it had.
    pub(in super::super) fn give_back(&mut self, pid: Pid) -> Option<u32> {
        let slot = self.slots.remove(&pid).filter(|slot| *slot != limits::NO_SLOT)?;
        self.free.push_back(slot);
        // Without a path nothing is read.
        let _ = self.set_path(slot, TaskPath::zeroed());
        Some(slot)
    }

    /// Says where the threads of the process in this slot keep what their runtime knows of them.
    ///
    /// Programs read this while it is written. The steps go with where the path begins, so that is taken away before
    /// they change, and is given back after. The other words stand by themselves.
    pub(in super::super) fn set_path(&mut self, slot: u32, path: TaskPath) -> Result<()> {
        let mut write = || -> Result<(), MapError> {
            let MapValue(before) = self.paths.get(&slot, 0)?;
            let steps = [
                TaskPath { start: 0, ..before },
                TaskPath { start: 0, ..path },
                path,
            ];
            let mut steps = steps.into_iter();
            steps.try_for_each(|path| self.paths.set(slot, MapValue(path), 0))
        };
        write().context("cannot say where a process keeps what its runtime knows")
    }
}

fn fails_with(error: &MapError, number: i32) -> bool {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error() == Some(number),
        _ => false,
    }
}
