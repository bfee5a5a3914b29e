//! What happened outside of the threads, read off a stream: what a request is charged for no thread's doing must have
//! ended with it, or begun.

use std::collections::{HashMap, HashSet};

use observer::event::Event;
use observer::model::cause::Cause;
use observer::model::id::{Task, TaskId};
use observer::model::request::{Request, Span};
use observer_common::{ProcessChange, SwitchOut, flags, task};
use syscalls::Sysno;

use super::machine;

/// A runtime's timers are due within the millisecond in which its worker stops waiting for them.
const TIMER_SLACK_NS: u64 = 1_000_000;

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Bytes that came: connection, and when.
    came: HashSet<(u64, u64)>,
    /// When bytes of peers came, were received, or woke a thread, ns.
    peers_ns: HashSet<u64>,
    timers: Vec<Timer>,
    /// For which connections' requests a thread can have been woken or begun, through however many others, and a task
    /// can work.
    by_thread: HashMap<u32, HashSet<u64>>,
    by_task: HashMap<TaskId, HashSet<u64>>,
    /// Sends that found no room: connection, and when.
    stalled: Vec<(u64, u64)>,
    /// Sends that left bytes with TCP: connection, and when.
    held: HashSet<(u64, u64)>,
    /// When a goroutine was made ready, ns, by which thread, in which goroutine.
    readied: HashMap<u64, (u32, Task)>,
    /// What goroutines said of themselves when they received or sent: connection, when, and the field.
    said: Vec<(u64, u64, u64)>,
    /// When goroutines were seen waiting for a mutex.
    seen_locking: Vec<(TaskId, u64, u64)>,
}

/// Numbers of the reasons for which Go's goroutines wait for a mutex, of all versions.
const MUTEXES: std::ops::RangeInclusive<u8> = 21..=24;

impl Outside {
    /// The next event.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Receive(event, _) => {
                self.said.push((event.conn, event.header.at_ns, event.task));
                self.by_thread
                    .entry(event.header.tid)
                    .or_default()
                    .insert(event.conn);
                if let Some(task) = Task::new(event.task).id() {
                    self.by_task.entry(task).or_default().insert(event.conn);
                }
                self.came.insert((event.conn, event.arrived_ns));
                if machine::is_outbound(event.conn) {
                    self.peers_ns.extend([event.arrived_ns, event.header.at_ns]);
                }
            }
            Event::Send(event, _) if event.result <= 0 => {
                self.stalled.push((event.conn, event.header.at_ns));
            }
            Event::Send(event, _) => self.said.push((event.conn, event.header.at_ns, event.task)),
            Event::GoStack(event) if event.functions().any(|name| name.contains("sync.(*Mutex).")) => {
                let task = Task::new(event.task).id();
                self.seen_locking
                    .extend(task.map(|task| (task, event.header.at_ns, event.task)));
            }
            Event::Waking(event) => {
                if machine::is_outbound(event.conn) {
                    self.peers_ns.insert(event.header.at_ns);
                }
                self.passed_on(event.waker_tid, Task::new(event.waker_task), event.header.tid);
            }
            Event::Process(event) if event.change == ProcessChange::Fork as u32 => {
                self.passed_on(event.header.tid, Task::UNKNOWN, event.child_tid);
            }
            Event::SwitchOut(event) if event.flags & flags::PREEMPTED == 0 => {
                let woken_for = self.by_thread.get(&event.header.tid);
                self.timers
                    .extend(timer(event, woken_for.cloned().unwrap_or_default()));
            }
            Event::Readied(event) => {
                let by = (event.header.tid, Task::new(event.task));
                self.readied.insert(event.header.at_ns, by);
            }
            Event::Held(event) => {
                self.held.insert((event.conn, event.sent_ns));
            }
            _ => {}
        }
    }

    /// Thread `by` woke or began this one in `task`, which can work for what it worked for from then on.
    fn passed_on(&mut self, by: u32, task: Task, tid: u32) {
        let of_thread = self.by_thread.get(&by);
        let of_task = task.id().and_then(|task| self.by_task.get(&task));
        let conns: HashSet<u64> = of_thread.into_iter().chain(of_task).flatten().copied().collect();
        if let Some(task) = task.id() {
            self.by_task.entry(task).or_default().extend(&conns);
        }
        self.by_thread.entry(tid).or_default().extend(&conns);
    }

    /// Whether a span of no thread may be charged to its cause.
    pub(crate) fn agrees(&self, request: &Request, span: &Span) -> bool {
        let from_ns = request.figures.arrival_ns + span.at_ns;
        let to_ns = from_ns + span.dur_ns;
        let conn = request.conn.id.0;
        match span.cause {
            Cause::Client => self.came.contains(&(conn, to_ns)),
            Cause::Downstream => self.peers_ns.contains(&to_ns),
            Cause::Lock if span.culprit.is_none() => self.waited_for_mutex(request, from_ns, to_ns),
            Cause::Lock => span.culprit.as_ref().is_some_and(|culprit| {
                let by = (culprit.tid.0, culprit.task);
                self.readied
                    .get(&to_ns)
                    .is_some_and(|&(tid, task)| (tid, task.id()) == by)
            }),
            Cause::Timer if self.readied.contains_key(&to_ns) => self.readied[&to_ns].1 == Task::NONE,
            Cause::Timer => self.timers.iter().any(|timer| {
                let of_request = request.figures.arrival_ns <= timer.since_ns + TIMER_SLACK_NS;
                let within = from_ns <= timer.since_ns + TIMER_SLACK_NS
                    || of_request && timer.woken_for.contains(&conn);
                let is_over = timer.since_ns + timer.after_ns <= to_ns + TIMER_SLACK_NS;
                within && timer.since_ns <= to_ns && is_over
            }),
            Cause::SendBlocked => self
                .stalled
                .iter()
                .any(|&(on, at_ns)| on == conn && at_ns <= from_ns),
            Cause::HeldBack => self.held.contains(&(conn, from_ns)),
            // See `accepts`.
            Cause::AcceptQueue => true,
            _ => false,
        }
    }
}

impl Outside {
    /// Whether the goroutine of a request says that it has stopped since the read, and for a mutex, or was seen so.
    fn waited_for_mutex(&self, request: &Request, from_ns: u64, to_ns: u64) -> bool {
        let arrival_ns = request.figures.arrival_ns;
        let end_ns = arrival_ns + request.figures.latency_ns;
        let said = |between: std::ops::RangeInclusive<u64>| {
            let of_request = move |&(conn, at_ns, _): &(u64, u64, u64)| {
                conn == request.conn.id.0 && between.contains(&at_ns)
            };
            let fields = self.said.iter().copied().filter(of_request);
            fields.map(|(_, _, field)| field)
        };
        let stops = |field: u64| (field >> task::STAY_SHIFT) as u8;
        let reason = |field: u64| (field >> (task::STAY_SHIFT + task::REASON_SHIFT)) as u8 & 0x7f;
        let looks = self.seen_locking.iter();
        let of_request = looks
            .filter(|(task, at_ns, _)| request.task == Some(*task) && (arrival_ns..=end_ns).contains(at_ns));
        let of_request: Vec<_> = of_request.collect();
        let seen = !of_request.is_empty();
        // Before Go 1.26 each operation is a stop, too.
        let operations = said(arrival_ns..=end_ns).count() as u64;
        said(arrival_ns..=from_ns).any(|read| {
            said(to_ns..=end_ns).any(|sent| {
                let says = MUTEXES.contains(&reason(sent)) && reason(sent) != reason(read);
                let stopped = u64::from(stops(sent).wrapping_sub(stops(read)));
                let in_its_first_stop = |&&(_, at_ns, then): &&(TaskId, u64, u64)| {
                    to_ns <= at_ns + 1 && stops(then).wrapping_sub(stops(read)) == 1
                };
                (1..=1 + operations).contains(&stopped) && (says || seen)
                    || of_request.iter().any(in_its_first_stop)
            })
        })
    }
}

/// A wait for work that ends by itself.
#[derive(Debug)]
struct Timer {
    /// Since when, ns.
    since_ns: u64,
    /// After how long, where that is known, ns.
    after_ns: u64,
    /// For which connections' requests its thread can have been woken or begun before.
    woken_for: HashSet<u64>,
}

/// A thread waits for work until a time, at the latest.
fn timer(event: &SwitchOut, woken_for: HashSet<u64>) -> Option<Timer> {
    let after_ns = if event.syscall == Sysno::epoll_pwait as i32 {
        u64::try_from(event.args[3] as i32).ok()? * 1_000_000
    } else if event.syscall == Sysno::futex as i32 && event.args[3] != 0 {
        0
    } else {
        return None;
    };
    Some(Timer {
        since_ns: event.header.at_ns,
        after_ns,
        woken_for,
    })
}
