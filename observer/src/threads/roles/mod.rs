//! What each thread of a program is to it, told by what it does: which accept, which wait for events, which are of a
//! pool and who feeds it, which keep a connection each. What a thread is called says nothing.
//!
//! Each thread has counts of what it did (`deeds`); once a window a pure function (`rule`) says what it is by these,
//! and where too little was seen, or it fits nothing, what it was before or nothing. The threads of a process are put
//! together by what they are (`cast`), so that ten thousand of them are a few lines.
//!
//! Where a runtime runs tasks on threads these take turns at everything: there nothing is told here, but by the room of
//! the runtime.

mod cast;
mod deeds;
mod giver;
mod pools;
mod rule;

pub(super) use self::cast::Casts;
pub(super) use self::deeds::Deeds;

use super::Threads;
use super::state::Block;
use crate::model::id::{Pid, Tid};
use crate::syscall;

impl Threads {
    /// A wait of thread `tid` of process `pid` is over, which took this long.
    pub(super) fn wait_is_over(&mut self, pid: Pid, tid: Tid, waited_ns: u64, block: &Block) {
        let by = block.handed_off_by().filter(|by| by.pid == pid);
        let mut no_work = false;
        if let Some(waker) = by.and_then(|by| self.threads.get_mut(&by.tid)) {
            // By its first wakeup a new thread tells the one that began it that it runs.
            let was_begun = waker.started_by().is_some_and(|(by, _)| by == tid);
            let tells_that_it_runs = was_begun && waker.deeds.wakes_who_began_it();
            no_work = tells_that_it_runs || waker.deeds.waits_too(block);
            if syscall::waits_for_events(block.syscall) {
                waker.deeds.wakes_loop();
            }
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.deeds.waited(pid, waited_ns, block, no_work);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::{Header, SwitchOut, Waking};

    use super::*;

    const PID: Pid = Pid(1);
    const TID: Tid = Tid(2);

    fn header(tid: Tid, at_ns: u64) -> Header {
        Header {
            at_ns,
            tid: tid.0,
            ..Header::zeroed()
        }
    }

    /// How often `waker` gave the thread something to do, which waits until it is woken by it.
    fn times_given(threads: &mut Threads, waker: Tid) -> u32 {
        threads.switch_out(&SwitchOut {
            header: header(TID, 1_000),
            tgid: PID.0,
            state: 1,
            syscall: libc::SYS_futex as i32,
            ..SwitchOut::zeroed()
        });
        threads.woken(&Waking {
            header: header(TID, 2_000),
            tgid: PID.0,
            waker_tid: waker.0,
            waker_tgid: PID.0,
            waker_syscall: libc::SYS_futex as i32,
            ..Waking::zeroed()
        });
        let givers = threads.get(TID).unwrap().deeds.givers(&[]);
        givers
            .filter(|giver| giver.by == waker)
            .map(giver::Giver::times)
            .sum()
    }

    #[test]
    fn a_new_thread_gives_the_one_that_began_it_nothing_to_do_when_it_wakes_it_first() {
        let mut threads = Threads::default();
        let (begun, other) = (Tid(3), Tid(4));
        threads.started(&header(TID, 100), PID, begun, "begun");
        threads.started(&header(begun, 100), PID, other, "other");
        assert_eq!(times_given(&mut threads, begun), 0);
        assert_eq!(times_given(&mut threads, begun), 1);
        assert_eq!(times_given(&mut threads, other), 1);
    }
}
