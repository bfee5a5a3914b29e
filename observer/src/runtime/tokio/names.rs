//! What tokio calls its things: crates, source files, variables and functions, as they stand in programs.
//!
//! Pure: what a process really has is looked up elsewhere.

/// Crates that the runtime is made of. A name that ends with `_` stands for all crates that begin with it.
pub(crate) const CRATES: [&str; 3] = ["tokio", "tokio_", "mio"];

/// Begins the path of a source file, before the version.
pub(crate) const SOURCES: &str = "tokio-";

/// Where in the sources the runtime itself is.
pub(crate) const RUNTIME_SOURCES: &str = "runtime/";

/// Part of the mangled name of the variable in which each thread of a runtime keeps its context.
pub(crate) const CONTEXT: &[u8] = b"5tokio7runtime7context7CONTEXT";

/// Parts of the mangled name of the count of task ids that were given out. What stands between them depends on how
/// names are mangled.
pub(crate) const ISSUED: [&[u8]; 2] = [b"5tokio7runtime4task2id", b"7NEXT_ID"];

/// Polls a task, its first parameter.
pub(crate) const POLL: &str = "tokio::runtime::task::raw::poll";

/// Queues a task that was woken, its first parameter.
const SCHEDULE: &str = "tokio::runtime::task::raw::schedule";

/// Queue a task that is new or goes on at once, their second parameter. Wakeups come by [`SCHEDULE`].
const QUEUES: [&str; 2] = ["::schedule_option_task_without_yield", "::yield_now"];

/// The schedulers of one thread queue every task with one function, which [`SCHEDULE`] calls too.
const SCHEDULERS_OF_ONE_THREAD: [&str; 2] = [
    "tokio::runtime::scheduler::current_thread::Handle",
    "tokio::task::local::",
];

/// What a function does with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Polls its first parameter.
    Poll,
    /// Queues its first parameter.
    QueueFirst,
    /// Queues its second parameter.
    QueueSecond,
}

impl Does {
    /// What the function with this mangled name does, if it is one of these.
    pub(crate) fn of(mangled: &str) -> Option<Self> {
        // Most are not tokio's, and taking a name apart takes a microsecond.
        if !mangled.contains("tokio") {
            return None;
        }
        let name = format!("{:#}", rustc_demangle::try_demangle(mangled).ok()?);
        // One mangling keeps type arguments.
        let is = |function: &str| {
            name.strip_prefix(function)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::<"))
        };
        let queues = || {
            let is_schedulers = name.contains("tokio::runtime::scheduler::");
            is_schedulers && QUEUES.iter().any(|function| name.ends_with(function))
                || name.ends_with(">::schedule")
                    && name.contains("tokio::runtime::task::Schedule")
                    && SCHEDULERS_OF_ONE_THREAD
                        .iter()
                        .any(|scheduler| name.contains(scheduler))
        };
        if is(POLL) {
            Some(Self::Poll)
        } else if is(SCHEDULE) {
            Some(Self::QueueFirst)
        } else {
            queues().then_some(Self::QueueSecond)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_by_both_manglings() {
        for (mangled, expected) in [
            (
                "_ZN5tokio7runtime4task3raw4poll17h0123456789abcdefE",
                Some(Does::Poll),
            ),
            (
                "_ZN5tokio7runtime4task3raw8schedule17h0123456789abcdefE",
                Some(Does::QueueFirst),
            ),
            ("_ZN5tokio7runtime4task3raw7dealloc17h0123456789abcdefE", None),
            ("_ZN5mimic7runtime4task3raw4poll17h0123456789abcdefE", None),
            (
                "_RINvNtNtNtCs1234_5tokio7runtime4task3raw4polluhEB9_",
                Some(Does::Poll),
            ),
            (
                "_RINvNtNtNtCs1234_5tokio7runtime4task3raw8scheduleuEB9_",
                Some(Does::QueueFirst),
            ),
            (
                "_ZN5tokio7runtime9scheduler12multi_thread6worker73_$LT$impl$u20$tokio..runtime..scheduler..multi_thread..handle..Handle$GT$34schedule_option_task_without_yield17h0123456789abcdefE",
                Some(Does::QueueSecond),
            ),
        ] {
            assert_eq!(Does::of(mangled), expected, "{mangled}");
        }
    }
}
