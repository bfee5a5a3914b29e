//! Where a thread waits for its events, and whether it waits elsewhere in the middle of its work.

use observer_common::{SwitchOut, flags};

use super::thread::Thread;
use crate::model::id::Task;
use crate::syscall;

/// A thread that has waited so often at one `epoll` has its event loop there.
const KNOWN_WAITS: u8 = 16;

/// Where a thread waits for its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventLoop {
    /// Descriptor of the `epoll`.
    pub(super) fd: u32,
    /// Waits there since it waited at another one.
    waits: u8,
}

impl Thread {
    /// Whether it waits at another `epoll` than its own with a request in hand: for what a call of that one's handler
    /// does, such as Node's `execSync`, in a loop of its own.
    pub(super) fn waits_in_another_loop(&mut self, event: &SwitchOut) -> bool {
        if !syscall::waits_for_events(event.syscall) {
            return false;
        }
        let fd = event.args[0] as u32;
        match &mut self.event_loop {
            Some(own) if own.fd == fd => {
                own.waits = own.waits.saturating_add(1);
                false
            }
            Some(own) if own.waits >= KNOWN_WAITS && self.belief.works_for().is_some() => true,
            other => {
                *other = Some(EventLoop { fd, waits: 1 });
                false
            }
        }
    }

    /// Whether it waits in poll(2) for a descriptor or two in the middle of its work: in a task, or where it waits for
    /// its events with `epoll` otherwise. Without either, `poll` is its event loop's own wait.
    pub(super) fn polls_instead(&self, event: &SwitchOut) -> bool {
        let in_task = || self.in_runtime.task(Task::new(event.task)).id().is_some();
        let loops_elsewhere = || {
            self.event_loop
                .is_some_and(|own| u64::from(own.fd) != event.args[0])
        };
        event.flags & flags::POLLS_FEW != 0 && (in_task() || loops_elsewhere())
    }
}
