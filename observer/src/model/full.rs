//! What was forgotten or found no place because a bounded table was full: a count for each table, for users.
//!
//! Every table is bounded. One whose bound can change what is reported holds a [`Full`], or belongs to a part that
//! does, and counts there. `docs/schema.md` says of each what is missing then.

use std::array;
use std::cell::Cell;
use std::iter;

/// A bounded table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Table {
    /// Names of descriptors.
    FdNames = 1,
    /// Which connection a descriptor is.
    Descriptors = 2,
    /// Ports on which somebody listens.
    Listeners = 3,
    /// What was sent to a peer.
    PeerSends = 4,
    /// Connections with unsent bytes that are asked about.
    Unsent = 5,
    /// Threads that worked for a request.
    RequestThreads = 6,
    /// Futexes that are no mutex.
    Futexes = 7,
    /// Runtime tasks that serve requests.
    Tasks = 8,
    /// Threads that accept.
    Acceptors = 9,
    /// Who had a CPU.
    Occupancy = 10,
    /// What a hypervisor took.
    Thefts = 11,
    /// Names of threads.
    ThreadNames = 12,
    /// What threads were seen running.
    Samples = 13,
    /// When no worker was free, and when requests waited.
    Waits = 14,
    /// Polls that are not over.
    Polls = 15,
    /// How polls came about.
    QueuedPolls = 16,
    /// Processes that are counted apart.
    Processes = 17,
    /// Memory of processes.
    Memory = 18,
    /// What workers did.
    Workers = 19,
    /// What requests waited for.
    Culprits = 20,
    /// Who serves, and who took over.
    Serving = 21,
    /// What threads did that have ended.
    EndedThreads = 22,
    /// What is read of programs' files, to name functions.
    ProgramFiles = 23,
    /// Names of processes, of an output.
    ProcessNames = 24,
    /// What is read of programs' files, to find their runtime.
    RuntimeFiles = 25,
    /// Requests that are explained while they are not over.
    LongRequests = 26,
    /// When a language runtime stopped its program.
    Stops = 27,
    /// Locks of whole programs, and who uses them.
    Locks = 28,
    /// Cycles of Go's garbage collection.
    Cycles = 29,
    /// When goroutines helped it.
    Assists = 30,
    /// Code that processes make at run time, as they tell of it.
    MadeCode = 31,
    /// Threads of pools, and event loops.
    PoolThreads = 32,
    /// When answers found no room in their sockets.
    Stalls = 33,
    /// Requests that answered calls of watched processes.
    Calls = 34,
    /// Where goroutines were seen waiting.
    Looks = 35,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 35] = [
        Self::FdNames,
        Self::Descriptors,
        Self::Listeners,
        Self::PeerSends,
        Self::Unsent,
        Self::RequestThreads,
        Self::Futexes,
        Self::Tasks,
        Self::Acceptors,
        Self::Occupancy,
        Self::Thefts,
        Self::ThreadNames,
        Self::Samples,
        Self::Waits,
        Self::Polls,
        Self::QueuedPolls,
        Self::Processes,
        Self::Memory,
        Self::Workers,
        Self::Culprits,
        Self::Serving,
        Self::EndedThreads,
        Self::ProgramFiles,
        Self::ProcessNames,
        Self::RuntimeFiles,
        Self::LongRequests,
        Self::Stops,
        Self::Locks,
        Self::Cycles,
        Self::Assists,
        Self::MadeCode,
        Self::PoolThreads,
        Self::Stalls,
        Self::Calls,
        Self::Looks,
    ];

    /// The table with this number.
    #[must_use]
    pub fn from_u32(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u32 == number)
    }

    /// What can be missing from what is told where it was full. `None` where there is nothing to be done about it: only
    /// the largest culprits are shown anyway, and on a busy machine nearly every run has more; and names of processes
    /// each output forgets for itself.
    #[must_use]
    pub const fn tells(self) -> Option<&'static str> {
        Some(match self {
            Self::FdNames => "names of files and sockets",
            Self::Descriptors => "peers of connections",
            Self::Listeners => "which side opened a connection",
            Self::PeerSends => "since when peers were waited for",
            Self::Unsent => "what TCP held back",
            Self::RequestThreads => "what some threads did for requests",
            Self::Futexes => "whether waits for futexes were for locks",
            Self::Tasks => "for which request tasks worked",
            Self::Acceptors => "who accepted connections",
            Self::Occupancy => "who had the CPUs",
            Self::Thefts => "what the hypervisor took",
            Self::ThreadNames => "names of threads",
            Self::Samples | Self::ProgramFiles => "names of functions",
            Self::Waits => "when no worker was free",
            Self::Polls => "polls",
            Self::QueuedPolls => "who queued tasks or made goroutines ready",
            Self::Processes => "of which target processes are, or figures of some",
            Self::Memory => "memory of processes",
            Self::Workers => "what workers did",
            Self::Serving => "who else serves",
            Self::EndedThreads => "what threads did that have ended",
            Self::RuntimeFiles => "which runtime a program has",
            Self::LongRequests => "what was done for long requests",
            Self::Stops => "when a runtime stopped its program",
            Self::Locks => "who had a lock of the whole program",
            Self::Cycles => "cycles of garbage collection",
            Self::Assists => "who helped to collect garbage",
            Self::MadeCode => "names of code made at run time",
            Self::PoolThreads => "what pools and event loops did",
            Self::Stalls => "when answers found no room",
            Self::Calls => "which requests answered calls",
            Self::Looks => "where goroutines waited",
            Self::Culprits | Self::ProcessNames => return None,
        })
    }

    /// The name that outputs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FdNames => "fd_names",
            Self::Descriptors => "descriptors",
            Self::Listeners => "listeners",
            Self::PeerSends => "peer_sends",
            Self::Unsent => "unsent",
            Self::RequestThreads => "request_threads",
            Self::Futexes => "futexes",
            Self::Tasks => "tasks",
            Self::Acceptors => "acceptors",
            Self::Occupancy => "occupancy",
            Self::Thefts => "thefts",
            Self::ThreadNames => "thread_names",
            Self::Samples => "samples",
            Self::Waits => "waits",
            Self::Polls => "polls",
            Self::QueuedPolls => "queued_polls",
            Self::Processes => "processes",
            Self::Memory => "memory",
            Self::Workers => "workers",
            Self::Culprits => "culprits",
            Self::Serving => "serving",
            Self::EndedThreads => "ended_threads",
            Self::ProgramFiles => "program_files",
            Self::ProcessNames => "process_names",
            Self::RuntimeFiles => "runtime_files",
            Self::Locks => "locks",
            Self::LongRequests => "long_requests",
            Self::Stops => "stops",
            Self::Cycles => "cycles",
            Self::Assists => "assists",
            Self::MadeCode => "made_code",
            Self::PoolThreads => "pool_threads",
            Self::Stalls => "stalls",
            Self::Calls => "calls",
            Self::Looks => "looks",
        }
    }
}

/// A count for each table. It counts through a shared reference: that something is not remembered any more shows when
/// it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full([Cell<u64>; Table::ALL.len()]);

impl Default for Full {
    fn default() -> Self {
        Self(array::from_fn(|_| Cell::default()))
    }
}

impl Full {
    /// So many were forgotten or found no place in this table, or were asked for in vain.
    pub fn count(&self, table: Table, more: u64) {
        let count = &self.0[table as usize - 1];
        count.set(count.get().saturating_add(more));
    }

    /// The end of an iterator over what a table remembers. Yields nothing; when it is reached and older entries
    /// `was_forgotten`, counts one.
    pub fn end_of<T>(&self, table: Table, was_forgotten: bool) -> impl Iterator<Item = T> {
        iter::from_fn(move || {
            if was_forgotten {
                self.count(table, 1);
            }
            None
        })
    }

    /// Adds what another counted.
    pub fn add(&self, other: &Self) {
        for (table, more) in other.counts() {
            self.count(table, more);
        }
    }

    /// What was counted since the last time.
    pub fn take(&self) -> Self {
        Self(self.0.each_ref().map(|count| Cell::new(count.take())))
    }

    /// The tables that were full, with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (Table, u64)> {
        let all = Table::ALL.into_iter().zip(&self.0);
        all.map(|(table, count)| (table, count.get()))
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_a_number_and_a_place_of_its_own() {
        for (place, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, place + 1);
            assert_eq!(Table::from_u32(table as u32), Some(table));
            let full = Full::default();
            full.count(table, 3);
            assert_eq!(full.counts().collect::<Vec<_>>(), [(table, 3)]);
        }
        assert_eq!([0, 1_000].map(Table::from_u32), [None, None]);
    }

    #[test]
    fn what_was_taken_is_not_counted_again() {
        let (full, sum) = (Full::default(), Full::default());
        for more in [3, 4] {
            full.count(Table::Futexes, more);
            sum.add(&full.take());
        }
        assert_eq!(full, Full::default());
        assert_eq!(sum.counts().collect::<Vec<_>>(), [(Table::Futexes, 7)]);
    }

    #[test]
    fn who_finds_what_was_asked_for_before_the_end_has_missed_nothing() {
        let full = Full::default();
        let remembered = |was_forgotten| {
            [1, 2]
                .into_iter()
                .chain(full.end_of(Table::Thefts, was_forgotten))
        };
        assert!(remembered(true).any(|one| one == 2));
        assert!(!remembered(false).any(|one| one == 3));
        assert_eq!(full, Full::default());
        assert!(!remembered(true).any(|one| one == 3));
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::Thefts, 1)]);
    }
}
