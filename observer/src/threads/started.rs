//! Threads that were seen to be begun by others: they can run from then on, and work for whom the other did.

use observer_common::Header;

use super::judgement::Observation;
use super::state::{Began, State};
use super::{Thread, Threads};
use crate::model::id::{Pid, RequestId, Tid};

impl Threads {
    /// A thread started another, of its process or of a child, which works for whom it ran, until it says otherwise.
    /// Returns the request, if that is one.
    pub fn started(&mut self, by: &Header, pid: Pid, child_tid: Tid, comm: &str) -> Option<RequestId> {
        let parent = self.get(Tid(by.tid)).map(|thread| thread.belief);
        self.used_again(child_tid, by.at_ns);
        let (child, ..) = self.known(child_tid, pid)?;
        child.begins(by.at_ns, by.cpu, Tid(by.tid));
        child.comm = Some(comm.into());
        let begun = Observation::IsStarted(parent.unwrap_or_default());
        child.observe(by.at_ns, begun, Began::Plain, None);
        let works_for = child.belief.owner.request();
        self.fed.begins(pid, Tid(by.tid), by.at_ns);
        self.returns.begins(pid, Tid(by.tid), child_tid, by.at_ns);
        works_for
    }
}

impl Thread {
    /// The thread that began it, and when, ns, where that was seen.
    #[must_use]
    pub fn started_by(&self) -> Option<(Tid, u64)> {
        self.started_by
    }

    /// Thread `by` began it on `cpu`: from then on it can run.
    pub(super) fn begins(&mut self, at_ns: u64, cpu: u16, by: Tid) {
        self.started_by = Some((by, at_ns));
        // What its quota had kept waiting by then is not recorded: none of its first wait is charged to that.
        self.facts.throttled_ns = u64::MAX;
        self.close(at_ns, self.facts.state, State::runnable(cpu, false), None);
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::SwitchIn;

    use super::*;

    #[test]
    fn a_thread_that_was_begun_waits_for_a_cpu_until_it_has_one() {
        let mut threads = Threads::default();
        let header = |tid, at_ns| Header {
            at_ns,
            tid,
            ..Header::zeroed()
        };
        threads.started(&header(1, 100), Pid(1), Tid(2), "child");
        threads.switch_in(&SwitchIn {
            header: header(2, 150),
            tgid: 1,
            throttled_ns: 9_000_000,
            ..SwitchIn::zeroed()
        });
        let child = threads.get(Tid(2)).unwrap();
        assert_eq!(child.started_by(), Some((Tid(1), 100)));
        let waited = child.before(150).unwrap();
        assert_eq!((waited.from_ns, waited.to_ns), (100, 150));
        assert!(
            matches!(waited.state, State::Runnable { throttled_ns: 0, .. }),
            "{waited:?}"
        );
    }
}
