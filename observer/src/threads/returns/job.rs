//! A job that an event loop gave to a thread, and what is seen of whose it is.

use std::sync::Arc;

use crate::model::id::{RequestId, Tid};

/// Jobs of one request, one after the other, that are remembered.
pub(super) const MAX_IN_ROW: usize = 32;

/// A job that is not over.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) from_ns: u64,
    /// How it was given to the thread, if that had nothing to do before.
    pub(super) given: Option<Given>,
}

/// How a loop gave a job.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) by: Tid,
    /// What it had in hand since.
    pub(super) in_hand: Vec<RequestId>,
    /// The job that had woken it.
    pub(super) after: Option<Arc<Job>>,
    /// It had more in hand, or there were more jobs before, than is remembered.
    pub(super) is_cut: bool,
}

/// A job that is over.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) interval: JobOf,
    pub(super) given: Option<Given>,
}

/// What a thread did for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct JobOf {
    pub(in super::super) tid: Tid,
    pub(in super::super) from_ns: u64,
    pub(in super::super) to_ns: u64,
}

impl Job {
    /// The jobs of a request of which this is the last, the last first, if the loop had read it when it gave the first.
    pub(super) fn of(&self, request: RequestId) -> Option<Vec<JobOf>> {
        let (mut jobs, mut job) = (vec![self.interval], self);
        loop {
            let given = job.given.as_ref()?;
            if given.in_hand.contains(&request) {
                return Some(jobs);
            }
            job = given.after.as_deref().filter(|_| jobs.len() < MAX_IN_ROW)?;
            jobs.push(job.interval);
        }
    }

    /// Whether its loop had but one request in hand when it gave it.
    pub(super) fn can_be_of_no_other(&self) -> bool {
        let is_only = |given: &Given| given.in_hand.len() == 1 && given.after.is_none() && !given.is_cut;
        self.given.as_ref().is_some_and(is_only)
    }

    /// Whether nothing contradicts that it was a request's that was read before `awake_ns`: the loop had read that by
    /// the time at which the thread began.
    pub(super) fn may_be_of(&self, read_ns: u64) -> bool {
        read_ns <= self.interval.from_ns
    }

    /// Whether it can have been given for a request that its loop had in hand and is not remembered to have had.
    pub(super) fn may_be_of_forgotten(&self, request: RequestId, read_ns: Option<u64>) -> bool {
        self.is_cut() && read_ns.is_none_or(|read_ns| self.may_be_of(read_ns)) && self.of(request).is_none()
    }

    /// The same, without what came before: a row of jobs has an end.
    pub(super) fn without_row(&self) -> Self {
        let given = self.given.as_ref().map(|given| Given {
            after: None,
            is_cut: true,
            ..given.clone()
        });
        Self { given, ..*self }
    }

    pub(super) fn row(&self) -> usize {
        1 + self.before().map_or(0, Self::row)
    }

    /// Whether it can be one of a request that is not remembered.
    pub(super) fn is_cut(&self) -> bool {
        let is_cut = self.given.as_ref().is_some_and(|given| given.is_cut);
        is_cut || self.before().is_some_and(Self::is_cut)
    }

    /// The job that had woken the loop that gave it.
    fn before(&self) -> Option<&Self> {
        self.given.as_ref()?.after.as_deref()
    }
}
