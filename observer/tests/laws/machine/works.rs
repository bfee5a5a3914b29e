//! For whom the machine's threads really work: it says so as it acts, and where it does not, nobody knows.
//!
//! A thread works for a request from when it reads it. It is at that in one task, also while it waits in a call that is
//! no wait for work, and never does something else without a record: where the next one shows it elsewhere, what it did
//! since the one before is for nobody who is known.

use std::collections::HashMap;

use observer_common::task;

use super::Machine;
use super::network::UsedFor;

/// A request: its connection, and which it is on that, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Served {
    pub(crate) conn: u64,
    pub(crate) nth: u64,
}

/// An interval in which a thread worked for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) tid: u32,
    pub(crate) request: Served,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
}

/// All that the machine says of it.
#[derive(Debug, Default)]
pub(crate) struct Works {
    pub(crate) works: Vec<Work>,
    /// Method and path of the requests that have one.
    pub(crate) names: HashMap<Served, String>,
}

/// What a thread works for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtWork {
    pub(super) request: Served,
    from_ns: u64,
    /// The last record that shows it at that, ns.
    shown_ns: u64,
}

impl Machine {
    /// The last record shows a thread at its work.
    pub(super) fn is_at_it(&mut self, index: usize) {
        if let Some(at_work) = &mut self.threads[index].at_work {
            at_work.shown_ns = self.now_ns;
        }
    }

    /// A thread worked until the last record.
    pub(super) fn turns_away(&mut self, index: usize) {
        self.is_at_it(index);
        self.has_turned_away(index);
    }

    /// A thread has turned to something else since it was shown at its work.
    pub(super) fn has_turned_away(&mut self, index: usize) {
        let thread = &mut self.threads[index];
        if let Some(at_work) = thread.at_work.take()
            && at_work.from_ns < at_work.shown_ns
        {
            self.works.works.push(Work {
                tid: thread.tid,
                request: at_work.request,
                from_ns: at_work.from_ns,
                to_ns: at_work.shown_ns,
            });
        }
    }

    /// Those of the threads for which `who` holds may do anything.
    pub(super) fn have_turned_away(&mut self, who: impl Fn(&super::Thread) -> bool) {
        for index in 0..self.threads.len() {
            if who(&self.threads[index]) {
                self.has_turned_away(index);
            }
        }
    }

    /// Nobody else is known to work for a request.
    fn is_left_to(&mut self, index: usize, request: Served) {
        let tid = self.threads[index].tid;
        self.have_turned_away(|thread| {
            thread.tid != tid && thread.at_work.is_some_and(|at_work| at_work.request == request)
        });
    }

    fn takes_up(&mut self, index: usize, request: Served) {
        self.is_left_to(index, request);
        self.threads[index].at_work = Some(AtWork {
            request,
            from_ns: self.now_ns,
            shown_ns: self.now_ns,
        });
    }

    /// A thread read on a connection, in the task in which it was before or not, and took bytes in or not.
    pub(super) fn has_received(&mut self, index: usize, cookie: u64, same_task: bool, took_in: bool) {
        let Some(socket) = self.socket(cookie).copied() else {
            return;
        };
        let at = self.is_at(index, same_task);
        let outbound = super::is_outbound(cookie);
        let is_its = match (at, socket.used_for) {
            (Some(request), UsedFor::Request(by)) if outbound => request == by,
            (Some(request), _) => request == socket.request(),
            (None, _) => false,
        };
        if is_its {
            self.is_at_it(index);
        } else if outbound || !took_in {
            self.has_turned_away(index);
        } else {
            // To read is the first thing that is done for a request.
            self.turns_away(index);
            // In no task of a runtime, a task that is begun next is taken for the request's.
            if self.threads[index].task != task::NONE {
                self.takes_up(index, socket.request());
            }
        }
    }

    /// A thread wrote to a connection, and if that was an answer to a client, or part of one, it `answers`.
    pub(super) fn has_sent(&mut self, index: usize, cookie: u64, same_task: bool, answers: bool) {
        let Some(socket) = self.socket(cookie).copied() else {
            return;
        };
        if super::is_outbound(cookie) {
            self.has_asked(index, cookie, same_task);
            return;
        }
        let request = socket.request();
        match self.is_at(index, same_task) == Some(request) {
            // What follows may be for anybody.
            true if answers => self.turns_away(index),
            true => self.is_at_it(index),
            false => self.has_turned_away(index),
        }
        if answers {
            self.is_left_to(index, request);
        }
    }

    /// A thread asked a peer, on a connection that nobody else uses meanwhile, if it is known for whom.
    fn has_asked(&mut self, index: usize, cookie: u64, same_task: bool) {
        let at = self.is_at(index, same_task);
        let used_for = match at {
            Some(request) if self.is_free_for(cookie, request) => {
                self.is_at_it(index);
                UsedFor::Request(request)
            }
            _ => {
                self.has_turned_away(index);
                UsedFor::NotKnown
            }
        };
        if let Some(socket) = self.socket(cookie) {
            socket.used_for = used_for;
        }
    }

    /// Whether nobody else can be using a connection to a peer than this request.
    pub(super) fn is_free_for(&self, cookie: u64, request: Served) -> bool {
        let mut sockets = self.outbound.iter().flatten();
        let used_for = sockets
            .find(|socket| socket.cookie == cookie)
            .map(|socket| socket.used_for);
        match used_for {
            Some(UsedFor::Nobody) => true,
            Some(UsedFor::Request(by)) => by == request || self.is_answered(by),
            Some(UsedFor::NotKnown) | None => false,
        }
    }

    /// The request that a thread works for, if it is still in the task in which it does.
    fn is_at(&self, index: usize, same_task: bool) -> Option<Served> {
        let at_work = self.threads[index].at_work.filter(|_| same_task);
        at_work.map(|at_work| at_work.request)
    }

    /// Whether a request can still be answered.
    pub(super) fn is_open(&self, request: Served) -> bool {
        let mut sockets = self.inbound.iter().flatten();
        sockets.any(|socket| socket.request() == request && !socket.answered)
    }

    /// Whether it was. Where its client has gone away instead, it may still be worked for.
    fn is_answered(&self, request: Served) -> bool {
        let mut sockets = self.inbound.iter().flatten();
        sockets
            .any(|socket| socket.cookie == request.conn && (socket.requests > request.nth || socket.answered))
    }
}
