//! Hands polls on, where they are recorded: to the threads that turn to tasks by them, and to the summary. And the same
//! of goroutines.

use observer_common::{PollEnd, PollStart, Readied};

use super::Pipeline;
use crate::connections::Connections;
use crate::model::id::{Pid, Task, Tid};
use crate::model::poll::Poll;
use crate::model::report::LongPoll;
use crate::summary::without_query;
use crate::threads::Threads;

impl Pipeline {
    pub(super) fn seen_in(&mut self, tid: Tid, pid: Pid, task: Task) {
        if let Some(polls) = &mut self.polls {
            polls.seen_in(tid, pid, task);
        }
    }

    pub(super) fn poll_started(&mut self, event: &PollStart) {
        let pid = Pid(event.tgid);
        if self.threads.runtime(pid).go_version().is_some() {
            self.probes_of_go.hit();
            if let Some(request) = self.threads.runs_goroutine(event) {
                self.connections.touched(request, Tid(event.header.tid));
            }
            return;
        }
        let Some(polls) = &mut self.polls else { return };
        let (header, task) = (&event.header, polls.started(event));
        if event.queued_ns != 0 {
            self.threads.polled(event);
        }
        self.threads
            .turned_to(Tid(header.tid), pid, header.cpu, header.at_ns, task);
    }

    pub(super) fn readied(&mut self, event: &Readied) {
        self.probes_of_go.hit();
        self.threads.readied(event);
    }

    pub(super) fn poll_ended(&mut self, event: &PollEnd) {
        let Some(polls) = &mut self.polls else { return };
        let header = &event.header;
        let (tid, pid) = (Tid(header.tid), Pid(event.tgid));
        let ended = polls.ended(event);
        let outer = polls.task(tid, pid);
        if let Some(poll) = ended {
            let name = || long_poll(&poll, &self.threads, &self.connections, self.unix_offset_ns);
            self.summary.poll(&poll, name);
        }
        self.threads.turned_to(tid, pid, header.cpu, header.at_ns, outer);
    }
}

/// What is said of a long poll.
fn long_poll(poll: &Poll, threads: &Threads, connections: &Connections, unix_offset_ns: u64) -> LongPoll {
    let end_ns = poll.start_ns.saturating_add(poll.dur_ns);
    // At its end a poll may have begun with the connection's next request.
    let request = threads
        .get(poll.tid)
        .and_then(|thread| thread.did_most_for(poll.start_ns, end_ns));
    let name = request.and_then(|id| connections.get(id.conn)?.name(id.nth));
    LongPoll {
        pid: poll.pid,
        tid: poll.tid,
        task: poll.task.id(),
        start_unix_ns: poll.start_ns.saturating_add(unix_offset_ns),
        dur_ns: poll.dur_ns,
        request: name.as_deref().map(|name| without_query(name).to_owned()),
    }
}
