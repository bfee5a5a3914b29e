//! What happens on connections, handed on to them and to the threads that do it.

use std::io;

use observer_common::{Connection, Receive, Send, Waking, tcp};

use super::Pipeline;
use crate::model::id::{ConnId, Pid, Task, Tid};
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
        if let Some(operation) = operation {
            self.threads.operated(tid, pid, event.header.cpu, &operation);
        }
        Ok(())
    }

    pub(super) fn sent(&mut self, event: &Send, head: &[u8], sinks: Sinks<'_, '_>) -> io::Result<()> {
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        self.seen_in(tid, pid, Task::new(event.task));
        let served = || self.threads.served_by(pid, Task::new(event.task));
        let owner = || self.threads.owner(tid);
        if let Some(operation) = self.connections.sent(event, head, served, owner) {
            self.threads.operated(tid, pid, event.header.cpu, &operation);
        }
        if let Some(turn) = self.connections.answered_too_late(ConnId(event.conn)) {
            self.finish_turn(turn, sinks)?;
        }
        Ok(())
    }

    pub(super) fn connection_changed(&mut self, event: &Connection, sinks: Sinks<'_, '_>) -> io::Result<()> {
        if event.new_state == tcp::LISTEN {
            self.serving.heard(event.local_port);
        }
        let owner = self.threads.owner(Tid(event.header.tid));
        if let Some(turn) = self.connections.changed(event, owner) {
            self.finish_turn(turn, sinks)?;
        }
        if event.new_state == tcp::CLOSE {
            let conn = ConnId(event.conn);
            self.connections.closed(conn);
            self.settled.take(conn);
        }
        Ok(())
    }
}
