//! Where a thread waits for its events.

use observer_common::{SwitchOut, flags};

use super::judgement::{EventWait, OwnLoop};
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

impl EventLoop {
    /// It, beside a wait for events at `fd`.
    fn beside(self, fd: u32) -> OwnLoop {
        match self {
            Self { fd: own, .. } if own == fd => OwnLoop::NotElsewhere,
            Self {
                waits: KNOWN_WAITS.., ..
            } => OwnLoop::KnownElsewhere,
            Self { .. } => OwnLoop::Elsewhere,
        }
    }
}

impl Thread {
    /// Whether it waits for events in the middle of its work. Otherwise it is where its event loop is, if it has one.
    pub(super) fn waits_at_work(&mut self, event: &SwitchOut) -> bool {
        let polls_few = event.flags & flags::POLLS_FEW != 0;
        let loops = syscall::waits_for_events(event.syscall);
        if !polls_few && !loops {
            return false;
        }
        let fd = event.args[0] as u32;
        let at_work = self.belief.waits_at_work(EventWait {
            polls_few,
            in_task: self.in_runtime.task(Task::new(event.task)).id().is_some(),
            own: self
                .event_loop
                .map_or(OwnLoop::NotElsewhere, |own| own.beside(fd)),
        });
        if loops && !at_work {
            self.loops_at(fd);
        }
        at_work
    }

    /// It waits at this `epoll` for its events.
    fn loops_at(&mut self, fd: u32) {
        let before = self.event_loop.filter(|own| own.fd == fd);
        let waits = before.map_or(0, |own| own.waits);
        self.event_loop = Some(EventLoop {
            fd,
            waits: waits.saturating_add(1),
        });
    }
}
