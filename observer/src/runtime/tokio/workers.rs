//! What the threads of a process are to its runtimes: which of them are workers of the same, and of what kind it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::roles::EventSource;
use super::thread::ThreadOfTokio;
use crate::model::id::{Pid, Tid};
use crate::model::runtime::Flavour;

/// What the threads of a process are to their runtimes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The runtimes that were seen at work, in no particular order.
    pub runtimes: Vec<RuntimeWorkers>,
    /// How many threads ran jobs that no scheduler runs.
    pub pool: u64,
}

/// The workers of one runtime: those that wait for events at the same descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeWorkers {
    /// That descriptor.
    pub events_fd: u32,
    /// Its kind, if that is certain.
    pub flavour: Option<Flavour>,
    /// Whether its threads' own variables say so.
    pub by_handle: bool,
    /// How many of them do so in a task.
    pub in_tasks: u64,
    /// Its threads, by id, with their names where known.
    pub threads: BTreeMap<Tid, Option<Arc<str>>>,
}

/// What one thread is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadRole<'a> {
    pub(crate) tid: Tid,
    pub(crate) pid: Pid,
    /// Its name, where known.
    pub(crate) comm: Option<&'a Arc<str>>,
    pub(crate) thread: &'a ThreadOfTokio,
    /// It runs jobs, and nothing else is known of it.
    pub(crate) is_of_pool: bool,
}

/// What the threads of each process are.
pub(crate) fn by_process<'a>(threads: impl Iterator<Item = ThreadRole<'a>>) -> BTreeMap<Pid, Roles> {
    let mut processes = BTreeMap::<Pid, Roles>::new();
    let mut sources = BTreeMap::<(Pid, u32), Vec<EventSource>>::new();
    for thread in threads {
        if thread.is_of_pool {
            processes.entry(thread.pid).or_default().pool += 1;
        }
        if let Some(source) = thread.thread.role.worker() {
            sources.entry((thread.pid, source.fd)).or_default().push(source);
            let roles = processes.entry(thread.pid).or_default();
            let comm = thread.comm.cloned();
            roles.workers_at(source.fd).threads.insert(thread.tid, comm);
        }
    }
    for (pid, roles) in &mut processes {
        for runtime in &mut roles.runtimes {
            let sources = sources
                .get(&(*pid, runtime.events_fd))
                .map_or(&[][..], Vec::as_slice);
            runtime.in_tasks = in_tasks(sources);
            runtime.flavour = kind_of(sources);
            runtime.by_handle =
                runtime.flavour.is_some() && sources.iter().all(|source| source.flavour.is_some());
        }
        roles.runtimes.sort_by_key(|runtime| runtime.events_fd);
    }
    processes
}

impl Roles {
    /// Those that wait for events at this descriptor.
    fn workers_at(&mut self, events_fd: u32) -> &mut RuntimeWorkers {
        let is = |runtime: &RuntimeWorkers| runtime.events_fd == events_fd;
        let index = self.runtimes.iter().position(is).unwrap_or_else(|| {
            self.runtimes.push(RuntimeWorkers {
                events_fd,
                flavour: None,
                by_handle: false,
                in_tasks: 0,
                threads: BTreeMap::new(),
            });
            self.runtimes.len() - 1
        });
        &mut self.runtimes[index]
    }
}

fn in_tasks(sources: &[EventSource]) -> u64 {
    sources.iter().filter(|source| source.task.id().is_some()).count() as u64
}

/// The kind of a runtime whose threads wait for events like this.
fn kind_of(sources: &[EventSource]) -> Option<Flavour> {
    let flavour = sources.first()?.flavour;
    let (in_tasks, all) = (in_tasks(sources), sources.len() as u64);
    match flavour {
        // Two that wait for the same events in different ways: what that is, nobody knows.
        _ if sources.iter().any(|source| source.flavour != flavour) => None,
        // The workers are tasks themselves.
        Some(Flavour::MultiThread) => flavour.filter(|_| in_tasks == all),
        // Also in a task: a job of another runtime's blocking pool can have a runtime of its own.
        Some(Flavour::CurrentThread) => flavour,
        None if in_tasks == 0 => Some(Flavour::CurrentThread),
        // One alone could be such a job.
        None => (in_tasks == all && in_tasks > 1).then_some(Flavour::MultiThread),
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::{Header, SwitchOut, flags, task};

    use super::super::roles::{JobCounts, RuntimeRole};
    use super::*;
    use crate::syscall::Wait;

    const PID: Pid = Pid(40);

    /// A thread leaves its CPU in this call, on this descriptor.
    fn leaves(tid: u32, syscall: libc::c_long, fd: u64, task: u64, flags: u32) -> SwitchOut {
        SwitchOut {
            header: Header {
                at_ns: 1,
                tid,
                ..Header::zeroed()
            },
            tgid: PID.0,
            state: 1,
            syscall: syscall as i32,
            args: [fd, 0, 1, 1],
            flags,
            task,
            ..SwitchOut::zeroed()
        }
    }

    fn awaits(tid: u32, fd: u64, task: u64) -> SwitchOut {
        leaves(tid, libc::SYS_epoll_wait, fd, task, 0)
    }

    fn sleeps(tid: u32, task: u64, flags: u32) -> SwitchOut {
        leaves(tid, libc::SYS_clock_nanosleep, 0, task, flags)
    }

    fn parks(tid: u32, task: u64) -> SwitchOut {
        leaves(tid, libc::SYS_futex, 0x7000, task, 0)
    }

    fn roles(events: &[SwitchOut]) -> Roles {
        let mut threads = BTreeMap::<u32, ThreadOfTokio>::new();
        for event in events {
            let wait = Wait::of(event.syscall, &event.args, event.state);
            let thread = threads.entry(event.header.tid).or_default();
            thread.role.left(event, wait);
        }
        let threads = threads.iter().map(|(&tid, thread)| ThreadRole {
            tid: Tid(tid),
            pid: PID,
            comm: None,
            thread,
            is_of_pool: thread.is_of_pool(),
        });
        by_process(threads).remove(&PID).unwrap_or_default()
    }

    fn found(roles: &Roles) -> Vec<(u32, Option<Flavour>, Vec<u32>)> {
        let runtime = |runtime: &RuntimeWorkers| {
            (
                runtime.events_fd,
                runtime.flavour,
                runtime.threads.keys().map(|tid| tid.0).collect(),
            )
        };
        roles.runtimes.iter().map(runtime).collect()
    }

    #[test]
    fn runtimes_differ_by_where_their_threads_wait_for_events_and_their_kind_by_the_task_in_which_they_do() {
        // Two workers that are the tasks 1 and 2, a runtime of one thread, and two of another multi-threaded one.
        let mut events = Vec::new();
        for (tid, fd, own) in [
            (41, 4, 1),
            (42, 4, 2),
            (43, 9, task::NONE),
            (44, 12, 30),
            (45, 12, 31),
        ] {
            events.extend([
                awaits(tid, fd, own),
                sleeps(tid, 100 + u64::from(tid), 0),
                awaits(tid, fd, own),
            ]);
        }
        let expected = [
            (4, Some(Flavour::MultiThread), vec![41, 42]),
            (9, Some(Flavour::CurrentThread), vec![43]),
            (12, Some(Flavour::MultiThread), vec![44, 45]),
        ];
        assert_eq!(found(&roles(&events)), expected);
    }

    #[test]
    fn one_worker_alone_is_of_a_known_kind_only_where_its_variables_say_so() {
        let kind = |own, flag| {
            let awaits_with = || SwitchOut {
                flags: flag,
                ..awaits(41, 4, own)
            };
            found(&roles(&[awaits_with(), sleeps(41, 90, 0), awaits_with()]))[0].1
        };
        let (current, multi) = (Some(Flavour::CurrentThread), Some(Flavour::MultiThread));
        assert_eq!(kind(1, flags::SECOND_KIND), multi);
        assert_eq!(kind(1, 0), None, "it could be a job with a runtime of its own");
        assert_eq!(kind(1, flags::FIRST_KIND), current, "and this is one");
        assert_eq!(kind(task::NONE, flags::FIRST_KIND), current);
        assert_eq!(kind(task::NONE, 0), current);
        assert_eq!(
            kind(task::NONE, flags::SECOND_KIND),
            None,
            "no worker is in no task"
        );
    }

    #[test]
    fn a_worker_that_runs_jobs_is_a_worker_no_more() {
        let mut events = vec![awaits(41, 4, 1), sleeps(41, 90, 0), awaits(41, 4, 1)];
        assert_eq!(found(&roles(&events)).len(), 1);
        events.push(sleeps(41, 95, flags::NO_SCHEDULER));
        let expected = Roles {
            pool: 1,
            ..Roles::default()
        };
        assert_eq!(roles(&events), expected);
    }

    #[test]
    fn a_loop_that_runs_no_tasks_and_a_thread_that_waits_for_another_are_no_runtime() {
        let events = [
            awaits(41, 4, task::NONE),
            awaits(41, 4, task::NONE),
            parks(42, task::NONE),
            parks(42, task::NONE),
            // Each job waits for events of its own.
            awaits(43, 5, 70),
            awaits(43, 6, 71),
            awaits(43, 7, 72),
        ];
        assert_eq!(roles(&events), Roles::default());
    }

    #[test]
    fn while_nothing_is_known_of_tasks_nothing_is_reported() {
        let events = [
            awaits(41, 4, task::UNKNOWN),
            sleeps(41, task::UNKNOWN, 0),
            awaits(41, 4, task::UNKNOWN),
        ];
        assert_eq!(roles(&events), Roles::default());
    }

    #[test]
    fn threads_that_wait_for_the_same_events_in_different_ways_are_of_no_known_kind() {
        let mut events = Vec::new();
        for (tid, own) in [(41, 1), (42, task::NONE)] {
            events.extend([awaits(tid, 4, own), sleeps(tid, 90, 0), awaits(tid, 4, own)]);
        }
        assert_eq!(found(&roles(&events)), [(4, None, vec![41, 42])]);
    }

    #[test]
    fn a_job_is_a_task_without_a_scheduler_that_does_not_come_back() {
        let job = |tid, id| sleeps(tid, id, flags::NO_SCHEDULER);
        let pool = |events: &[SwitchOut]| roles(events).pool;
        assert_eq!(
            pool(&[job(41, 70), parks(41, task::NONE), job(41, 71), job(42, 72)]),
            2
        );
        assert_eq!(
            pool(&[sleeps(41, 70, 0), sleeps(41, 71, 0)]),
            0,
            "a scheduler runs them"
        );
        assert_eq!(
            pool(&[job(41, 70), job(41, 71), job(41, 70)]),
            0,
            "a set of tasks that takes turns"
        );
        assert_eq!(pool(&[job(41, 70), sleeps(41, 71, 0)]), 0, "it became a worker");
        assert_eq!(
            pool(&[job(41, 70), awaits(41, 9, 70)]),
            1,
            "a job with a runtime of its own"
        );
    }

    #[test]
    fn a_job_that_follows_another_without_a_wait_had_to_queue() {
        let mut role = RuntimeRole::default();
        let wait = |event: &SwitchOut| Wait::of(event.syscall, &event.args, event.state);
        let mut see = |event: SwitchOut| role.left(&event, wait(&event));
        let job = |id| sleeps(41, id, flags::NO_SCHEDULER);
        for event in [job(70), job(70), job(71), parks(41, task::NONE), job(72), job(73)] {
            see(event);
        }
        assert_eq!(role.take_jobs(), JobCounts { begun: 4, queued: 2 });
        assert_eq!(role.take_jobs(), JobCounts::default());
    }
}
