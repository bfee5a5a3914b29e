//! What a thread is to its runtime, judged from how it waits and what it runs: a worker looks for events between the
//! tasks that it runs, and a thread of the blocking pool runs tasks that no scheduler runs. What it is called tells
//! nothing: programs choose the names of their threads.

use std::collections::BTreeMap;

use observer_common::{SwitchOut, flags};

use super::Threads;
use super::thread::Thread;
use crate::model::id::Task;
use crate::model::runtime::Flavour;
use crate::syscall::{self, Wait};

/// What one thread is.
#[derive(Debug, Default)]
pub(super) struct Role {
    /// Where it looked for events last.
    looked: Option<Place>,
    /// It has run another task since it looked there first.
    ran: bool,
    /// Where it looked for events, ran something else, and looked again.
    worker: Option<Place>,
    jobs: Jobs,
}

/// Where a thread looks for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The descriptor, which is the runtime's own.
    fd: u32,
    /// The task in which it does: none, or the one that the worker itself is.
    task: Task,
    /// The kind of runtime that it is in, where its variables tell.
    kind: Option<Flavour>,
}

/// The jobs of a thread of the blocking pool.
#[derive(Debug, Default)]
struct Jobs {
    last: Task,
    before_last: Task,
    /// It had nothing to do since the last one.
    waited: bool,
    /// A task came back after another one. A job is run once, to its end.
    came_back: bool,
    /// Since this was asked last.
    counted: Counted,
}

/// How many jobs a thread was seen to begin. Those that never leave their CPU are not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them.
    pub begun: u64,
    /// Those that began right where another one had ended: they had waited for the thread.
    pub queued: u64,
}

impl Role {
    /// The thread left its CPU, to wait for `wait` unless it was preempted.
    pub(super) fn left(&mut self, event: &SwitchOut, wait: Wait) {
        let task = Task::new(event.task);
        if !task.is_known() {
            return;
        }
        if event.flags & flags::NO_SCHEDULER != 0 {
            // Unless it is this job that brought a runtime of its own, it is a worker no more.
            self.worker = self.worker.filter(|place| place.task == task);
            self.jobs.ran(task);
        } else if task.id().is_some() {
            self.ran(task);
        } else if event.flags & flags::PREEMPTED == 0 && matches!(wait, Wait::Park { .. }) {
            self.jobs.waited = true;
        }
        // Also where it is preempted: a saturated worker looks for events without ever waiting for them.
        if syscall::waits_for_events(event.syscall) {
            self.look(Place {
                fd: event.args[0] as u32,
                task,
                kind: match event.flags & (flags::FIRST_KIND | flags::SECOND_KIND) {
                    flags::FIRST_KIND => Some(Flavour::CurrentThread),
                    flags::SECOND_KIND => Some(Flavour::MultiThread),
                    _ => None,
                },
            });
        }
    }

    /// A scheduler ran this task on the thread.
    pub(super) fn ran(&mut self, task: Task) {
        if task.id().is_none() {
            return;
        }
        self.ran |= self.looked.is_some_and(|place| place.task != task);
        // A job may bring a scheduler of its own. Otherwise the thread has become a worker.
        if self.jobs.last != task {
            self.jobs = Jobs::default();
        }
    }

    fn look(&mut self, place: Place) {
        if self.looked != Some(place) {
            self.looked = Some(place);
            self.ran = false;
        } else if self.ran {
            self.worker = self.looked;
        }
    }

    /// Events were lost: it may have had nothing to do meanwhile.
    pub(super) fn lost(&mut self) {
        self.jobs.waited = true;
    }

    /// Whether it runs jobs.
    pub(super) fn is_of_pool(&self) -> bool {
        self.jobs.last.id().is_some() && !self.jobs.came_back
    }

    /// Its jobs since this was asked last.
    pub(super) fn take_jobs(&mut self) -> Counted {
        std::mem::take(&mut self.jobs.counted)
    }
}

impl Jobs {
    fn ran(&mut self, task: Task) {
        if task == self.last {
            return;
        }
        self.came_back |= task == self.before_last;
        self.counted.begun += 1;
        self.counted.queued += u64::from(self.last.id().is_some() && !self.waited);
        self.waited = false;
        self.before_last = self.last;
        self.last = task;
    }
}

/// What the threads of a process are to their runtimes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The runtimes that were seen at work, in no particular order.
    pub runtimes: Vec<Workers>,
    /// How many threads ran jobs that no scheduler runs.
    pub pool: u64,
}

/// The workers of one runtime: those that look for events at the same descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// That descriptor.
    pub events_fd: u32,
    /// Its kind, if that is certain.
    pub flavour: Option<Flavour>,
    /// Whether its threads' own variables tell that.
    pub told_by_handle: bool,
    /// How many of them do so in a task.
    pub in_tasks: u64,
    /// Its threads, by id, with their names where known.
    pub threads: BTreeMap<u32, Option<std::sync::Arc<str>>>,
}

impl Threads {
    /// What the threads of each process are to its runtimes, as far as they were seen at it.
    #[must_use]
    pub fn roles(&self) -> BTreeMap<u32, Roles> {
        by_process(self.threads.iter().map(|(&tid, thread)| (tid, thread)))
    }

    /// Process `pid` became another program, or ended.
    pub(super) fn forget_roles(&mut self, pid: u32) {
        let threads = self.threads.values_mut();
        threads
            .filter(|thread| thread.pid == pid)
            .for_each(|thread| thread.role = Role::default());
    }
}

fn by_process<'a>(threads: impl Iterator<Item = (u32, &'a Thread)>) -> BTreeMap<u32, Roles> {
    let mut processes = BTreeMap::<u32, Roles>::new();
    let mut places = BTreeMap::<(u32, u32), Vec<Place>>::new();
    for (tid, thread) in threads {
        if thread.is_of_pool() {
            processes.entry(thread.pid).or_default().pool += 1;
        }
        if let Some(place) = thread.role.worker {
            places.entry((thread.pid, place.fd)).or_default().push(place);
            let runtimes = &mut processes.entry(thread.pid).or_default().runtimes;
            let known = runtimes.iter().position(|runtime| runtime.events_fd == place.fd);
            let known = known.unwrap_or_else(|| {
                runtimes.push(Workers {
                    events_fd: place.fd,
                    flavour: None,
                    told_by_handle: false,
                    in_tasks: 0,
                    threads: BTreeMap::new(),
                });
                runtimes.len() - 1
            });
            runtimes[known].threads.insert(tid, thread.comm.clone());
        }
    }
    for (pid, roles) in &mut processes {
        for runtime in &mut roles.runtimes {
            let places = places
                .get(&(*pid, runtime.events_fd))
                .map_or(&[][..], Vec::as_slice);
            runtime.in_tasks = in_tasks(places);
            runtime.flavour = flavour(places);
            runtime.told_by_handle =
                runtime.flavour.is_some() && places.iter().all(|place| place.kind.is_some());
        }
        roles.runtimes.sort_by_key(|runtime| runtime.events_fd);
    }
    processes
}

fn in_tasks(places: &[Place]) -> u64 {
    places.iter().filter(|place| place.task.id().is_some()).count() as u64
}

/// The kind of a runtime whose threads look for events like this.
fn flavour(places: &[Place]) -> Option<Flavour> {
    let kind = places.first()?.kind;
    let (in_tasks, all) = (in_tasks(places), places.len() as u64);
    match kind {
        // Two that look for the same events in different ways: what that is, nobody knows.
        _ if places.iter().any(|place| place.kind != kind) => None,
        // The workers are tasks themselves.
        Some(Flavour::MultiThread) => kind.filter(|_| in_tasks == all),
        // Also in a task: a job of another runtime's blocking pool can have a runtime of its own.
        Some(Flavour::CurrentThread) => kind,
        None if in_tasks == 0 => Some(Flavour::CurrentThread),
        // One alone could be such a job.
        None => (in_tasks == all && in_tasks > 1).then_some(Flavour::MultiThread),
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::{Header, task};

    use super::*;

    const PID: u32 = 40;

    /// A thread leaves its CPU in this call, on this descriptor.
    fn leaves(tid: u32, syscall: libc::c_long, fd: u64, task: u64, flags: u32) -> SwitchOut {
        SwitchOut {
            header: Header {
                at_ns: 1,
                tid,
                ..Header::zeroed()
            },
            tgid: PID,
            state: 1,
            syscall: syscall as i32,
            args: [fd, 0, 1, 1],
            flags,
            task,
            ..SwitchOut::zeroed()
        }
    }

    fn looks(tid: u32, fd: u64, task: u64) -> SwitchOut {
        leaves(tid, libc::SYS_epoll_wait, fd, task, 0)
    }

    fn sleeps(tid: u32, task: u64, flags: u32) -> SwitchOut {
        leaves(tid, libc::SYS_clock_nanosleep, 0, task, flags)
    }

    fn parks(tid: u32, task: u64) -> SwitchOut {
        leaves(tid, libc::SYS_futex, 0x7000, task, 0)
    }

    fn roles(events: &[SwitchOut]) -> Roles {
        let mut threads = Threads::default();
        events.iter().for_each(|event| threads.switch_out(event));
        threads.roles().remove(&PID).unwrap_or_default()
    }

    fn found(roles: &Roles) -> Vec<(u32, Option<Flavour>, Vec<u32>)> {
        let runtime = |runtime: &Workers| {
            (
                runtime.events_fd,
                runtime.flavour,
                runtime.threads.keys().copied().collect(),
            )
        };
        roles.runtimes.iter().map(runtime).collect()
    }

    #[test]
    fn runtimes_are_told_apart_by_where_their_threads_look_for_events_and_their_kind_by_the_task_in_which_they_do()
     {
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
                looks(tid, fd, own),
                sleeps(tid, 100 + u64::from(tid), 0),
                looks(tid, fd, own),
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
    fn one_worker_alone_is_of_a_known_kind_only_where_its_variables_tell() {
        let kind = |own, flag| {
            let looks = || SwitchOut {
                flags: flag,
                ..looks(41, 4, own)
            };
            found(&roles(&[looks(), sleeps(41, 90, 0), looks()]))[0].1
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
        let mut events = vec![looks(41, 4, 1), sleeps(41, 90, 0), looks(41, 4, 1)];
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
            looks(41, 4, task::NONE),
            looks(41, 4, task::NONE),
            parks(42, task::NONE),
            parks(42, task::NONE),
            // Each job looks for events of its own.
            looks(43, 5, 70),
            looks(43, 6, 71),
            looks(43, 7, 72),
        ];
        assert_eq!(roles(&events), Roles::default());
    }

    #[test]
    fn while_nothing_is_known_of_tasks_nothing_is_told() {
        let events = [
            looks(41, 4, task::UNKNOWN),
            sleeps(41, task::UNKNOWN, 0),
            looks(41, 4, task::UNKNOWN),
        ];
        assert_eq!(roles(&events), Roles::default());
    }

    #[test]
    fn threads_that_look_for_the_same_events_in_different_ways_are_of_no_known_kind() {
        let mut events = Vec::new();
        for (tid, own) in [(41, 1), (42, task::NONE)] {
            events.extend([looks(tid, 4, own), sleeps(tid, 90, 0), looks(tid, 4, own)]);
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
            pool(&[job(41, 70), looks(41, 9, 70)]),
            1,
            "a job with a runtime of its own"
        );
    }

    #[test]
    fn a_job_that_follows_another_without_a_wait_had_to_queue() {
        let mut role = Role::default();
        let wait = |event: &SwitchOut| Wait::of(event.syscall, &event.args, event.state);
        let mut see = |event: SwitchOut| role.left(&event, wait(&event));
        let job = |id| sleeps(41, id, flags::NO_SCHEDULER);
        for event in [job(70), job(70), job(71), parks(41, task::NONE), job(72), job(73)] {
            see(event);
        }
        assert_eq!(role.take_jobs(), Counted { begun: 4, queued: 2 });
        assert_eq!(role.take_jobs(), Counted::default());
    }
}
