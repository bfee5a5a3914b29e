//! For which request each runtime task works, as far as its socket operations and its waker tell.

use rustc_hash::FxHashMap;

use super::state::Owner;
use crate::model::id::{RequestId, Task};

/// Tasks that are remembered; of those not seen for longest, up to half are forgotten for others. A connection is one.
const MAX_TASKS: usize = 32_768;

/// What is known of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    /// For which request it works.
    request: RequestId,
    /// It received from or sent to the request's client. Otherwise it began to run for the request, by the order of
    /// events.
    by_identity: bool,
    /// The last that it did on the client's connection was to send: what follows may already be for another request.
    answered: bool,
}

/// The tasks of all watched processes.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Those seen lately.
    recent: FxHashMap<(u32, u64), Work>,
    /// Those seen before.
    older: FxHashMap<(u32, u64), Work>,
    /// By process.
    ids: FxHashMap<u32, Ids>,
}

/// What is known of the ids of a process's tasks. A runtime counts them up.
#[derive(Clone, Copy, Debug, Default)]
struct Ids {
    /// The newest that was seen.
    newest: u64,
    /// The oldest that served a client.
    oldest_server: Option<u64>,
}

impl Tasks {
    fn get(&self, pid: u32, id: u64) -> Option<Work> {
        let found = self.recent.get(&(pid, id));
        found.or_else(|| self.older.get(&(pid, id))).copied()
    }

    fn remember(&mut self, pid: u32, id: u64, work: Work) {
        if self.recent.len() >= MAX_TASKS / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert((pid, id), work);
    }

    /// The request that a task of process `pid` serves by its own socket operations.
    pub(super) fn serves(&self, pid: u32, task: Task) -> Option<RequestId> {
        let work = self.get(pid, task.id()?)?;
        work.by_identity.then_some(work.request)
    }

    /// Whether a task of process `pid` answered the request that it served.
    pub(super) fn has_answered(&self, pid: u32, task: Task) -> bool {
        task.id()
            .and_then(|id| self.get(pid, id))
            .is_some_and(|work| work.answered)
    }

    /// A task read a request or answered it.
    pub(super) fn took(&mut self, pid: u32, task: Task, request: RequestId, answered: bool) {
        let Some(id) = task.id() else { return };
        let work = Work {
            request,
            by_identity: true,
            answered,
        };
        if self.recent.get(&(pid, id)) == Some(&work) {
            return;
        }
        let ids = self.ids.entry(pid).or_default();
        ids.newest = ids.newest.max(id);
        ids.oldest_server = Some(ids.oldest_server.map_or(id, |oldest| oldest.min(id)));
        self.remember(pid, id, work);
    }

    /// For whom a thread works that is seen in `task` and worked for `owner` before; `sent` tells whether that request
    /// was answered.
    pub(super) fn owner(&mut self, pid: u32, task: Task, owner: Owner, sent: bool) -> Owner {
        let Some(id) = task.id() else {
            return owner;
        };
        let newest = self.is_newest(pid, id);
        let request = match (self.get(pid, id), owner) {
            (Some(work), _) if work.by_identity => return Owner::Request(work.request),
            // Also one that works for many in turn, such as that of a connection to a peer.
            (_, Owner::WokenFor(request)) => request,
            (Some(work), _) => work.request,
            // It was begun lately, and runs where a request ran just before that is not answered.
            (None, Owner::Request(request)) if newest && !sent => request,
            (None, _) => return Owner::Nobody,
        };
        self.remember(
            pid,
            id,
            Work {
                request,
                by_identity: false,
                answered: false,
            },
        );
        Owner::WokenFor(request)
    }

    /// Whether a task was begun before all that were seen serving clients.
    pub(super) fn is_older_than_servers(&self, pid: u32, task: Task) -> bool {
        let oldest = self.ids.get(&pid).and_then(|ids| ids.oldest_server);
        task.id()
            .is_some_and(|id| oldest.is_none_or(|oldest| id < oldest))
    }

    /// Whether no newer task of the process was seen yet.
    fn is_newest(&mut self, pid: u32, id: u64) -> bool {
        let ids = self.ids.entry(pid).or_default();
        let is = id > ids.newest;
        ids.newest = ids.newest.max(id);
        is
    }

    /// Process `pid` became another program, or ended: its ids begin anew.
    pub(super) fn forget_process(&mut self, pid: u32) {
        self.recent.retain(|&(of, _), _| of != pid);
        self.older.retain(|&(of, _), _| of != pid);
        self.ids.remove(&pid);
    }
}
