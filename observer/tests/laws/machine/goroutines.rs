//! Goroutines that make each other ready, and threads that turn to them.

use std::collections::HashMap;

use observer::event;
use observer::model::id::Pid;
use observer_common::{Kind, PollStart, Readied};

use super::{Machine, PIDS};

/// Since when a goroutine is ready, ns, and which thread made it so.
pub(super) type Ready = HashMap<u64, (u64, u32)>;

/// Goroutines, which can be those of connections.
const GOROUTINES: u64 = 8;

fn goroutine(how: u8) -> u64 {
    1_000 + u64::from(how) % GOROUTINES
}

impl Machine {
    /// The first process runs Go.
    pub(super) fn run_go(&mut self) {
        let at_ns = self.at_ns();
        self.record(&event::Runtime {
            task_ids: 1,
            ..event::Runtime::new(at_ns, Pid(PIDS[0]), "go", "go1.26.8", "")
        });
        self.ready = Some(Ready::new());
    }

    /// A thread makes a goroutine ready.
    pub(super) fn make_ready(&mut self, who: u8, how: u8) {
        let Some((index, thread, cpu)) = self.running(who).filter(|(_, thread, _)| thread.pid == PIDS[0])
        else {
            return;
        };
        if self.ready.is_none() {
            return;
        }
        let event = Readied {
            header: self.header(Kind::Readied, thread.tid, cpu),
            tgid: thread.pid,
            reserved: 0,
            task: thread.task,
            readied: goroutine(how),
        };
        self.record(&event);
        self.is_at_it(index);
        let made = (event.header.at_ns, thread.tid);
        self.ready.get_or_insert_default().insert(event.readied, made);
    }

    /// A thread begins to run a goroutine.
    pub(super) fn turn_to_goroutine(&mut self, who: u8, how: u8) {
        let Some((index, thread, cpu)) = self.running(who).filter(|(_, thread, _)| thread.pid == PIDS[0])
        else {
            return;
        };
        let Some(ready) = &mut self.ready else { return };
        let task = goroutine(how);
        let (queued_ns, queued_by) = ready.remove(&task).unwrap_or_default();
        let event = PollStart {
            header: self.header(Kind::PollStart, thread.tid, cpu),
            tgid: thread.pid,
            queued_by,
            frame: u64::from(how % 3),
            task,
            queued_ns,
        };
        self.record(&event);
        self.turns_away(index);
        self.threads[index].task = task;
    }
}
