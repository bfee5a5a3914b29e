//! What the current thread's own variables say of its language runtime. Whose variables these are and where, userspace
//! has found out and says ([`TaskPath`]): this follows it and knows no runtime's tasks.

use aya_ebpf::{btf_maps::Array, macros::btf_map};
use observer_common::{TaskPath, flags, limits, task};

use crate::{kernel::Task, target::Target, user};

pub(crate) mod collected;
mod pointed;

/// By slot of the target, see [`observer_common::names::map::TASK_PATHS`].
#[btf_map]
static TASK_PATHS: Array<TaskPath, { limits::MAX_TARGETS as usize }> = Array::new();

/// What is known of the runtime of a target's threads.
#[derive(Clone, Copy)]
pub(crate) struct Runtime(Option<&'static TaskPath>);

impl Runtime {
    #[inline(always)]
    pub(crate) fn of(target: Target) -> Self {
        Self(TASK_PATHS.get(target.slot()))
    }

    /// The task that the current thread, which must be one of the target, is in: see [`observer_common::task`].
    #[inline(always)]
    pub(crate) fn current_task(self, thread: Task) -> u64 {
        match self.0 {
            Some(path) if path.start != 0 => follow(path, thread).unwrap_or(task::UNKNOWN),
            _ => task::UNKNOWN,
        }
    }

    /// The task that stands at this address in the memory of the target, where its threads point to theirs.
    #[inline(always)]
    pub(crate) fn task_at(self, address: u64) -> Option<u64> {
        let path = self.0.filter(|path| path.points != 0)?;
        pointed::task_at(path, address)
    }

    /// Whether the current thread, which must be one of the target, is under no scheduler of its runtime.
    #[inline(always)]
    pub(crate) fn has_no_scheduler(self, thread: Task) -> bool {
        match self.0 {
            Some(path) if path.scheduler != 0 => variable(thread, path.scheduler) == Some(0),
            _ => false,
        }
    }

    /// The kind of runtime that the current thread, which must be one of the target, is in, as a record's flag.
    #[inline(always)]
    pub(crate) fn kind(self, thread: Task) -> u32 {
        match self.0 {
            Some(path) if path.kind != 0 => match variable(thread, path.kind) {
                Some(0) => flags::FIRST_KIND,
                Some(1) => flags::SECOND_KIND,
                _ => 0,
            },
            _ => 0,
        }
    }
}

/// What is found at the end of the path; nothing where memory on the way cannot be read.
#[inline(always)]
fn follow(path: &TaskPath, thread: Task) -> Option<u64> {
    let word = variable(thread, path.start)?;
    if path.points != 0 {
        return pointed::follow(path, word);
    }
    Some(if word == path.none { task::NONE } else { word })
}

/// The word that is so many bytes from a thread's `fsbase`.
#[inline(always)]
fn variable(thread: Task, offset: i64) -> Option<u64> {
    user::read_word(thread.fsbase().wrapping_add_signed(offset))
}
