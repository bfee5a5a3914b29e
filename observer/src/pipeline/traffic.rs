//! What happens on connections, handed on to them and to the threads that do it.

use std::io;

use observer_common::{Connection, Header, Receive, Send, Waking, flags, tcp};

use super::Pipeline;
use crate::model::id::{ConnId, Pid, Task, Tid};
use crate::model::operation::Operation;
use crate::output::Sinks;
use crate::syscall;

impl Pipeline {
    /// A thread was made runnable, which can be for a request.
    pub(super) fn woken(&mut self, event: &Waking) {
        let tid = Tid(event.header.tid);
        if let Some(id) = self.threads.woken(event) {
            self.connections.touched(id, tid);
        }
        // Who wakes a futex does so also where the network has just interrupted it.
        if !syscall::is_futex(event.waker_syscall) {
            self.connections.woke(ConnId(event.conn), tid);
        }
    }

    pub(super) fn received(&mut self, event: &Receive, head: &[u8], sinks: Sinks<'_, '_>) -> io::Result<()> {
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        self.seen_in(tid, pid, Task::new(event.task));
        let (operation, ended) = self.connections.received(event, head);
        if let Some(turn) = ended {
            self.finish_turn(turn, sinks)?;
        }
        self.did(&event.header, event.tgid, event.task, operation.as_ref());
        Ok(())
    }

    pub(super) fn sent(&mut self, event: &Send, head: &[u8], sinks: Sinks<'_, '_>) -> io::Result<()> {
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        self.seen_in(tid, pid, Task::new(event.task));
        let served = || self.threads.served_by(pid, Task::new(event.task));
        let owner = || self.threads.owner(tid);
        let operation = self.connections.sent(event, head, served, owner);
        self.did(&event.header, event.tgid, event.task, operation.as_ref());
        if let Some(turn) = self.connections.answered_too_late(ConnId(event.conn)) {
            self.finish_turn(turn, sinks)?;
        }
        Ok(())
    }

    /// A thread finished a call on a socket. Also where that was no operation of a request, it was in its task.
    fn did(&mut self, header: &Header, tgid: u32, task: u64, operation: Option<&Operation>) {
        match operation {
            Some(operation) => {
                let told = self
                    .threads
                    .operated(Tid(header.tid), Pid(tgid), header.cpu, operation);
                for (request, tid) in operation
                    .request
                    .iter()
                    .flat_map(|&id| told.iter().map(move |&tid| (id, tid)))
                {
                    self.connections.touched(request, tid);
                }
            }
            None => self.seen(header, tgid, task),
        }
    }

    /// What a thread was seen in tells of garbage collection, too.
    pub(super) fn collects(&mut self, header: &Header, tgid: u32, task: u64) {
        self.go.seen(Pid(tgid), Tid(header.tid), header.at_ns, task);
    }

    /// A thread was seen running, in this task.
    pub(super) fn seen(&mut self, header: &Header, tgid: u32, task: u64) {
        let (tid, pid) = (Tid(header.tid), Pid(tgid));
        self.threads
            .seen(tid, pid, header.cpu, header.at_ns, Task::new(task));
    }

    pub(super) fn connection_changed(&mut self, event: &Connection, sinks: Sinks<'_, '_>) -> io::Result<()> {
        if event.new_state == tcp::LISTEN {
            self.serving.heard(event.local_port);
        }
        let tid = Tid(event.header.tid);
        if event.flags & flags::ACCEPTED != 0 {
            self.threads.accepted(tid);
        }
        let owner = self.threads.owner(tid);
        if let Some(turn) = self.connections.changed(event, owner) {
            self.finish_turn(turn, sinks)?;
        }
        if event.new_state == tcp::CLOSE {
            let conn = ConnId(event.conn);
            self.connections.closed(conn);
            self.settled.take(conn);
            self.begun.remove(conn);
        }
        Ok(())
    }
}
