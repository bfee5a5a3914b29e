//! The `task` fields, and how what stands in them is read from a thread's own variables.
//!
//! A runtime task is the runtime's own identity of the work that a thread does, such as the id of a tokio task.

/// Not known: the process has no runtime whose ids can be read, or the thread's memory could not be.
pub const UNKNOWN: u64 = 0;

/// The thread was in no task.
pub const NONE: u64 = u64::MAX;

records! {
    /// Where the threads of a process keep what their runtime knows of them.
    ///
    /// The path begins at a word of a thread's own variables. With no step that word is the id of the thread's task. Else it
    /// is a pointer, each step reads the word so many bytes behind the last pointer, and the word of the last step is the id.
    /// A null pointer on the way is a thread that is in no task.
    ///
    /// tokio's path has no step. A path to Go's ids would have three: from the thread's `g` to its `m`, to that one's `curg`,
    /// which is null where the thread runs no goroutine, and to `goid`. Nothing is assumed of the order of the ids.
    TaskPath: 64 {
        /// Where it begins, bytes from the thread's `fsbase`; 0 where no path is known.
        start: i64,
        /// How many steps there are, at most [`TaskPath::MOST_STEPS`].
        steps: u64,
        /// Of each step, bytes from the pointer.
        offsets: [i64; TaskPath::MOST_STEPS],
        /// What stands there instead of an id while the thread is in no task.
        none: u64,
        /// A pointer to the scheduler that runs the thread: bytes from its `fsbase`, 0 where that is not known.
        scheduler: i64,
        /// The kind of the runtime that the thread is in, a number from 0: bytes from its `fsbase`, 0 where that is not known.
        kind: i64,
    }
}

impl TaskPath {
    /// Steps of a path, at most.
    pub const MOST_STEPS: usize = 3;
}
