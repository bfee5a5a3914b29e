//! Facts about processes that run Go: what userspace reads of their memory.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};
use observer_common::Header;

use super::fact::{FactKind, TEXT_BYTES, header, text_field};
use crate::model::id::Pid;

/// Whether the memory of a process tells of its cycles of garbage collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GoMemory {
    /// `tid`: the process.
    pub header: Header,
    /// 1 where they are followed from now on.
    pub cycles: u32,
    /// Zero.
    pub reserved: u32,
    /// How that is known, or why not, NUL-padded.
    pub evidence: [u8; TEXT_BYTES],
}

impl GoMemory {
    /// Of process `pid` they are followed, or not, for this reason.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, cycles: bool, evidence: &str) -> Self {
        Self {
            header: header(FactKind::GoMemory, at_ns, pid.0),
            cycles: cycles.into(),
            reserved: 0,
            evidence: text_field(evidence),
        }
    }
}

/// A cycle of garbage collection, as far as it is known: the same number comes again when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GoCycle {
    /// `at_ns`: when it began, or when it had marked. `tid`: the process.
    pub header: Header,
    /// Its number in the process.
    pub number: u32,
    /// Zero.
    pub reserved: u32,
    /// When it began, ns.
    pub begin_ns: u64,
    /// When it began to mark, ns.
    pub mark_ns: u64,
    /// When it had marked, ns; 0 while that is not known.
    pub marked_ns: u64,
    /// When it was over, ns; 0 while that is not known.
    pub end_ns: u64,
}

impl GoCycle {
    /// A cycle of process `pid`.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid, number: u32, times_ns: [u64; 4]) -> Self {
        let [begin_ns, mark_ns, marked_ns, end_ns] = times_ns;
        Self {
            header: header(FactKind::GoCycle, at_ns, pid.0),
            number,
            reserved: 0,
            begin_ns,
            mark_ns,
            marked_ns,
            end_ns,
        }
    }
}

/// A look at how many threads may run goroutines, and at the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GoHeap {
    /// `tid`: the process.
    pub header: Header,
    /// `GOMAXPROCS`.
    pub max_procs: u64,
    /// What is in use, with what is not yet found to be not, bytes.
    pub heap_bytes: u64,
    /// How much of it there may be when the next cycle is over, bytes; [`GoHeap::UNBOUNDED`] for any.
    pub goal_bytes: u64,
}

impl GoHeap {
    /// Of process `pid`.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid, max_procs: u64, heap_bytes: u64, goal_bytes: u64) -> Self {
        Self {
            header: header(FactKind::GoHeap, at_ns, pid.0),
            max_procs,
            heap_bytes,
            goal_bytes,
        }
    }

    /// With `GOGC=off`.
    pub const UNBOUNDED: u64 = u64::MAX;
}

/// Whether the memory of a process tells how many goroutines it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GoScheduler {
    /// `tid`: the process.
    pub header: Header,
    /// 1 where that is told from now on.
    pub goroutines: u32,
    /// Zero.
    pub reserved: u32,
    /// How that is known, or why not, NUL-padded.
    pub evidence: [u8; TEXT_BYTES],
}

impl GoScheduler {
    /// Of process `pid` that is told, or not, for this reason.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, goroutines: bool, evidence: &str) -> Self {
        Self {
            header: header(FactKind::GoScheduler, at_ns, pid.0),
            goroutines: goroutines.into(),
            reserved: 0,
            evidence: text_field(evidence),
        }
    }
}

/// A look at how many goroutines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GoGoroutines {
    /// `tid`: the process.
    pub header: Header,
    /// All, but those that serve the runtime itself.
    pub count: u64,
    /// Those that could run and had no thread.
    pub runnable: u64,
}

impl GoGoroutines {
    /// Of process `pid`.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid, count: u64, runnable: u64) -> Self {
        Self {
            header: header(FactKind::GoGoroutines, at_ns, pid.0),
            count,
            runnable,
        }
    }
}

/// A goroutine that serves a request was parked when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GoStack {
    /// `at_ns`: when. `tid`: the process.
    pub header: Header,
    /// The goroutine and what it says, as in records: see [`observer_common::task`].
    pub task: u64,
    /// Its functions, from the innermost out, with a NUL behind each: as many as there is room for.
    pub functions: [u8; STACK_BYTES],
}

/// Of the names of a stack's functions, bytes.
const STACK_BYTES: usize = 1000;

impl GoStack {
    /// Of process `pid`.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, task: u64, functions: impl Iterator<Item = impl AsRef<str>>) -> Self {
        let mut text = Vec::with_capacity(STACK_BYTES);
        for function in functions {
            let name = function.as_ref().as_bytes();
            if text.len() + name.len() >= STACK_BYTES {
                break;
            }
            text.extend_from_slice(name);
            text.push(0);
        }
        text.resize(STACK_BYTES, 0);
        let mut fact = Self {
            header: header(FactKind::GoStack, at_ns, pid.0),
            task,
            functions: [0; STACK_BYTES],
        };
        fact.functions.copy_from_slice(&text);
        fact
    }

    /// Its functions, from the innermost out.
    pub fn functions(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let names = self.functions.split(|&byte| byte == 0);
        names
            .take_while(|name| !name.is_empty())
            .map(String::from_utf8_lossy)
    }
}

/// How often goroutines of a process were looked at since the last such fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GoLooks {
    /// `tid`: the process.
    pub header: Header,
    /// Looks.
    pub looks: u64,
    /// Of these, at one that was parked: its stack is told.
    pub parked: u64,
    /// And at one that went on meanwhile, or whose stack was moved.
    pub changed: u64,
    /// What was not looked at: there would have been too many, it would have taken too long, or the goroutine was not
    /// found.
    pub skipped: u64,
    /// How long looking took, ns.
    pub spent_ns: u64,
}

impl GoLooks {
    /// None yet at process `pid`.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid) -> Self {
        Self {
            header: header(FactKind::GoLooks, at_ns, pid.0),
            looks: 0,
            parked: 0,
            changed: 0,
            skipped: 0,
            spent_ns: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_has_whole_names_from_the_innermost_out() {
        let functions = |names: &[&str]| -> Vec<String> {
            let stack = GoStack::new(7, Pid(9), 41, names.iter());
            stack.functions().map(Cow::into_owned).collect()
        };
        assert_eq!(
            functions(&["runtime.gopark", "main.f"]),
            ["runtime.gopark", "main.f"]
        );
        assert_eq!(functions(&[]), [""; 0]);
        let long = "x".repeat(STACK_BYTES - 2);
        assert_eq!(functions(&["a", &long]), ["a"]);
        assert_eq!(functions(&["a", &long[1..], "b"]), ["a", &long[1..]]);
    }
}
