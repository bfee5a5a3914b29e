//! What an event loop did since it was woken.

use std::sync::Arc;

use super::job::Job;
use super::{MAX_ENDED, MAX_IN_HAND};
use crate::model::id::RequestId;
use crate::newest::Newest;

#[derive(Debug, Default)]
pub(super) struct Loop {
    /// When it was woken, ns; 0 while it waits.
    pub(super) awake_ns: u64,
    /// The job that ended then, and woke it.
    pub(super) woken_by: Option<Arc<Job>>,
    /// Of what it has read something since, or answered.
    pub(super) in_hand: Newest<RequestId, MAX_IN_HAND>,
    /// It had more in hand than is remembered.
    pub(super) is_cut: bool,
    /// It did something since that can have made another request go on: it gave a job, a peer answered, or a request
    /// went on.
    pub(super) is_otherwise: bool,
    /// When the first timer is due for which it waited, if it waited for one, ns.
    pub(super) due_ns: Option<u64>,
    pub(super) claims: Claims,
}

impl Loop {
    /// It has something of this request in hand. Tells whether it had so before.
    pub(super) fn has(&mut self, request: RequestId) -> bool {
        let had = self.in_hand.contains(&request);
        if !had {
            self.is_cut |= self.in_hand.push(request).is_some();
        }
        had
    }
}

/// Of each request that it has answered and that any of several jobs can have made go on, those jobs: one of them was
/// that request's.
#[derive(Debug, Default)]
pub(super) struct Claims(Newest<Vec<Arc<Job>>, MAX_ENDED>);

impl Claims {
    /// A request was answered, and one of these jobs was its.
    pub(super) fn push(&mut self, jobs: Vec<Arc<Job>>) {
        if !jobs.is_empty() {
            self.0.push(jobs);
        }
    }

    /// Whether some may be forgotten.
    pub(super) fn is_cut(&self) -> bool {
        self.0.is_full()
    }

    /// Whether no other job is left that can have been one of these requests'.
    pub(super) fn need(&self, job: &Arc<Job>) -> bool {
        let is_only = |jobs: &Vec<Arc<Job>>| matches!(&jobs[..], [only] if Arc::ptr_eq(only, job));
        self.0.iter().any(is_only)
    }

    /// For whom this job was is told.
    pub(super) fn told(&mut self, job: &Arc<Job>) {
        self.0.retain(|jobs| {
            jobs.retain(|other| !Arc::ptr_eq(other, job));
            !jobs.is_empty()
        });
    }
}
