//! Tasks that tell when they were queued and polled: the truth about polls, from inside. Kept with `--polls`, and
//! without it the tasks are tokio's alone.
//!
//! A task is queued when it is spawned and when its waker is used, for the first time since it was last polled; woken
//! while it is polled, it is queued at the end of that poll.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use anyhow::{Result, anyhow};
use testbed::clock;
use testbed::kept::Kept;
use testbed::ran::tid;
use testbed::truth::Polled;
use tokio::task::JoinHandle;

use crate::truth;

/// Polls that are kept, at most.
const SLOTS: usize = 1 << 19;

/// The polls of the process's tasks.
static POLLS: OnceLock<Kept<Polled>> = OnceLock::new();

/// From now on polls are kept, for `file`.
pub(crate) fn keep(file: PathBuf) -> Result<()> {
    let polls = Kept::new(file, SLOTS)?;
    POLLS
        .set(polls)
        .map_err(|_| anyhow!("the polls of a process can be kept for one file"))
}

/// Writes what was kept, if anything was to be.
pub(crate) fn write() -> Result<()> {
    POLLS.get().map_or(Ok(()), Kept::write)
}

/// Spawns a task into the runtime that calls this.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let Some(polls) = POLLS.get() else {
        return tokio::spawn(future);
    };
    let queue = Arc::new(Queue {
        since_ns: AtomicU64::new(clock::now_ns()),
        of_the_runtime: OnceLock::new(),
    });
    tokio::spawn(Told {
        future: Box::pin(future),
        polls,
        waker: Waker::from(Arc::clone(&queue)),
        queue,
        task: None,
    })
}

/// A task's future, and what tells of it.
struct Told<F> {
    future: Pin<Box<F>>,
    polls: &'static Kept<Polled>,
    waker: Waker,
    queue: Arc<Queue>,
    task: Option<u64>,
}

/// Whether a task is in its runtime's queue.
struct Queue {
    /// Since when, or 0 when it is not.
    since_ns: AtomicU64,
    /// The waker of its runtime. A task has the same one for life.
    of_the_runtime: OnceLock<Waker>,
}

impl Wake for Queue {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let now_ns = clock::now_ns();
        // Who comes later finds it queued.
        let _ = self
            .since_ns
            .compare_exchange(0, now_ns, Ordering::AcqRel, Ordering::Acquire);
        if let Some(waker) = self.of_the_runtime.get() {
            waker.wake_by_ref();
        }
    }
}

impl<F: Future> Future for Told<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let told = self.get_mut();
        let queue = &told.queue;
        let start_ns = clock::now_ns();
        let queued_ns = queue.since_ns.swap(0, Ordering::AcqRel);
        queue.of_the_runtime.get_or_init(|| context.waker().clone());
        if told.task.is_none() {
            told.task = truth::current_task();
        }
        let result = told.future.as_mut().poll(&mut Context::from_waker(&told.waker));
        let end_ns = clock::now_ns();
        if queue.since_ns.load(Ordering::Acquire) != 0 {
            queue.since_ns.store(end_ns, Ordering::Release);
        }
        told.polls.keep(Polled {
            task: told.task,
            tid: tid(),
            queued_ns,
            start_ns,
            end_ns,
        });
        result
    }
}
