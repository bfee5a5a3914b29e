//! What is merely counted: turns by confidence and status, and beside them losses by reason, tables that were full, and
//! the observer's own cost.

use std::ops::{Add, AddAssign};

use crate::model::full::Full;
use crate::model::report::{ByConfidence, ByStatus, LookCost, OwnCost};
use crate::model::request::{Confidence, Figures};

/// Counts of turns.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) incomplete: u64,
    pub(super) unanswered: u64,
    pub(super) unsent: u64,
    pub(super) confidence: ByConfidence,
    pub(super) status: ByStatus,
}

/// Traffic that belongs to no turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoTurns {
    /// Sends of which nobody knows what they answer: their turn was taken for finished, or there was none.
    pub late_sends: u64,
    /// Answers to requests that had come before their connection was first seen.
    pub begun_before: u64,
    /// Connections that were used while nobody could tell who had opened them.
    pub unknown_direction: u64,
}

impl AddAssign for NoTurns {
    fn add_assign(&mut self, more: Self) {
        self.late_sends += more.late_sends;
        self.begun_before += more.begun_before;
        self.unknown_direction += more.unknown_direction;
    }
}

impl Add for NoTurns {
    type Output = Self;

    fn add(mut self, more: Self) -> Self {
        self += more;
        self
    }
}

/// Counts of what belongs to no process.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    /// In the order in which the reasons first came up. Reasons are literals of this program: few.
    pub(super) lost: Vec<(&'static str, u64)>,
    pub(super) full: Full,
    pub(super) cost: Option<OwnCost>,
}

impl Counted {
    pub(super) fn request(&mut self, figures: &Figures) {
        self.incomplete += u64::from(!figures.complete);
        self.unsent += u64::from(figures.unsent_bytes > 0);
        *match figures.confidence {
            Confidence::Exact => &mut self.confidence.exact,
            Confidence::Inferred => &mut self.confidence.inferred,
            Confidence::Partial => &mut self.confidence.partial,
        } += 1;
        *match figures.status {
            Some(100..=199) => &mut self.status.informational,
            Some(200..=299) => &mut self.status.success,
            Some(300..=399) => &mut self.status.redirect,
            Some(400..=499) => &mut self.status.client_error,
            Some(500..=599) => &mut self.status.server_error,
            _ => &mut self.status.unknown,
        } += 1;
    }

    pub(super) fn add(&mut self, window: &Self) {
        self.incomplete += window.incomplete;
        self.unanswered += window.unanswered;
        self.unsent += window.unsent;
        self.confidence.exact += window.confidence.exact;
        self.confidence.inferred += window.confidence.inferred;
        self.confidence.partial += window.confidence.partial;
        self.status.informational += window.status.informational;
        self.status.success += window.status.success;
        self.status.redirect += window.status.redirect;
        self.status.client_error += window.status.client_error;
        self.status.server_error += window.status.server_error;
        self.status.unknown += window.status.unknown;
    }
}

impl Beside {
    pub(super) fn lost(&mut self, reason: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        match self.lost.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.lost.push((reason, count)),
        }
    }

    pub(super) fn cost(&mut self, more: OwnCost) {
        let sum = self.cost.get_or_insert_default();
        sum.ebpf_ns = sum_of_known(sum.ebpf_ns, more.ebpf_ns);
        sum.cpu_ns = sum.cpu_ns.saturating_add(more.cpu_ns);
        sum.rss_bytes = sum.rss_bytes.max(more.rss_bytes);
        sum.records = sum.records.saturating_add(more.records);
        if let Some(more) = more.probes {
            let sum = sum.probes.get_or_insert_default();
            sum.hits = sum.hits.saturating_add(more.hits);
            sum.estimated_ns = sum.estimated_ns.saturating_add(more.estimated_ns);
        }
        sum.looks = [sum.looks, more.looks]
            .into_iter()
            .flatten()
            .reduce(LookCost::with);
        sum.samples = sum_of_known(sum.samples, more.samples);
        sum.samples_lost = sum_of_known(sum.samples_lost, more.samples_lost);
        sum.ticks_on_others = sum_of_known(sum.ticks_on_others, more.ticks_on_others);
    }

    pub(super) fn add(&mut self, window: &Self) {
        for &(reason, count) in &window.lost {
            self.lost(reason, count);
        }
        self.full.add(&window.full);
        if let Some(cost) = window.cost {
            self.cost(cost);
        }
    }

    /// The tables that were full, by the names that outputs use.
    pub(super) fn full_tables(&self) -> Vec<(&'static str, u64)> {
        let counts = self.full.counts();
        counts.map(|(table, count)| (table.name(), count)).collect()
    }

    pub(super) fn clear(&mut self) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.clear();
        *self = Self {
            lost,
            ..Self::default()
        };
    }
}

/// The sum of what is known; one that is not known takes nothing away from the other.
fn sum_of_known(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}
