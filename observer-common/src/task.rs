//! The `task` fields, and how what stands in them is read from a thread's own variables.
//!
//! A runtime task is the runtime's own identity of the work that a thread does, such as the id of a tokio task or of a
//! goroutine.

/// Not known: the process has no runtime whose ids can be read, or the thread's memory could not be.
pub const UNKNOWN: u64 = 0;

/// The thread was in no task.
pub const NONE: u64 = u64::MAX;

/// Set where the id has beside it what tells whether the task has left its thread in between: see [`STAY_SHIFT`].
pub const HAS_STAY: u64 = 1 << 63;

/// Bits of a field with [`HAS_STAY`] that are the id.
pub const ID_OF_STAY: u64 = FOR_RUNTIME - 1;

/// Set in a field with [`HAS_STAY`] where the task has its thread and says that it waits: its runtime does something in
/// its place.
pub const FOR_RUNTIME: u64 = 1 << (STAY_SHIFT - 1);

/// Where its stay begins: eight bits that count how often the task left a thread, and above them seven that say why it
/// waited last.
pub const STAY_SHIFT: u32 = 48;

/// Where these seven begin in a stay.
pub const REASON_SHIFT: u32 = 8;

records! {
    /// Where the threads of a process keep what their runtime knows of them.
    ///
    /// The path begins at a word of a thread's own variables. That word is the id of the thread's task, or a pointer.
    /// From a pointer two steps lead to the task: each reads the pointer so many bytes behind the last one. A null
    /// pointer on the way is a thread that is in no task.
    ///
    /// tokio's path is one word. Go's begins with a pointer: the steps are from the thread's `g` to its `m`, and to
    /// that one's `curg`, which is null where the thread runs no goroutine. Nothing is assumed of the order of the ids.
    TaskPath: 80 {
        /// Where it begins, bytes from the thread's `fsbase`; 0 where no path is known.
        start: i64,
        /// 1 where it begins with a pointer; else 0, and none of the next four is used.
        points: u64,
        /// Of each step, bytes from the pointer.
        steps: [i64; TaskPath::STEPS],
        /// Where the task has the words that are read of it, bytes from the last pointer: [`TaskPath::STATE_WORD`] and
        /// those that follow.
        task: i64,
        /// The lowest byte of its state where it waits.
        waits: u64,
        /// Which byte of [`TaskPath::STOPS_WORD`] counts how often it left a thread.
        stops: u64,
        /// What stands there instead of an id while the thread is in no task.
        none: u64,
        /// A pointer to the scheduler that runs the thread: bytes from its `fsbase`, 0 where that is not known.
        scheduler: i64,
        /// The kind of the runtime that the thread is in, a number from 0: bytes from its `fsbase`, 0 where that is not
        /// known.
        kind: i64,
    }
}

impl TaskPath {
    /// Steps of a path that begins with a pointer.
    pub const STEPS: usize = 2;

    /// In a task, its state.
    pub const STATE_WORD: usize = 0;

    /// Its id.
    pub const ID_WORD: usize = 1;

    /// Why it waited last, in the lowest byte.
    pub const REASON_WORD: usize = 4;

    /// And the word in which a byte counts how often it left a thread.
    pub const STOPS_WORD: usize = 5;
}
