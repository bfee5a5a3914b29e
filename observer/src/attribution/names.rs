//! Names for people: what descriptors are, what threads are called, who a culprit is.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Evidence;
use super::path::{Call, Charge, Reason, Step};
use crate::connections::{Connection, Exactness, Held, Turn};
use crate::model::cause::Cause;
use crate::model::full::{Full, Table};
use crate::model::id::{ConnId, Pid, Task, Tid};
use crate::model::request::{Answer, Culprit, Detail, HeldBack, RuntimeWork, Span};
use crate::runtime::jvm;
use crate::syscall;
use crate::threads::{Occupant, Owner};

/// Descriptors whose names are kept. One more, and all are forgotten.
const MAX_NAMES: usize = 65_536;

/// What Go's runtime has goroutines of its own for.
const MARKS: &str = "GC worker";

/// What descriptors are, by process and number.
#[derive(Debug, Default)]
pub struct FdNames {
    fds: FxHashMap<(Pid, i32), Arc<str>>,
    /// What was forgotten.
    pub full: Full,
}

impl FdNames {
    /// Descriptor `fd` of process `pid` is `name`, or has none any more where that is empty.
    pub fn fd(&mut self, pid: Pid, fd: i32, name: &str) {
        if name.is_empty() {
            self.fds.remove(&(pid, fd));
            return;
        }
        if self.fds.len() >= MAX_NAMES && !self.fds.contains_key(&(pid, fd)) {
            self.full.count(Table::FdNames, self.fds.len() as u64);
            self.fds.clear();
        }
        self.fds.insert((pid, fd), name.into());
    }

    /// Process `pid` became another program, or ended.
    pub fn forget_process(&mut self, pid: Pid) {
        self.fds.retain(|&(of, _), _| of != pid);
    }
}

/// A step in words.
pub(super) fn span(evidence: &Evidence<'_>, arrival_ns: u64, step: &Step) -> Span {
    let Charge {
        cause,
        tid,
        cpu,
        reason,
    } = step.charge;
    let on = tid.unwrap_or_default();
    let mut span = Span {
        at_ns: step.from_ns.saturating_sub(arrival_ns),
        dur_ns: step.dur_ns(),
        cause,
        tid,
        cpu,
        detail: Detail::default(),
        culprit: None,
    };
    let Span { detail, culprit, .. } = &mut span;
    match reason {
        Reason::Plain => {}
        Reason::Note(note) | Reason::Idle(note) | Reason::IdleInMark(note, _) => detail.note = Some(note),
        Reason::Runtime(work) => detail.runtime = Some(work),
        Reason::Peer(conn) => {
            let connection = evidence.connections.get(conn);
            detail.peer = connection.and_then(|connection| connection.peer);
        }
        Reason::Occupied(by) => *culprit = Some(occupant(evidence, &by, step.to_ns)),
        Reason::StoppedBy(by) => {
            *culprit = Some(occupant(evidence, &by, step.to_ns));
            detail.runtime = Some(RuntimeWork {
                what: jvm::STOP,
                cycle: None,
            });
        }
        Reason::RanFor(owner, task) => *culprit = Some(thread(evidence, on, owner, task)),
        Reason::BlockedFor(call, owner, task) => {
            *detail = call_detail(evidence, &call, step);
            *culprit = Some(Culprit {
                syscall: detail.syscall,
                object: detail.object.clone(),
                ..thread(evidence, on, owner, task)
            });
        }
        Reason::Blocked(call) => *detail = call_detail(evidence, &call, step),
        Reason::WokenBy(call, by) => {
            *detail = call_detail(evidence, &call, step);
            *culprit = Some(occupant(evidence, &by, step.to_ns));
        }
        Reason::LetGoBy(by, task, request) => {
            *culprit = Some(thread(evidence, by, Owner::Request(request), task));
        }
        Reason::LockHeldBy(call, holder) => {
            *detail = call_detail(evidence, &call, step);
            *culprit = Some(had_a_lock(evidence, holder, step));
        }
    }
    if culprit.is_none() {
        *culprit = answered(evidence, step);
    }
    span
}

/// The last interval of a turn: TCP had bytes of it.
#[must_use]
pub fn held_back(turn: &Turn) -> Option<Span> {
    let from_ns = turn.sent_ns.max(turn.arrival_ns);
    let dur_ns = turn.end_ns().saturating_sub(from_ns);
    let held = turn.held.filter(|_| dur_ns > 0)?;
    Some(Span {
        at_ns: from_ns - turn.arrival_ns,
        dur_ns,
        cause: Cause::HeldBack,
        tid: None,
        cpu: None,
        detail: held_detail(&held),
        culprit: None,
    })
}

/// What TCP had, and why.
fn held_detail(held: &Held) -> Detail {
    Detail {
        held: Some(HeldBack {
            by: held.by,
            unsent_bytes: held.unsent_bytes,
        }),
        note: held.left.and_then(|left| match left.exactness {
            Exactness::Exact => None,
            Exactness::Tick => Some("when the last byte left is known to a tick of the kernel's clock"),
            Exactness::AtTheLatest => Some("the last byte left then at the latest"),
        }),
        ..Detail::default()
    }
}

impl Evidence<'_> {
    /// The connection on which a thread was blocked since `from_ns`: that which woke it, or else that of its
    /// descriptor, where this is not known to be something else by now.
    pub(super) fn connection_of(&self, call: &Call, from_ns: u64) -> Option<(ConnId, &Connection)> {
        let (pid, conn) = (call.pid, call.woken_for);
        let fd = syscall::blocking_fd(call.syscall, call.arg0)?;
        // What came just before a wakeup can be for another. Of those that are polled only the first is recorded.
        let is_on = |connection: &&Connection| {
            syscall::is_poll(call.syscall) || !connection.is_behind_another(pid, fd)
        };
        if let Some(connection) = self.connections.get(conn).filter(is_on) {
            return Some((conn, connection));
        }
        let name = self.names.fds.get(&(pid, fd));
        let is_socket = name.is_none_or(|name| name.starts_with("socket:"));
        self.connections.by_fd(pid, fd, from_ns).filter(|_| is_socket)
    }
}

/// What a blocking call was in and on, in a step or a part of it.
fn call_detail(evidence: &Evidence<'_>, call: &Call, step: &Step) -> Detail {
    let mut detail = Detail {
        syscall: syscall::name(call.syscall),
        ..Detail::default()
    };
    if let Some(fd) = syscall::blocking_fd(call.syscall, call.arg0) {
        if let Some((_, connection)) = evidence.connection_of(call, step.from_ns) {
            detail.peer = connection.peer;
        } else {
            detail.object = evidence.names.fds.get(&(call.pid, fd)).cloned();
        }
    }
    detail
}

/// A thread that ran until `at_ns` on the CPU that was waited for, or that woke another then.
fn occupant(evidence: &Evidence<'_>, occupant: &Occupant, at_ns: u64) -> Culprit {
    let known = evidence.threads.get(occupant.tid);
    let (owner, task) = known.map(|thread| thread.owner_before(at_ns)).unwrap_or_default();
    Culprit {
        pid: occupant.pid,
        tid: occupant.tid,
        comm: comm(evidence, occupant),
        task: task.id(),
        request: request(evidence, owner),
        role: role(evidence, occupant.pid, task),
        syscall: None,
        object: None,
        function: None,
        answer: None,
    }
}

/// A thread of a watched process, as a culprit.
fn thread(evidence: &Evidence<'_>, tid: Tid, owner: Owner, task: Task) -> Culprit {
    let known = evidence.threads.get(tid);
    let pid = known.map_or(Pid::NONE, |thread| thread.pid);
    Culprit {
        pid,
        tid,
        comm: known.and_then(|thread| thread.comm.clone()),
        task: task.id(),
        request: request(evidence, owner),
        role: role(evidence, pid, task),
        syscall: None,
        object: None,
        function: None,
        answer: None,
    }
}

/// Who answered what the request waited for, if that was a peer that is watched, too.
fn answered(evidence: &Evidence<'_>, step: &Step) -> Option<Culprit> {
    let conn = match step.charge.reason {
        _ if step.charge.cause != Cause::Downstream => None,
        Reason::Peer(conn) => Some(conn),
        Reason::Blocked(call) => evidence.connection_of(&call, step.from_ns).map(|(conn, _)| conn),
        _ => None,
    };
    let callee = evidence.connections.callee(conn?, step.from_ns, step.to_ns)?;
    let known = evidence.threads.get(callee.tid);
    Some(Culprit {
        pid: callee.pid,
        tid: callee.tid,
        comm: known.and_then(|thread| thread.comm.clone()),
        task: callee.task.id(),
        request: callee.name,
        role: None,
        syscall: None,
        object: None,
        function: None,
        answer: Some(Box::new(Answer {
            conn: callee.id.conn,
            nth: callee.id.nth,
            latency_ns: callee.latency_ns,
            mostly: callee.mostly,
        })),
    })
}

/// A thread that had a lock meanwhile, for whom it did most then.
fn had_a_lock(evidence: &Evidence<'_>, holder: Tid, step: &Step) -> Culprit {
    let known = evidence.threads.get(holder);
    let did = known.and_then(|thread| thread.did_most_for(step.from_ns, step.to_ns));
    let (before, task) = known
        .map(|thread| thread.owner_before(step.to_ns))
        .unwrap_or_default();
    thread(evidence, holder, did.map_or(before, Owner::Request), task)
}

/// A request in words: method and path without query.
fn request(evidence: &Evidence<'_>, owner: Owner) -> Option<Arc<str>> {
    let id = owner.request()?;
    evidence.connections.get(id.conn)?.name(id.nth)
}

/// What the runtime of process `pid` has a task for, if that is its own.
fn role(evidence: &Evidence<'_>, pid: Pid, task: Task) -> Option<&'static str> {
    task.id()
        .is_some_and(|task| evidence.go.marks(pid, task))
        .then_some(MARKS)
}

fn comm(evidence: &Evidence<'_>, occupant: &Occupant) -> Option<Arc<str>> {
    if occupant.tid == Tid::IDLE {
        return Some("idle".into());
    }
    evidence.threads.comm(occupant.comm).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_leaves_no_name_to_the_next_with_its_number() {
        let mut names = FdNames::default();
        for pid in [7, 8] {
            names.fd(Pid(pid), 3, "/var/lib/data");
        }
        names.forget_process(Pid(7));
        assert_eq!(names.fds.keys().collect::<Vec<_>>(), [&(Pid(8), 3)]);
    }

    #[test]
    fn names_that_are_forgotten_are_counted() {
        let mut names = FdNames::default();
        for fd in 0..=MAX_NAMES as i32 {
            names.fd(Pid(7), fd, "/var/lib/data");
        }
        assert_eq!(names.fds.len(), 1);
        names.fd(Pid(7), MAX_NAMES as i32, "");
        assert!(names.fds.is_empty(), "it has none any more");
        let counts: Vec<_> = names.full.counts().collect();
        assert_eq!(counts, [(Table::FdNames, MAX_NAMES as u64)]);
    }
}
