//! Requests that are made of several tasks, and what one task does to another.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use testbed::clock;
use testbed::ran::run_queue_ns;
use testbed::truth::{FaultKind, Stretch};
use tokio::sync::{mpsc, oneshot};
use tokio::task;

use super::computing::burned;
use super::size::Time;
use super::{Failure, unavailable, waiting};
use crate::polled;
use crate::truth;
use crate::visit::Visit;

/// A task that computes for others, one job after the other. It begins with the first.
#[derive(Default)]
pub(super) struct Clerk(OnceLock<mpsc::UnboundedSender<Job>>);

struct Job {
    asked_ns: u64,
    duration: Duration,
    reply: oneshot::Sender<Done>,
}

struct Done {
    queued: Stretch,
    computed: [Stretch; 3],
}

impl Clerk {
    fn jobs(&self) -> &mpsc::UnboundedSender<Job> {
        self.0.get_or_init(|| {
            let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
            polled::spawn(async move {
                while let Some(job) = jobs.recv().await {
                    job.done();
                }
            });
            sender
        })
    }
}

impl Job {
    fn done(self) {
        let Self {
            asked_ns,
            duration,
            reply,
        } = self;
        let queued = Stretch::until_now(FaultKind::ChannelQueue, asked_ns, u64::MAX);
        let computed = burned(duration);
        // Who asked may have gone.
        let _ = reply.send(Done {
            queued: queued.by(truth::current_task()),
            computed,
        });
    }
}

/// Has a task compute that all such requests share, and waits for its reply.
pub(super) async fn channel(visit: &mut Visit, clerk: &Clerk, time: &Time) -> Result<&'static str, Failure> {
    let (reply, done) = oneshot::channel();
    let job = Job {
        asked_ns: clock::now_ns(),
        duration: time.duration(),
        reply,
    };
    clerk.jobs().send(job).map_err(unavailable)?;
    let Done { queued, computed } = done.await.map_err(unavailable)?;
    visit.injected(queued);
    visit.injected_all(computed);
    Ok("done\n")
}

/// Spawns two tasks and waits for both: one computes, the other waits half as long.
///
/// Spawning wakes the other worker, which may be put on this worker's CPU and take it: then the handler waits for the
/// CPU while its own task computes.
pub(super) async fn join(visit: &mut Visit, time: &Time) -> Result<&'static str, Failure> {
    let duration = time.duration();
    let (from_ns, queued_ns) = (clock::now_ns(), run_queue_ns());
    let computing = polled::spawn(async move { burned(duration) });
    let waiting = polled::spawn(tokio::time::sleep(duration / 2));
    let queued_ns = run_queue_ns().saturating_sub(queued_ns);
    visit.injected(Stretch::exactly(FaultKind::OffCpu, from_ns, queued_ns));
    let (computed, waited) = tokio::join!(computing, waiting);
    waited.map_err(unavailable)?;
    let [computed, ..] = computed.map_err(unavailable)?;
    visit.injected(Stretch {
        least_ns: computed.least_ns.saturating_sub(queued_ns),
        ..computed
    });
    Ok("joined\n")
}

/// Is woken by another task that goes on to compute. Who is woken by a worker's task is to be polled by that worker
/// next, and not by one that is idle.
pub(super) async fn wake_first(visit: &mut Visit, time: &Time) -> Result<&'static str, Failure> {
    let duration = time.duration();
    let (wake, woken) = oneshot::channel();
    polled::spawn(async move {
        let queued = (thread::current().id(), run_queue_ns());
        // Who asked may have gone.
        let _ = wake.send((clock::now_ns(), truth::current_task(), queued));
        burned(duration);
    });
    let (woken_ns, task, (thread, queued_ns)) = woken.await.map_err(unavailable)?;
    let waited = Stretch::until_now(FaultKind::TaskQueue, woken_ns, u64::MAX).by(task);
    // While the worker that it waited for was in the run queue, it waited for a CPU and not for that task.
    let same = thread::current().id() == thread;
    let queued_ns = if same {
        run_queue_ns().saturating_sub(queued_ns)
    } else {
        0
    };
    visit.injected(Stretch {
        least_ns: waited.least_ns.saturating_sub(queued_ns),
        ..waited
    });
    Ok("woken\n")
}

/// Sleeps on the worker, having told the runtime, which has another thread go on with the other tasks.
pub(super) fn in_place(visit: &mut Visit, time: &Time) -> &'static str {
    visit.injected(task::block_in_place(|| waiting::slept(time.duration())));
    "slept in place\n"
}
