//! Facts about what threads run. The function's name is told once, and each sample gives its number.

use bytemuck::{Pod, Zeroable};
use observer_common::{Header, StackHead};

use super::fact::{FactKind, TEXT_BYTES, header, text_field};

/// The name of a function that samples give by its number from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Function {
    /// `tid`: none.
    pub header: Header,
    /// Its number, never 0. None is used for two names.
    pub number: u32,
    /// Zero.
    pub reserved: u32,
    /// The name, NUL-padded.
    pub name: [u8; TEXT_BYTES],
}

impl Function {
    /// Names that are known at once. With one more, all before it are forgotten, by who tells them and who is told.
    pub const MAX_KNOWN: usize = 8192;

    /// Function `number` is called `name`.
    #[must_use]
    pub fn new(at_ns: u64, number: u32, name: &str) -> Self {
        Self {
            header: header(FactKind::Function, at_ns, 0),
            number,
            reserved: 0,
            name: text_field(name),
        }
    }
}

/// What a watched thread ran at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Sample {
    /// `at_ns`: when it was sampled, or later, where its name was not known in time. `tid`: the thread.
    pub header: Header,
    /// Its process.
    pub tgid: u32,
    /// Number of the [`Function`], or [`Sample::NOT_NAMED`].
    pub function: u32,
    /// Runtime task that it was in, see [`observer_common::task`].
    pub task: u64,
    /// When it was sampled, ns.
    pub sampled_ns: u64,
    /// How much time it stands for: fewer are taken of some threads than of others, ns.
    pub stands_for_ns: u64,
}

impl Sample {
    /// Nothing could be found out about what it ran.
    pub const NOT_NAMED: u32 = 0;

    /// The thread of `head` ran `function`; told at `at_ns`.
    #[must_use]
    pub const fn new(at_ns: u64, head: &StackHead, function: u32) -> Self {
        Self {
            header: Header {
                cpu: head.cpu as u16,
                ..header(FactKind::Sample, at_ns, head.tid)
            },
            tgid: head.tgid,
            function,
            task: head.task,
            sampled_ns: head.at_ns,
            stands_for_ns: head.stands_for_ns,
        }
    }
}

/// How many samples there were since the last such fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct SampleCounts {
    /// `at_ns`: end of the interval.
    pub header: Header,
    /// Samples in the stream.
    pub taken: u64,
    /// Samples for which there was no room or no time.
    pub lost: u64,
    /// Ticks of the clocks that found threads that are not watched.
    pub ticks_on_others: u64,
}

impl SampleCounts {
    /// What was sampled up to `at_ns`.
    #[must_use]
    pub const fn new(at_ns: u64, taken: u64, lost: u64, ticks_on_others: u64) -> Self {
        Self {
            header: header(FactKind::Samples, at_ns, 0),
            taken,
            lost,
            ticks_on_others,
        }
    }
}
