//! What the pipeline consumes: the kernel half's records, and the facts that userspace adds to them.
//!
//! Both are plain bytes with a common header, so a recording is the stream itself. Reading an event copies
//! nothing. This module knows layouts; what an event means is known further on.

mod fact;
mod full;
mod go;
mod runtime;
mod sample;
mod serving;
mod target;

use bytemuck::{AnyBitPattern, NoUninit};
use observer_common as common;

pub(crate) use fact::FactKind;
pub use fact::{Cost, End, FdName, Lost, Memory, Port, TEXT_BYTES, ThreadName, Tick, text, text_field};
pub use full::Full;
pub use go::{GoCycle, GoGoroutines, GoHeap, GoLooks, GoMemory, GoScheduler, GoStack};
pub use runtime::Runtime;
pub use sample::{Function, Sample, SampleCounts};
pub use serving::{Ended, Listener, Looked, Refused, Successor};
pub use target::{Executable, TargetAdded, TargetGone};

use crate::model::id::Pid;

/// Facts about processes have the number of theirs where a record has that of its thread.
macro_rules! of_processes {
    ($($fact:ty),*) => {$(
        impl $fact {
            /// Its process.
            #[must_use]
            pub const fn pid(&self) -> Pid {
                Pid(self.header.tid)
            }
        }
    )*};
}

of_processes!(
    FdName,
    Memory,
    Port,
    Runtime,
    GoMemory,
    GoCycle,
    GoHeap,
    GoScheduler,
    GoGoroutines,
    GoStack,
    GoLooks,
    Listener,
    Looked,
    Successor,
    Ended,
    Refused,
    TargetAdded,
    TargetGone,
    Executable
);

/// One event of the merged stream.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A watched thread left its CPU.
    SwitchOut(&'a common::SwitchOut),
    /// A watched thread got a CPU.
    SwitchIn(&'a common::SwitchIn),
    /// A watched thread has a CPU and was not seen to get it.
    OnCpuSince(&'a common::OnCpuSince),
    /// Who had a CPU for which a watched thread waited.
    Occupied(&'a common::Occupied),
    /// A watched thread ran when its CPU's clock ticked.
    Seen(&'a common::Seen),
    /// A watched thread was made runnable.
    Waking(&'a common::Waking),
    /// A receive call returned; the bytes are the first of a turn, if it is the first.
    Receive(&'a common::Receive, &'a [u8]),
    /// A send call returned; the bytes are the first of a response, if it is the first.
    Send(&'a common::Send, &'a [u8]),
    /// TCP has bytes unsent of the send call that returns now.
    Held(&'a common::Held),
    /// These have left, or have not.
    Left(&'a common::Left),
    /// A connection changed.
    Connection(&'a common::Connection),
    /// A process changed.
    Process(&'a common::Process),
    /// A thread begins to poll a runtime task.
    PollStart(&'a common::PollStart),
    /// A poll is over.
    PollEnd(&'a common::PollEnd),
    /// A thread makes a goroutine ready that waited.
    Readied(&'a common::Readied),
    /// A hypervisor had the CPU of a watched thread.
    Stolen(&'a common::Stolen),
    /// Records were lost.
    Lost(&'a Lost),
    /// The name of a watched thread.
    ThreadName(&'a ThreadName),
    /// What a file descriptor is.
    FdName(&'a FdName),
    /// A snapshot of a process's memory.
    Memory(&'a Memory),
    /// A port on which somebody listens in the network of a watched process.
    Port(&'a Port),
    /// Whether a process tells the ids of its tasks.
    Runtime(&'a Runtime),
    /// What observing cost.
    Cost(&'a Cost),
    /// The name of a function, by its number.
    Function(&'a Function),
    /// What a watched thread ran.
    Sample(&'a Sample),
    /// How many such samples there were.
    Samples(&'a SampleCounts),
    /// Who listens on a socket.
    Listener(&'a Listener),
    /// What else is known of a watched process.
    Looked(&'a Looked),
    /// Who listens where a watched process did that ended.
    Successor(&'a Successor),
    /// A watched process ended, and who took over was looked for.
    Ended(&'a Ended),
    /// How many attempts to connect a listener refused.
    Refused(&'a Refused),
    /// A process is watched from now on.
    TargetAdded(&'a TargetAdded),
    /// A watched process has ended, and no record says so.
    TargetGone(&'a TargetGone),
    /// Which program a process runs that is watched from now on.
    Executable(&'a Executable),
    /// A bounded table of the source was full.
    Full(&'a Full),
    /// Whether the memory of a process that runs Go tells of its cycles of garbage collection.
    GoMemory(&'a GoMemory),
    /// Such a cycle.
    GoCycle(&'a GoCycle),
    /// A look at the heap of such a process.
    GoHeap(&'a GoHeap),
    /// Whether the memory of such a process tells how many goroutines it has.
    GoScheduler(&'a GoScheduler),
    /// How many there are.
    GoGoroutines(&'a GoGoroutines),
    /// The stack of a goroutine that waits.
    GoStack(&'a GoStack),
    /// How often goroutines were looked at for that.
    GoLooks(&'a GoLooks),
    /// Nothing that happened before this time is still to come.
    Tick(&'a Tick),
    /// The stream ends here.
    End(&'a End),
}

/// Why bytes are not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end inside the event.
    Short,
    /// No event has this kind.
    Kind(u16),
}

/// Alignment that event bytes need.
pub const ALIGN: usize = 8;

impl<'a> Event<'a> {
    /// Reads the event at the start of `bytes`, and its size.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are too short or of no known kind.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, usize), Malformed> {
        let header: &common::Header = view(bytes)?;
        let size = size_of_kind(header.kind).ok_or(Malformed::Kind(header.kind))?;
        let event = match common::Kind::from_u16(header.kind) {
            Some(kind) => Self::read_record(kind, bytes)?,
            None => match FactKind::from_u16(header.kind).ok_or(Malformed::Kind(header.kind))? {
                FactKind::Lost => Self::Lost(view(bytes)?),
                FactKind::ThreadName => Self::ThreadName(view(bytes)?),
                FactKind::FdName => Self::FdName(view(bytes)?),
                FactKind::Memory => Self::Memory(view(bytes)?),
                FactKind::Port => Self::Port(view(bytes)?),
                FactKind::Runtime => Self::Runtime(view(bytes)?),
                FactKind::Cost => Self::Cost(view(bytes)?),
                FactKind::Function => Self::Function(view(bytes)?),
                FactKind::Sample => Self::Sample(view(bytes)?),
                FactKind::Samples => Self::Samples(view(bytes)?),
                FactKind::Listener => Self::Listener(view(bytes)?),
                FactKind::Looked => Self::Looked(view(bytes)?),
                FactKind::Successor => Self::Successor(view(bytes)?),
                FactKind::Ended => Self::Ended(view(bytes)?),
                FactKind::Refused => Self::Refused(view(bytes)?),
                FactKind::TargetAdded => Self::TargetAdded(view(bytes)?),
                FactKind::TargetGone => Self::TargetGone(view(bytes)?),
                FactKind::Executable => Self::Executable(view(bytes)?),
                FactKind::Full => Self::Full(view(bytes)?),
                FactKind::GoMemory => Self::GoMemory(view(bytes)?),
                FactKind::GoCycle => Self::GoCycle(view(bytes)?),
                FactKind::GoHeap => Self::GoHeap(view(bytes)?),
                FactKind::GoScheduler => Self::GoScheduler(view(bytes)?),
                FactKind::GoGoroutines => Self::GoGoroutines(view(bytes)?),
                FactKind::GoStack => Self::GoStack(view(bytes)?),
                FactKind::GoLooks => Self::GoLooks(view(bytes)?),
                FactKind::Tick => Self::Tick(view(bytes)?),
                FactKind::End => Self::End(view(bytes)?),
            },
        };
        Ok((event, size))
    }

    fn read_record(kind: common::Kind, bytes: &'a [u8]) -> Result<Self, Malformed> {
        use common::Kind;
        Ok(match kind {
            Kind::SwitchOut => Self::SwitchOut(view(bytes)?),
            Kind::SwitchIn => Self::SwitchIn(view(bytes)?),
            Kind::Waking => Self::Waking(view(bytes)?),
            Kind::Receive => Self::Receive(view(bytes)?, &[]),
            Kind::ReceiveHead => {
                let record: &common::ReceiveHead = view(bytes)?;
                let length = (record.receive.head_bytes as usize).min(record.head.len());
                Self::Receive(&record.receive, &record.head[..length])
            }
            Kind::Send => Self::Send(view(bytes)?, &[]),
            Kind::SendHead => {
                let record: &common::SendHead = view(bytes)?;
                let length = (record.send.head_bytes as usize).min(record.head.len());
                Self::Send(&record.send, &record.head[..length])
            }
            Kind::Connection => Self::Connection(view(bytes)?),
            Kind::Process => Self::Process(view(bytes)?),
            Kind::Occupied => Self::Occupied(view(bytes)?),
            Kind::Seen => Self::Seen(view(bytes)?),
            Kind::PollStart => Self::PollStart(view(bytes)?),
            Kind::PollEnd => Self::PollEnd(view(bytes)?),
            Kind::Stolen => Self::Stolen(view(bytes)?),
            Kind::Held => Self::Held(view(bytes)?),
            Kind::Left => Self::Left(view(bytes)?),
            Kind::Readied => Self::Readied(view(bytes)?),
            Kind::OnCpuSince => Self::OnCpuSince(view(bytes)?),
        })
    }
}

/// Size of an event of this kind, bytes; `None` for an unknown kind.
#[must_use]
#[inline]
pub fn size_of_kind(kind: u16) -> Option<usize> {
    common::Kind::from_u16(kind)
        .map(common::Kind::size)
        .or_else(|| FactKind::from_u16(kind).map(FactKind::size))
}

/// Whether an event of this kind says something that holds for longer than its moment, such as a name or which
/// processes there are. What is rare belongs to it as well: of the others there are hundreds in a second, or thousands.
pub(crate) fn lasts(kind: u16) -> bool {
    match FactKind::from_u16(kind) {
        Some(fact) => !matches!(fact, FactKind::Sample | FactKind::GoStack),
        None => kind == common::Kind::Process as u16,
    }
}

fn view<T: AnyBitPattern + NoUninit>(bytes: &[u8]) -> Result<&T, Malformed> {
    let bytes = bytes.get(..size_of::<T>()).ok_or(Malformed::Short)?;
    bytemuck::try_from_bytes(bytes).map_err(|_| Malformed::Short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_processes_last_and_what_is_seen_for_a_moment_does_not() {
        for fact in [
            FactKind::ThreadName,
            FactKind::Runtime,
            FactKind::Lost,
            FactKind::End,
        ] {
            assert!(lasts(fact as u16), "{fact:?}");
        }
        assert!(lasts(common::Kind::Process as u16));
        for fact in [FactKind::Sample, FactKind::GoStack] {
            assert!(!lasts(fact as u16), "{fact:?}");
        }
        assert!(!lasts(common::Kind::Waking as u16));
    }
}
