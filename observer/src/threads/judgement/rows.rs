//! What the rules of the judgement are written with.

use super::super::tasks::{TaskFacts, Work};
use super::{Before, Belief, Moment, Observation, Owner, Verdict, Waiting};
use crate::model::id::{ConnId, RequestId, Task};
use crate::runtime::Runtime;
use crate::syscall::Wait;

pub(super) const A: RequestId = RequestId {
    conn: ConnId(1),
    nth: 1,
};
pub(super) const B: RequestId = RequestId {
    conn: ConnId(2),
    nth: 1,
};
pub(super) const GO: Runtime = Runtime::Go { version: None };
pub(super) const PARK: Wait = Wait::Park { timeout: false };
pub(super) const IDLE: Wait = Wait::EventLoop { timeout_ms: None };
pub(super) const OWN: Task = Task::new(11);
pub(super) const OTHER: Task = Task::new(12);

/// The thread runs since 1 ms, and was seen in its task at 2 ms.
pub(super) const MOMENT: Moment = Moment {
    at_ns: 3_000_000,
    running_since_ns: Some(1_000_000),
    since_it_made_ready: false,
};
pub(super) const CONFIRMED_NS: u64 = 2_000_000;

/// Of a thread that works for this owner, in this task.
pub(super) fn believed(owner: Owner, task: Task) -> Belief {
    Belief {
        owner,
        answered: false,
        task,
        confirmed_ns: 0,
    }
}

/// The same, after it answered.
pub(super) fn answered(owner: Owner, task: Task) -> Belief {
    Belief {
        answered: true,
        ..believed(owner, task)
    }
}

/// The same, with what is more.
pub(super) fn confirmed(belief: Belief) -> Belief {
    Belief {
        confirmed_ns: CONFIRMED_NS,
        ..belief
    }
}

/// How a thread goes to wait in this task that reads requests and has no event loop.
pub(super) fn waits(wait: Wait, task: Task) -> Waiting {
    Waiting {
        wait,
        task,
        serves: true,
        loops: false,
        keeps: false,
    }
}

pub(super) fn works_for(request: RequestId, by_identity: bool) -> TaskFacts {
    TaskFacts {
        work: Some(Work {
            request,
            by_identity,
            answered: false,
        }),
        is_newest: false,
        runtime: Runtime::Tokio,
    }
}

pub(super) fn answered_last(request: RequestId) -> TaskFacts {
    TaskFacts {
        work: works_for(request, true).work.map(|work| Work {
            answered: true,
            ..work
        }),
        is_newest: false,
        runtime: Runtime::Tokio,
    }
}

/// The same of a goroutine.
pub(super) fn goroutine_answered_last(request: RequestId) -> TaskFacts {
    TaskFacts {
        runtime: GO,
        ..answered_last(request)
    }
}

pub(super) fn unknown(is_newest: bool) -> TaskFacts {
    TaskFacts {
        work: None,
        is_newest,
        runtime: Runtime::Tokio,
    }
}

pub(super) fn until_now(owner: Owner, task: Task) -> Before {
    Before {
        owner,
        task,
        splits_ns: None,
        claims: None,
        mixes_calls: false,
    }
}

/// And since it was idle, in this task.
pub(super) fn since_idle(owner: Owner, task: Task) -> Before {
    Before {
        claims: Some(task),
        ..until_now(owner, task)
    }
}

/// And before it was seen in its task last, what was believed then.
pub(super) fn since_seen(before: Before) -> Before {
    Before {
        splits_ns: Some(CONFIRMED_NS),
        ..before
    }
}

/// A rule: what is believed, what is observed, and the verdict: whose the time was, and what is believed then.
type Row<'a> = (&'a str, Belief, Observation<'a>, Option<Before>, Belief);

/// The rules hold, and of no task it is inferred for whom that works.
pub(super) fn holds(rows: &[Row<'_>]) {
    hold(rows, None);
}

/// The request for which a task is inferred to work.
pub(super) struct Inferring(pub(super) RequestId);

impl Inferring {
    /// The rules hold, and this is inferred.
    pub(super) fn holds(self, rows: &[Row<'_>]) {
        hold(rows, Some(self.0));
    }
}

fn hold(rows: &[Row<'_>], works_for: Option<RequestId>) {
    for &(rule, belief, observed, before, after) in rows {
        let verdict = belief.judge(MOMENT, observed);
        let Verdict {
            before: whose,
            after: believed,
            task_works_for,
        } = verdict;
        assert_eq!(
            (whose, believed, task_works_for),
            (before, after, works_for),
            "{rule}"
        );
    }
}
