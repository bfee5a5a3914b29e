//! How much time requests waited for what, summed up by number: of one latency bucket, and of a band.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::numbered::{Culprits, Key};
use crate::model::cause::Budget;
use crate::model::full::{Full, Table};
use crate::model::report::WaitedFor;

/// Different things waited for that one bucket sums up.
pub(super) const MAX_IN_BUCKET: usize = 16;

/// Things waited for that a band lists.
const LISTED: usize = 5;

/// What the longest waits of one bucket waited for.
#[derive(Clone, Debug, Default)]
pub(in crate::summary) struct Waits(Vec<Sum>);

#[derive(Clone, Copy, Debug)]
struct Sum {
    number: u16,
    requests: u64,
    ns: u128,
}

impl Waits {
    pub(in crate::summary) fn record(&mut self, number: u16, ns: u64, full: &Full) {
        let wait = Sum {
            number,
            requests: 1,
            ns: ns.into(),
        };
        self.sum(wait, full);
    }

    /// Adds those of another, each of which has the number here that `number` gives.
    pub(in crate::summary) fn add(&mut self, other: &Self, number: impl Fn(u16) -> Option<u16>, full: &Full) {
        for sum in &other.0 {
            match number(sum.number) {
                Some(number) => self.sum(Sum { number, ..*sum }, full),
                None => full.count(Table::Culprits, sum.requests),
            }
        }
    }

    fn sum(&mut self, more: Sum, full: &Full) {
        if let Some(sum) = self.0.iter_mut().find(|sum| sum.number == more.number) {
            sum.requests += more.requests;
            sum.ns += more.ns;
        } else if self.0.len() < MAX_IN_BUCKET {
            self.0.push(more);
        } else {
            full.count(Table::Culprits, more.requests);
        }
    }

    pub(in crate::summary) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What the longest waits of a band waited for, in parts of a request. It is made of several sources, such as targets,
/// each of which has its own numbers. None of their buckets is left out: how much that can be is bounded by theirs.
#[derive(Debug, Default)]
pub(in crate::summary) struct BandWaits {
    /// In the order in which they came up.
    sums: Vec<BandSum>,
    /// Where in these, by source and number.
    places: FxHashMap<(usize, u16), usize>,
}

/// What one source has of a band.
#[derive(Clone, Copy, Debug)]
struct BandSum {
    source: usize,
    number: u16,
    requests: u128,
    ns: u128,
}

impl BandWaits {
    /// Adds what one source has in a bucket of so many requests, of which `inside` parts are in the band.
    pub(in crate::summary) fn add(&mut self, source: usize, bucket: &Waits, inside: u128, requests: u128) {
        let part = |value: u128| value * inside / requests;
        for sum in &bucket.0 {
            let place = *self.places.entry((source, sum.number)).or_insert_with(|| {
                self.sums.push(BandSum {
                    source,
                    number: sum.number,
                    requests: 0,
                    ns: 0,
                });
                self.sums.len() - 1
            });
            self.sums[place].requests += part(sum.requests.into());
            self.sums[place].ns += part(sum.ns);
        }
    }

    /// The most time first, and how long the waits for other things were, ns by cause. The sources stand in the order
    /// of their places; `parts` is one request.
    pub(in crate::summary) fn listed(
        mut self,
        sources: &[&Culprits],
        parts: u128,
    ) -> (Vec<WaitedFor>, Budget) {
        self.sums.retain(|sum| sum.requests > 0);
        let mut things = things(&self.sums, sources);
        things.sort_by_key(|thing| (Reverse(thing.ns), thing.first));
        let mut others_ns = Budget::default();
        for other in things.split_off(things.len().min(LISTED)) {
            others_ns.charge(other.what.cause, (other.ns / parts) as u64);
        }
        let one = |thing: &Thing<'_>| WaitedFor {
            // Rounded as the band's own, which is at least one.
            requests: (((thing.requests + parts / 2) / parts) as u64).max(1),
            mean_ns: (thing.ns / thing.requests) as u64,
            function: thing.function(sources),
            ..thing.what.clone()
        };
        (things.iter().map(one).collect(), others_ns)
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
fn things<'a>(sums: &[BandSum], sources: &[&'a Culprits]) -> Vec<Thing<'a>> {
    let mut things: Vec<Thing<'a>> = Vec::new();
    let mut places = FxHashMap::default();
    for sum in sums {
        let Some(what) = sources.get(sum.source).and_then(|source| source.get(sum.number)) else {
            continue;
        };
        match places.entry(Key::from(what)) {
            Entry::Occupied(place) => {
                let thing: &mut Thing<'_> = &mut things[*place.get()];
                thing.requests += sum.requests;
                thing.ns += sum.ns;
            }
            Entry::Vacant(place) => {
                place.insert(things.len());
                things.push(Thing {
                    what,
                    requests: sum.requests,
                    ns: sum.ns,
                    first: (sum.source, sum.number),
                });
            }
        }
    }
    things
}

impl Thing<'_> {
    /// The function that it was seen running most, in all waits for it that any source had.
    fn function(&self, sources: &[&Culprits]) -> Option<String> {
        let key = Key::from(self.what);
        let mut sums: Vec<(&str, u64)> = Vec::new();
        for (function, ns) in sources.iter().flat_map(|source| source.functions(&key)) {
            match sums.iter_mut().find(|(known, _)| *known == &**function) {
                Some((_, sum_ns)) => *sum_ns = sum_ns.saturating_add(*ns),
                None => sums.push((function, *ns)),
            }
        }
        // Of equal ones the first.
        let most = sums.into_iter().rev().max_by_key(|(_, sum_ns)| *sum_ns);
        most.map(|(function, _)| function.to_owned())
    }
}
