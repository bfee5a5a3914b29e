//! How the place of the runtime task's id is sought: what the kernel half copies of a thread's own variables, and when.

/// Most bytes of a thread's variables that are copied at once.
pub const WINDOW_BYTES: usize = 1024;

/// Words of eight bytes in a window.
pub const WINDOW_WORDS: usize = WINDOW_BYTES / 8;

/// Links that are followed from what is copied.
pub const LINKS: usize = 8;

records! {
    /// A word that is read where another points to.
    Link: 8 {
        /// Which word of the window is the pointer: one of the first [`LINKS`].
        pointer: u32,
        /// Bytes from there.
        offset: i32,
    }

    /// What is sought in a process.
    Seek: 96 {
        /// Start of what is copied, bytes from the thread's `fsbase`.
        from: i64,
        /// Address of the runtime's count of task ids, 0 where that is not known.
        issued_at: u64,
        /// Bytes that are copied, at most [`WINDOW_BYTES`]; 0 while nothing is sought.
        bytes: u32,
        /// Least time between two samples of the same kind on a CPU, ns.
        interval_ns: u32,
        /// 1 where the first word of the window is a pointer, and links are followed from there; else 0.
        follows: u64,
        /// Each of them fills one word, in this order, from the second on: with 0 where it cannot be read.
        links: [Link; LINKS],
    }

    /// When and where variables were copied.
    SampleHead: 48 {
        /// When, ns.
        at_ns: u64,
        /// Connection that it received from; [`crate::conn::NONE`] when it left its CPU.
        conn: u64,
        /// How many task ids the runtime has given out, plus one; 0 where that is not known.
        issued: u64,
        /// Its stack pointer.
        stack: u64,
        /// Process.
        tgid: u32,
        /// Thread.
        tid: u32,
        /// System call that it is in, -1 for none.
        syscall: i32,
        /// Bytes of the variables that are filled.
        bytes: u32,
    }

    /// Variables of a thread at one moment.
    Sample: 1072 {
        /// The moment.
        head: SampleHead,
        /// The variables.
        words: [u64; WINDOW_WORDS],
    }
}
