//! What the longest waits of requests waited for.
//!
//! Each different thing waited for gets a small number, so that the sums by latency bucket stay small. Both the
//! numbers and the sums of a bucket are bounded; what finds no room is counted and not listed, and nothing is listed
//! for another.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::model::cause::Cause;
use crate::model::full::{Full, Table};
use crate::model::report::WaitedFor;
use crate::model::request::HeldBy;
use crate::model::request::LongestWait;

/// Different things waited for that are told apart in a run, of one target; and that are summed up where several targets
/// are told together: what finds no place there is still told with its target.
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
    pub(super) fn number(&mut self, wait: &LongestWait, full: &Full) -> Option<u16> {
        let key = FxBuildHasher.hash_one(Key::of(wait));
        if let Some(&number) = self.numbers.get(&key) {
            self.seen_running(number, wait, full);
            return Some(number);
        }
        let next = u16::try_from(self.known.len()).ok();
        let Some(number) = next.filter(|&number| usize::from(number) < MAX_KNOWN) else {
            full.count(Table::Culprits, 1);
            return None;
        };
        self.known.push(Rc::new(waited_for(wait)));
        self.functions.push(Vec::new());
        self.numbers.insert(key, number);
        self.seen_running(number, wait, full);
        Some(number)
    }

    /// A thread that was waited behind may do one thing now and another then: that does not make it two.
    fn seen_running(&mut self, number: u16, wait: &LongestWait, full: &Full) {
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
        } else {
            full.count(Table::Culprits, 1);
        }
    }

    fn get(&self, number: u16) -> Option<&WaitedFor> {
        self.known.get(usize::from(number)).map(Rc::as_ref)
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

impl<'a> From<&'a WaitedFor> for Key<'a> {
    fn from(known: &'a WaitedFor) -> Self {
        Self {
            cause: known.cause,
            syscall: known.syscall,
            object: known.object.as_deref(),
            peer: known.peer,
            pid: known.pid,
            comm: known.comm.as_deref(),
            request: known.request.as_deref(),
            pool: known.pool,
            held_by: known.held_by,
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
    /// Place of those by whose numbers it is numbered.
    source: usize,
    number: u16,
    requests: u128,
    ns: u128,
}

impl Waits {
    pub(super) fn record(&mut self, number: u16, ns: u64, full: &Full) {
        let wait = Sum {
            source: 0,
            number,
            requests: 1,
            ns: ns.into(),
        };
        if !self.sum(wait, MAX_IN_BUCKET) {
            full.count(Table::Culprits, 1);
        }
    }

    pub(super) fn add(&mut self, other: &Self, full: &Full) {
        for sum in &other.0 {
            if !self.sum(*sum, MAX_IN_BUCKET) {
                full.count(Table::Culprits, u64::try_from(sum.requests).unwrap_or(u64::MAX));
            }
        }
    }

    /// Adds what one source has in a bucket of so many requests, of which `inside` parts are in the band.
    pub(super) fn add_part(&mut self, source: usize, bucket: &Self, inside: u128, requests: u128) {
        for sum in &bucket.0 {
            let part = |value: u128| value * inside / requests;
            let sum = Sum {
                source,
                number: sum.number,
                requests: part(sum.requests),
                ns: part(sum.ns),
            };
            let _ = self.sum(sum, MAX_KNOWN);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Tells whether there was room for it.
    fn sum(&mut self, more: Sum, room: usize) -> bool {
        if let Some(sum) = self
            .0
            .iter_mut()
            .find(|sum| (sum.source, sum.number) == (more.source, more.number))
        {
            sum.requests += more.requests;
            sum.ns += more.ns;
        } else if self.0.len() < room {
            self.0.push(more);
        } else {
            return false;
        }
        true
    }

    /// The most time first, where each source has its own numbers. `parts` is one request.
    pub(super) fn listed(mut self, known: &[&Known], parts: u128) -> Vec<WaitedFor> {
        self.0.retain(|sum| sum.requests > 0);
        let mut things = things(&self.0, known);
        things.sort_by_key(|thing| (std::cmp::Reverse(thing.ns), thing.first));
        things.truncate(LISTED);
        let one = |thing: &Thing<'_>| WaitedFor {
            requests: (thing.requests.div_ceil(parts)) as u64,
            mean_ns: (thing.ns / thing.requests) as u64,
            function: thing.function(known),
            ..thing.what.clone()
        };
        things.iter().map(one).collect()
    }
}

/// One thing waited for, with what all sources together have of it.
struct Thing<'a> {
    what: &'a WaitedFor,
    requests: u128,
    ns: u128,
    /// The first source that has it, and its number there.
    first: (usize, u16),
}

/// Sums of the same are put together.
fn things<'a>(sums: &[Sum], known: &[&'a Known]) -> Vec<Thing<'a>> {
    let mut things: Vec<Thing<'a>> = Vec::new();
    for &sum in sums {
        let Some(what) = known.get(sum.source).and_then(|known| known.get(sum.number)) else {
            continue;
        };
        // The numbers of one source tell things apart by themselves.
        let is_same = |thing: &&mut Thing<'_>| thing.first.0 != sum.source && thing.what == what;
        if let Some(thing) = things.iter_mut().find(is_same) {
            thing.requests += sum.requests;
            thing.ns += sum.ns;
        } else {
            things.push(Thing {
                what,
                requests: sum.requests,
                ns: sum.ns,
                first: (sum.source, sum.number),
            });
        }
    }
    things
}

impl Thing<'_> {
    /// The function that it was seen running most, in all waits for it that any source had.
    fn function(&self, known: &[&Known]) -> Option<String> {
        let key = FxBuildHasher.hash_one(Key::from(self.what));
        let mut sums: Vec<(&str, u64)> = Vec::new();
        for known in known {
            let number = known.numbers.get(&key).copied().map(usize::from);
            let functions = number.and_then(|number| known.functions.get(number));
            for (function, ns) in functions.into_iter().flatten() {
                match sums.iter_mut().find(|(known, _)| *known == &**function) {
                    Some((_, sum_ns)) => *sum_ns = sum_ns.saturating_add(*ns),
                    None => sums.push((function, *ns)),
                }
            }
        }
        // Of equal ones the first.
        let most = sums.into_iter().rev().max_by_key(|(_, sum_ns)| *sum_ns);
        most.map(|(function, _)| function.to_owned())
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
            let number = known.number(&behind(comm, ns), &Full::default()).unwrap();
            waits.record(number, ns, &Full::default());
        }
        let listed = waits.listed(&[&known], 1);
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
            waits.record(
                known.number(&wait, &Full::default()).unwrap(),
                100,
                &Full::default(),
            );
        }
        let listed = waits.listed(&[&known], 1);
        assert_eq!(listed.len(), 1, "it is one culprit, whatever it did");
        assert_eq!(
            (listed[0].requests, listed[0].function.as_deref()),
            (5, Some("app::sort"))
        );
    }

    #[test]
    fn what_two_targets_waited_for_is_one_thing_with_the_function_of_both() {
        let mut known = [Known::default(), Known::default()];
        let mut together = Waits::default();
        // The second one knows something else first, so its numbers are others.
        known[1].number(&behind("cron", 1), &Full::default());
        for (source, function, seen_ns) in [(0, "app::sort", 5), (1, "app::write", 3), (1, "app::sort", 1)] {
            let mut wait = behind("hog", 100);
            wait.culprit.as_mut().unwrap().function = Some(function.into());
            wait.function_seen_ns = seen_ns;
            let mut waits = Waits::default();
            waits.record(
                known[source].number(&wait, &Full::default()).unwrap(),
                100,
                &Full::default(),
            );
            together.add_part(source, &waits, 1, 1);
        }
        let listed = together.listed(&[&known[0], &known[1]], 1);
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(
            (
                listed[0].requests,
                listed[0].mean_ns,
                listed[0].function.as_deref()
            ),
            (3, 100, Some("app::sort"))
        );
    }

    #[test]
    fn strangers_cannot_make_it_grow() {
        let (mut known, mut waits) = (Known::default(), Waits::default());
        let full = Full::default();
        for n in 0..5_000 {
            if let Some(number) = known.number(&behind(&n.to_string(), 1), &full) {
                waits.record(number, 1, &full);
            }
        }
        let not_listed = 5_000 - MAX_IN_BUCKET as u64;
        assert_eq!(
            full.take().counts().collect::<Vec<_>>(),
            [(Table::Culprits, not_listed)]
        );
        let mut run = Waits::default();
        run.add(&waits, &full);
        assert_eq!(full, Full::default());
        let mut another = Waits::default();
        (0..3).for_each(|_| another.record(MAX_IN_BUCKET as u16, 1, &full));
        run.add(&another, &full);
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::Culprits, 3)]);
        assert_eq!((known.known.len(), waits.0.len()), (MAX_KNOWN, MAX_IN_BUCKET));
    }
}
