//! Threads that serve requests as servers do: one takes a request up, goes on with it, and answers it.

use observer_common::conn;
use syscalls::Sysno;

use super::scheduler::{Activity, call};
use super::{Machine, pick};

/// In this variant a thread does something in the task in which it is.
const fn in_its_task(how: u8) -> u8 {
    how & 0xf0 | 3
}

impl Machine {
    /// A thread goes on with its request, or another takes one up and goes on with that; mostly until the answer.
    pub(super) fn serve(&mut self, who: u8, how: u8) {
        let is_at_work = |index: &usize| {
            let at_work = self.threads[*index].at_work;
            at_work.is_some_and(|at_work| self.is_open(at_work.request))
        };
        let at_work: Vec<_> = (0..self.threads.len()).filter(is_at_work).collect();
        let goes_on = pick(&at_work, who).filter(|_| how & 8 != 0);
        let Some(index) = goes_on.or_else(|| self.take_up(who, how)) else {
            return;
        };
        for bit in 0..2 {
            let how = how.rotate_right(bit);
            if how & 1 != 0 && self.gets_cpu(index, how) {
                self.go_on(index, who, how.rotate_left(3));
            }
        }
        if let Some(at_work) = self.threads[index].at_work
            && how & 4 != 0
            && self.gets_cpu(index, how)
        {
            self.sends(index, at_work.request.conn, in_its_task(how));
        }
    }

    /// Time passes.
    fn passes(&mut self, how: u8) {
        self.now_ns += 1 + u64::from(how) * 997;
    }

    /// Bytes arrive, and a thread that works for nobody reads them.
    fn take_up(&mut self, who: u8, how: u8) -> Option<usize> {
        self.bytes_arrive(who, how);
        let slot = usize::from(who) % self.inbound.len();
        let cookie = self.inbound[slot]?.cookie;
        let is_free = |index: &usize| {
            let thread = &self.threads[*index];
            thread.at_work.is_none() && thread.activity != Activity::Ended
        };
        let free: Vec<_> = (0..self.threads.len()).filter(is_free).collect();
        let index = pick(&free, who / 3)?;
        self.passes(how);
        if self.threads[index].activity == Activity::Blocked {
            self.wakes(index, how, None, cookie);
            self.passes(how.rotate_left(1));
        }
        if !self.gets_cpu(index, how) {
            return None;
        }
        if how & 2 != 0 {
            self.accept(who, how);
        }
        self.receives(index, cookie, how.rotate_left(2));
        self.passes(how.rotate_left(3));
        Some(index)
    }

    /// A thread is woken, if need be, and gets a CPU.
    fn gets_cpu(&mut self, index: usize, how: u8) -> bool {
        if self.threads[index].activity == Activity::Blocked {
            let by = [None, Some(Sysno::write as i32)][usize::from(how / 2 % 2)];
            self.wakes(index, how, by, conn::NONE);
            self.passes(how);
        }
        if self.threads[index].activity == Activity::Runnable {
            self.runs(index, how);
            self.passes(how.rotate_left(1));
        }
        matches!(self.threads[index].activity, Activity::Running { .. })
    }

    /// A running thread does something for its request.
    fn go_on(&mut self, index: usize, who: u8, how: u8) {
        match how % 4 {
            0 => self.leave(index, Activity::Blocked, call(8 + how / 4 % 4), how),
            1 => self.leave(index, Activity::Runnable, (-1, [0; 4], 0), how),
            2 => self.is_seen(index, self.threads[index].task),
            _ => self.ask(index, who, how),
        }
        self.passes(how.rotate_left(1));
    }

    /// A running thread asks a peer for its request, on a connection that is not in use.
    fn ask(&mut self, index: usize, who: u8, how: u8) {
        let Some(at_work) = self.threads[index].at_work else {
            return;
        };
        let peers = self.outbound.iter().flatten().map(|socket| socket.cookie);
        let is_free = |cookie: &u64| self.is_free_for(*cookie, at_work.request);
        let Some(peer) = pick(&peers.filter(is_free).collect::<Vec<_>>(), who) else {
            return self.connects(index, how);
        };
        self.sends(index, peer, in_its_task(how));
        self.passes(how);
        if how & 32 != 0 {
            self.ready(peer, who, how);
            self.receives(index, peer, in_its_task(how));
        }
    }
}
