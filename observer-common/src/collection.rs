//! What the kernel half reads of Go's garbage collection.

/// Words from the number of the last cycle to the end of its times: the number, one that is not looked at, and when it
/// began, began to mark, had marked and was over.
pub const WORDS: usize = 2 + TIMES;

/// Of these, the times.
pub const TIMES: usize = 4;

records! {
    /// Where a process has them.
    Collecting: 40 {
        /// Their address in the process, 0 where that is not known.
        at: u64,
        /// The times that were found there last.
        times_ns: [u64; TIMES],
    }

    /// When and where something was found.
    CollectedHead: 16 {
        /// When, ns.
        at_ns: u64,
        /// Process.
        tgid: u32,
        /// Zero.
        reserved: u32,
    }

    /// What was found there, other than before.
    Collected: 112 {
        /// The moment.
        head: CollectedHead,
        /// The words.
        words: [u64; WORDS],
        /// The same, read once more: where both are the same nothing was written meanwhile.
        again: [u64; WORDS],
    }
}
