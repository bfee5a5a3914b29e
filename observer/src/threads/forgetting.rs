//! What is forgotten of what threads did, so that all of it together stays bounded; and for which requests they had run
//! by then.
//!
//! A thousand threads together must not be remembered as well as one: of all threads the oldest is forgotten, up to the
//! same time.

use rustc_hash::FxHashMap;

use super::state::Owner;
use super::{MAX_THINNED, SLICES_AN_EVENT, SliceLimit, Threads};
use crate::model::id::{RequestId, Tid};

/// Where an interval ended in which a thread ran for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When, ns.
    pub end_ns: u64,
    /// The thread.
    pub tid: Tid,
}

/// Where threads have many slices, one of so many is looked at: all those before it are older.
const STEP: usize = 16;

/// What is about to be forgotten.
#[derive(Debug)]
pub struct ToForget {
    /// All that had ended by then, ns.
    pub until_ns: u64,
    /// When slices ended, ns, in no order: each one, or of many the last of [`STEP`] of a thread.
    ends_ns: Vec<u64>,
    /// How many of these are forgotten.
    count: usize,
}

impl ToForget {
    /// About as long after what is forgotten, ns: what will not be judged anew, because it is not new either.
    pub fn settled_ns(&mut self) -> u64 {
        let settled = (2 * self.count).min(self.ends_ns.len());
        *self.ends_ns.select_nth_unstable(settled - 1).1
    }
}

impl Threads {
    /// Whether one more event can be too much to remember.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.slices_at_most + SLICES_AN_EVENT > self.slice_limit.0
    }

    /// Counts the slices of all threads, and says what is to be forgotten if they are many: a quarter of what may be
    /// kept.
    pub fn to_forget(&mut self) -> Option<ToForget> {
        let SliceLimit(most) = self.slice_limit;
        let all = || self.threads.values().chain(self.ended.iter());
        let slices = all().map(|thread| thread.ends().len()).sum();
        // Nearly full is enough: from there on each event would be a reason to count again.
        if slices + SLICES_AN_EVENT.max(most / 16) <= most {
            self.slices_at_most = slices;
            return None;
        }
        let kept = most / 4 * 3;
        self.slices_at_most = slices.min(kept);
        let count = slices.checked_sub(kept).filter(|&count| count > 0)?;
        // Of each thread up to a step may be forgotten beside these.
        let step = if all().count() * STEP < kept / 8 { STEP } else { 1 };
        let mut ends_ns: Vec<u64> = Vec::with_capacity(slices / step);
        all().for_each(|thread| ends_ns.extend(thread.ends().skip(step - 1).step_by(step)));
        let count = count.div_ceil(step);
        Some(ToForget {
            until_ns: *ends_ns.select_nth_unstable(count - 1).1,
            ends_ns,
            count,
        })
    }

    /// Where threads had run last by `at_ns` for each request that is `wanted`, as far as it is known for certain.
    #[must_use]
    pub fn last_runs(&self, at_ns: u64, wanted: impl Fn(RequestId) -> bool) -> FxHashMap<RequestId, LastRun> {
        let mut runs: FxHashMap<RequestId, LastRun> = FxHashMap::default();
        let all = self.threads.iter().map(|(&tid, thread)| (tid, thread));
        for (tid, thread) in all.chain(self.ended.with_ids()) {
            let mut later = None;
            for run in thread.runs_from(at_ns) {
                let Owner::Request(id) = run.owner else {
                    continue;
                };
                if later.replace(id) == Some(id) || !wanted(id) {
                    continue;
                }
                let run = LastRun {
                    end_ns: run.to_ns.min(at_ns),
                    tid,
                };
                let last = runs.entry(id).or_insert(run);
                if last.end_ns < run.end_ns || last.end_ns == run.end_ns && last.tid < run.tid {
                    *last = run;
                }
            }
        }
        runs
    }

    /// Forgets what had ended by then, of all threads.
    pub fn forget(&mut self, until_ns: u64) {
        self.locks.forget_until(until_ns);
        let all = self.threads.values_mut().chain(self.ended.iter_mut());
        let mut thinned: Vec<_> = all
            .filter_map(|thread| {
                let past = &mut thread.facts.past;
                past.forget_until(until_ns);
                Some(&mut past.thinned).filter(|thinned| thinned.len() > 0)
            })
            .collect();
        let each = MAX_THINNED / thinned.len().max(1);
        thinned.iter_mut().for_each(|thinned| thinned.merge_down_to(each));
    }
}
