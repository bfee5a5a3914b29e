//! What a hypervisor takes.

use observer_common::{Kind, Stolen};

use super::Machine;

/// When the kernel half looked last at what had been taken of a CPU.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// For this thread; 0 where it has not seen one get the CPU.
    tid: u32,
    at_ns: u64,
}

impl Machine {
    /// A thread gets a CPU.
    pub(super) fn begin_to_look(&mut self, tid: u32, cpu: usize) {
        self.looks[cpu] = Look {
            tid,
            at_ns: self.now_ns,
        };
    }

    /// The kernel half looks, while a thread runs, at what was taken: some or all of the time since the last look.
    pub(super) fn steal(&mut self, who: u8, how: u8) {
        let Some((_, thread, cpu)) = self.running(who) else {
            return;
        };
        let Look { tid, at_ns: from_ns } = self.looks[cpu];
        if tid != thread.tid {
            return;
        }
        let to_ns = self.now_ns.max(from_ns + 1);
        let event = Stolen {
            header: self.header(Kind::Stolen, tid, cpu),
            tgid: thread.pid,
            reserved: 0,
            from_ns,
            to_ns,
            stolen_ns: ((to_ns - from_ns) * u64::from(how) / 200).clamp(1, to_ns - from_ns),
        };
        self.record(&event);
        self.looks[cpu].at_ns = to_ns;
    }
}
