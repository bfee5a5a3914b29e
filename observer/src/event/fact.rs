//! Facts that userspace adds to the stream, so that a replay sees what the live run saw.

use bytemuck::{Pod, Zeroable};
use observer_common::Header;

use super::{
    Ended, Executable, Full, Function, GoCycle, GoGoroutines, GoHeap, GoLooks, GoMemory, GoScheduler,
    GoStack, Listener, Looked, Refused, Runtime, Sample, SampleCounts, Successor, TargetAdded, TargetGone,
};
use crate::model::id::{Pid, Tid};

/// Longest text in a fact, bytes.
pub const TEXT_BYTES: usize = 232;

/// Numbers of the facts; the kernel half's kinds are below 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum FactKind {
    Lost = 100,
    ThreadName = 101,
    FdName = 102,
    Memory = 103,
    Port = 104,
    Cost = 105,
    Tick = 106,
    End = 107,
    Runtime = 108,
    Function = 109,
    Sample = 110,
    Samples = 111,
    Listener = 120,
    Looked = 121,
    Successor = 122,
    Ended = 123,
    Refused = 124,
    TargetAdded = 130,
    TargetGone = 131,
    Executable = 132,
    Full = 140,
    GoMemory = 150,
    GoCycle = 151,
    GoHeap = 152,
    GoScheduler = 153,
    GoGoroutines = 154,
    GoStack = 155,
    GoLooks = 156,
}

impl FactKind {
    pub(crate) const fn from_u16(value: u16) -> Option<Self> {
        Some(match value {
            100 => Self::Lost,
            101 => Self::ThreadName,
            102 => Self::FdName,
            103 => Self::Memory,
            104 => Self::Port,
            105 => Self::Cost,
            106 => Self::Tick,
            107 => Self::End,
            108 => Self::Runtime,
            109 => Self::Function,
            110 => Self::Sample,
            111 => Self::Samples,
            120 => Self::Listener,
            121 => Self::Looked,
            122 => Self::Successor,
            123 => Self::Ended,
            124 => Self::Refused,
            130 => Self::TargetAdded,
            131 => Self::TargetGone,
            132 => Self::Executable,
            140 => Self::Full,
            150 => Self::GoMemory,
            151 => Self::GoCycle,
            152 => Self::GoHeap,
            153 => Self::GoScheduler,
            154 => Self::GoGoroutines,
            155 => Self::GoStack,
            156 => Self::GoLooks,
            _ => return None,
        })
    }

    pub(super) const fn size(self) -> usize {
        match self {
            Self::Lost => size_of::<Lost>(),
            Self::ThreadName => size_of::<ThreadName>(),
            Self::FdName => size_of::<FdName>(),
            Self::Memory => size_of::<Memory>(),
            Self::Port => size_of::<Port>(),
            Self::Cost => size_of::<Cost>(),
            Self::Tick => size_of::<Tick>(),
            Self::End => size_of::<End>(),
            Self::Runtime => size_of::<Runtime>(),
            Self::Function => size_of::<Function>(),
            Self::Sample => size_of::<Sample>(),
            Self::Samples => size_of::<SampleCounts>(),
            Self::Listener => size_of::<Listener>(),
            Self::Looked => size_of::<Looked>(),
            Self::Successor => size_of::<Successor>(),
            Self::Ended => size_of::<Ended>(),
            Self::Refused => size_of::<Refused>(),
            Self::TargetAdded => size_of::<TargetAdded>(),
            Self::TargetGone => size_of::<TargetGone>(),
            Self::Executable => size_of::<Executable>(),
            Self::Full => size_of::<Full>(),
            Self::GoMemory => size_of::<GoMemory>(),
            Self::GoCycle => size_of::<GoCycle>(),
            Self::GoHeap => size_of::<GoHeap>(),
            Self::GoScheduler => size_of::<GoScheduler>(),
            Self::GoGoroutines => size_of::<GoGoroutines>(),
            Self::GoStack => size_of::<GoStack>(),
            Self::GoLooks => size_of::<GoLooks>(),
        }
    }
}

pub(super) const fn header(kind: FactKind, at_ns: u64, tid: u32) -> Header {
    Header {
        at_ns,
        tid,
        kind: kind as u16,
        cpu: 0,
    }
}

/// Records that could not be written, between two looks at the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Lost {
    /// `at_ns`: its place in the stream, no later than what is missing; or when this was found out, where that is later
    /// than what was given out by then.
    pub header: Header,
    /// How many.
    pub count: u64,
    /// None was lost before this time, ns.
    pub from_ns: u64,
    /// None was lost after this time, ns.
    pub to_ns: u64,
    /// A [`observer_common::LostReason`], or one of those below.
    pub reason: u32,
    /// Zero.
    pub reserved: u32,
}

impl Lost {
    /// The record came when later ones had been given out already.
    pub const LATE: u32 = 100;
    /// The record was none that this version knows.
    pub const MALFORMED: u32 = 101;
    /// The kernel did not begin the program that would have written it.
    pub const MISSED: u32 = 102;
    /// It found no room in the queue of the recording.
    pub const NOT_RECORDED: u32 = 103;

    /// A loss of `count` records between `from_ns` and `to_ns`.
    #[must_use]
    pub const fn new(at_ns: u64, count: u64, from_ns: u64, to_ns: u64, reason: u32) -> Self {
        Self {
            header: header(FactKind::Lost, at_ns, 0),
            count,
            from_ns,
            to_ns,
            reason,
            reserved: 0,
        }
    }
}

/// The name of a watched thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ThreadName {
    /// `tid`: the thread.
    pub header: Header,
    /// Its process.
    pub tgid: u32,
    /// Zero.
    pub reserved: u32,
    /// The name, NUL-padded.
    pub comm: [u8; observer_common::limits::COMM_BYTES],
}

impl ThreadName {
    /// Thread `tid` of process `tgid` is called `comm`.
    #[must_use]
    pub const fn new(at_ns: u64, tgid: Pid, tid: Tid, comm: [u8; 16]) -> Self {
        Self {
            header: header(FactKind::ThreadName, at_ns, tid.0),
            tgid: tgid.0,
            reserved: 0,
            comm,
        }
    }
}

/// What a file descriptor of a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FdName {
    /// `tid`: the process.
    pub header: Header,
    /// The descriptor.
    pub fd: i32,
    /// Zero.
    pub reserved: u32,
    /// As `/proc/PID/fd` names it, NUL-padded; empty where it has no name any more.
    pub name: [u8; TEXT_BYTES],
}

impl FdName {
    /// Descriptor `fd` of process `pid` is `name`.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, fd: i32, name: &str) -> Self {
        Self {
            header: header(FactKind::FdName, at_ns, pid.0),
            fd,
            reserved: 0,
            name: text_field(name),
        }
    }
}

/// A snapshot of a process's memory, from procfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Memory {
    /// `tid`: the process.
    pub header: Header,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Minor faults since the process began.
    pub minor_faults: u64,
    /// Major faults since the process began.
    pub major_faults: u64,
}

impl Memory {
    /// What process `pid` held at `at_ns`.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid, rss_bytes: u64, minor_faults: u64, major_faults: u64) -> Self {
        Self {
            header: header(FactKind::Memory, at_ns, pid.0),
            rss_bytes,
            minor_faults,
            major_faults,
        }
    }
}

/// A local port on which somebody listened, in the network of a watched process, when observing began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Port {
    /// `tid`: the process.
    pub header: Header,
    /// The port.
    pub port: u32,
    /// Zero.
    pub reserved: u32,
}

impl Port {
    /// In the network of process `pid`, somebody listens on `port`.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid, port: u16) -> Self {
        Self {
            header: header(FactKind::Port, at_ns, pid.0),
            port: port as u32,
            reserved: 0,
        }
    }
}

/// What observing cost since the last such fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Cost {
    /// `at_ns`: end of the interval.
    pub header: Header,
    /// Time in the eBPF programs, ns; [`Cost::UNKNOWN`] where not measured.
    pub ebpf_ns: u64,
    /// CPU time of observer itself, ns.
    pub cpu_ns: u64,
    /// Resident memory of observer, bytes.
    pub rss_bytes: u64,
    /// Records read.
    pub records: u64,
}

impl Cost {
    /// Not measured.
    pub const UNKNOWN: u64 = u64::MAX;

    /// What was spent up to `at_ns`.
    #[must_use]
    pub const fn new(at_ns: u64, ebpf_ns: u64, cpu_ns: u64, rss_bytes: u64, records: u64) -> Self {
        Self {
            header: header(FactKind::Cost, at_ns, 0),
            ebpf_ns,
            cpu_ns,
            rss_bytes,
            records,
        }
    }
}

/// A promise that nothing from before `at_ns` is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Tick {
    /// `at_ns`: the promised time.
    pub header: Header,
}

impl Tick {
    /// Everything before `at_ns` has been delivered.
    #[must_use]
    pub const fn new(at_ns: u64) -> Self {
        Self {
            header: header(FactKind::Tick, at_ns, 0),
        }
    }
}

/// The stream ended here, and nothing was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct End {
    /// `at_ns`: when observing ended.
    pub header: Header,
}

impl End {
    /// Observing ended at `at_ns`.
    #[must_use]
    pub const fn new(at_ns: u64) -> Self {
        Self {
            header: header(FactKind::End, at_ns, 0),
        }
    }
}

/// The text in a NUL-padded field; invalid UTF-8 is replaced.
#[must_use]
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// A field of `N` bytes with as much of `text` as fits, NUL-padded, cut at a character.
#[must_use]
pub fn text_field<const N: usize>(text: &str) -> [u8; N] {
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [0; N];
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        let field: [u8; 4] = text_field("abcé");
        assert_eq!(text(&field), "abc");
        assert_eq!(text(&text_field::<8>("abcé")), "abcé");
    }
}
