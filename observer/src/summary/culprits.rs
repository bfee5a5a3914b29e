//! What the longest waits of requests waited for.
//!
//! Each different thing waited for gets a small number, so that the sums by latency bucket stay small. Both the
//! numbers and the sums of a bucket are bounded; what finds no room is not listed, and nothing is listed for
//! another.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::model::cause::Cause;
use crate::model::report::WaitedFor;
use crate::model::request::HeldBy;
use crate::model::request::LongestWait;

/// Different things waited for that are told apart in a run.
const MAX_KNOWN: usize = 1024;

/// Different things waited for that one bucket sums up.
const MAX_IN_BUCKET: usize = 16;

/// Functions that are told apart of one thing waited for.
const MAX_FUNCTIONS: usize = 16;

/// Things waited for that a band lists.
const LISTED: usize = 5;

/// Every different thing waited for, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    numbers: FxHashMap<u64, u16>,
    known: Vec<Rc<WaitedFor>>,
    /// For how long each was seen running which function, ns, in the order in which they were first seen.
    functions: Vec<Vec<(Arc<str>, u64)>>,
}

impl Known {
    /// The number of what `wait` waited for; `None` when there are too many.
    pub(super) fn number(&mut self, wait: &LongestWait) -> Option<u16> {
        let key = FxBuildHasher.hash_one(Key::of(wait));
        if let Some(&number) = self.numbers.get(&key) {
            self.seen_running(number, wait);
            return Some(number);
        }
        let number = u16::try_from(self.known.len())
            .ok()
            .filter(|&number| usize::from(number) < MAX_KNOWN)?;
        self.known.push(Rc::new(waited_for(wait)));
        self.functions.push(Vec::new());
        self.numbers.insert(key, number);
        self.seen_running(number, wait);
        Some(number)
    }

    /// A thread that was waited behind may do one thing now and another then: that does not make it two.
    fn seen_running(&mut self, number: u16, wait: &LongestWait) {
        let function = wait
            .culprit
            .as_ref()
            .and_then(|culprit| culprit.function.as_ref());
        let (Some(function), Some(functions)) = (function, self.functions.get_mut(usize::from(number)))
        else {
            return;
        };
        let seen_ns = wait.function_seen_ns;
        if let Some((_, sum_ns)) = functions.iter_mut().find(|(known, _)| known == function) {
            *sum_ns = sum_ns.saturating_add(seen_ns);
        } else if functions.len() < MAX_FUNCTIONS {
            functions.push((Arc::clone(function), seen_ns));
        }
    }

    /// What has this number, with the function that it was seen running most.
    fn get(&self, number: u16) -> Option<WaitedFor> {
        let functions = self.functions.get(usize::from(number))?;
        // Of equal ones the first.
        let most = functions.iter().rev().max_by_key(|(_, sum_ns)| *sum_ns);
        Some(WaitedFor {
            function: most.map(|(function, _)| function.to_string()),
            ..WaitedFor::clone(self.known.get(usize::from(number))?)
        })
    }
}

/// What makes two things waited for the same: threads of one name that do the same are one culprit.
#[derive(Hash)]
struct Key<'a> {
    cause: Cause,
    syscall: Option<&'a str>,
    object: Option<&'a str>,
    peer: Option<SocketAddr>,
    pid: Option<u32>,
    comm: Option<&'a str>,
    request: Option<&'a str>,
    pool: bool,
    held_by: Option<HeldBy>,
}

impl<'a> Key<'a> {
    fn of(wait: &'a LongestWait) -> Self {
        let LongestWait {
            cause,
            dur_ns: _,
            detail,
            culprit,
            function_seen_ns: _,
            behind_pool,
        } = wait;
        Self {
            cause: *cause,
            syscall: detail.syscall,
            object: detail.object.as_deref(),
            peer: detail.peer,
            pid: culprit.as_ref().map(|culprit| culprit.pid),
            comm: culprit.as_ref().and_then(|culprit| culprit.comm.as_deref()),
            request: culprit.as_ref().and_then(|culprit| culprit.request.as_deref()),
            pool: *behind_pool,
            held_by: detail.held.map(|held| held.by),
        }
    }
}

fn waited_for(wait: &LongestWait) -> WaitedFor {
    let culprit = wait.culprit.as_ref();
    WaitedFor {
        cause: wait.cause,
        requests: 0,
        mean_ns: 0,
        syscall: wait.detail.syscall,
        object: wait.detail.object.as_deref().map(str::to_owned),
        peer: wait.detail.peer,
        pid: culprit.map(|culprit| culprit.pid),
        comm: culprit
            .and_then(|culprit| culprit.comm.as_deref())
            .map(str::to_owned),
        request: culprit
            .and_then(|culprit| culprit.request.as_deref())
            .map(str::to_owned),
        pool: wait.behind_pool,
        function: None,
        held_by: wait.detail.held.map(|held| held.by),
    }
}

/// Sums of one bucket or band, in parts of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(Vec<Sum>);

#[derive(Clone, Copy, Debug)]
struct Sum {
    number: u16,
    requests: u128,
    ns: u128,
}

impl Waits {
    pub(super) fn record(&mut self, number: u16, ns: u64) {
        self.sum(
            Sum {
                number,
                requests: 1,
                ns: ns.into(),
            },
            MAX_IN_BUCKET,
        );
    }

    pub(super) fn add(&mut self, other: &Self) {
        for sum in &other.0 {
            self.sum(*sum, MAX_IN_BUCKET);
        }
    }

    /// Adds a bucket of so many requests, of which `inside` parts are in the band.
    pub(super) fn add_part(&mut self, bucket: &Self, inside: u128, requests: u128) {
        for sum in &bucket.0 {
            let part = |value: u128| value * inside / requests;
            let sum = Sum {
                number: sum.number,
                requests: part(sum.requests),
                ns: part(sum.ns),
            };
            self.sum(sum, MAX_KNOWN);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn sum(&mut self, more: Sum, room: usize) {
        if let Some(sum) = self.0.iter_mut().find(|sum| sum.number == more.number) {
            sum.requests += more.requests;
            sum.ns += more.ns;
        } else if self.0.len() < room {
            self.0.push(more);
        }
    }

    /// The most time first. `parts` is one request.
    pub(super) fn listed(mut self, known: &Known, parts: u128) -> Vec<WaitedFor> {
        self.0.sort_by_key(|sum| (std::cmp::Reverse(sum.ns), sum.number));
        self.0
            .iter()
            .filter(|sum| sum.requests > 0)
            .take(LISTED)
            .filter_map(|sum| {
                Some(WaitedFor {
                    requests: (sum.requests.div_ceil(parts)) as u64,
                    mean_ns: (sum.ns / sum.requests) as u64,
                    ..known.get(sum.number)?
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::request::{Culprit, Detail};

    fn behind(comm: &str, dur_ns: u64) -> LongestWait {
        LongestWait {
            cause: Cause::RunQueue,
            dur_ns,
            detail: Detail::default(),
            culprit: Some(Culprit {
                pid: 7,
                tid: 7,
                comm: Some(comm.into()),
                task: None,
                request: None,
                syscall: None,
                object: None,
                function: None,
            }),
            function_seen_ns: 0,
            behind_pool: false,
        }
    }

    #[test]
    fn the_culprit_of_most_time_comes_first() {
        let (mut known, mut waits) = (Known::default(), Waits::default());
        for (comm, ns) in [("cron", 100), ("hog", 900), ("hog", 1_100), ("cron", 300)] {
            let number = known.number(&behind(comm, ns)).unwrap();
            waits.record(number, ns);
        }
        let listed = waits.listed(&known, 1);
        let found: Vec<_> = listed
            .iter()
            .map(|wait| (wait.comm.as_deref().unwrap(), wait.requests, wait.mean_ns))
            .collect();
        assert_eq!(found, [("hog", 2, 1_000), ("cron", 2, 200)]);
    }

    #[test]
    fn a_culprit_has_the_function_that_it_was_seen_running_most() {
        let (mut known, mut waits) = (Known::default(), Waits::default());
        for (function, seen_ns) in [
            (None, 0),
            (Some("app::write"), 2),
            (Some("app::sort"), 5),
            (Some("app::write"), 2),
            (None, 0),
        ] {
            let mut wait = behind("server", 100);
            wait.culprit.as_mut().unwrap().function = function.map(Into::into);
            wait.function_seen_ns = seen_ns;
            waits.record(known.number(&wait).unwrap(), 100);
        }
        let listed = waits.listed(&known, 1);
        assert_eq!(listed.len(), 1, "it is one culprit, whatever it did");
        assert_eq!(
            (listed[0].requests, listed[0].function.as_deref()),
            (5, Some("app::sort"))
        );
    }

    #[test]
    fn strangers_cannot_make_it_grow() {
        let (mut known, mut waits) = (Known::default(), Waits::default());
        for n in 0..5_000 {
            if let Some(number) = known.number(&behind(&n.to_string(), 1)) {
                waits.record(number, 1);
            }
        }
        assert_eq!((known.known.len(), waits.0.len()), (MAX_KNOWN, MAX_IN_BUCKET));
    }
}
