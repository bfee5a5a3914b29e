//! What is explained of a request before it is over: all of it up to where it last ran, when what threads did before
//! that is about to be forgotten.
//!
//! A walk back from the request's end comes by where it last ran before any time, so what is before that can be walked
//! ahead of it. Only where the request's end is before that it is another walk: what comes after a send is kept apart
//! until there is another send.

use super::account::Account;
use super::path::Keep;
use super::{Evidence, Explainer, accepting, service};
use crate::connections::Turn;
use crate::threads::LastRun;

/// What is explained of a request that is not over.
#[derive(Debug, Default)]
pub struct Begun {
    /// Up to its last send at most, or where nothing was sent yet.
    certain: Option<Box<Interval>>,
    /// What comes after that.
    beyond: Option<Box<Interval>>,
}

/// An explained interval of a request, which begins where the one before it ended, or at the arrival.
#[derive(Debug)]
struct Interval {
    until: LastRun,
    account: Account,
}

impl Begun {
    /// Steps that are kept.
    #[must_use]
    pub fn steps(&self) -> usize {
        let intervals = self.certain.iter().chain(&self.beyond);
        intervals.map(|interval| interval.account.steps.len()).sum()
    }

    /// Keeps few steps: sums, by what they are charged to.
    pub fn sum_up(&mut self) {
        let intervals = self.certain.iter_mut().chain(&mut self.beyond);
        intervals.for_each(|interval| interval.account.sum_up());
    }

    /// What is explained of a request that sent last at `sent_ns`, the last interval first.
    fn intervals(&self, sent_ns: u64) -> impl Iterator<Item = &Interval> {
        let intervals = [&self.beyond, &self.certain]
            .into_iter()
            .flatten()
            .map(Box::as_ref);
        intervals.filter(move |interval| interval.until.end_ns <= sent_ns)
    }

    /// How far it is explained.
    fn until(&self) -> Option<LastRun> {
        let last = self.beyond.as_ref().or(self.certain.as_ref());
        last.map(|interval| interval.until)
    }
}

/// Appends an interval.
fn append(intervals: &mut Option<Box<Interval>>, mut interval: Box<Interval>) {
    if let Some(before) = intervals {
        interval.account.prepend(&before.account);
    }
    *intervals = Some(interval);
}

impl Explainer {
    /// Explains a request that is not over up to where it ran.
    pub fn go_on(
        &mut self,
        begun: &mut Begun,
        turn: &Turn,
        evidence: Evidence<'_>,
        run: LastRun,
        keep: Keep,
    ) {
        if let Some(beyond) = begun.beyond.take_if(|beyond| beyond.until.end_ns <= turn.sent_ns) {
            append(&mut begun.certain, beyond);
        }
        let run = if run.end_ns < turn.read_ns {
            first_run(turn)
        } else {
            run
        };
        if let Some(sent) = last_send(turn).filter(|sent| sent.end_ns < run.end_ns) {
            if begun.beyond.is_none() {
                self.append_until(&mut begun.certain, None, turn, evidence, sent, keep);
            }
            let before = begun.until();
            self.append_until(&mut begun.beyond, before, turn, evidence, run, keep);
        } else {
            self.append_until(&mut begun.certain, None, turn, evidence, run, keep);
        }
    }

    /// Appends what comes after an interval, or else after `before`, and is not after `until`.
    fn append_until(
        &mut self,
        intervals: &mut Option<Box<Interval>>,
        before: Option<LastRun>,
        turn: &Turn,
        evidence: Evidence<'_>,
        until: LastRun,
        keep: Keep,
    ) {
        let since = intervals.as_ref().map(|interval| interval.until).or(before);
        if since.is_none_or(|since| since.end_ns < until.end_ns) {
            self.walk(turn, evidence, since, until, keep);
            let account = self.path.account().clone();
            append(intervals, Box::new(Interval { until, account }));
        }
    }

    /// Explains the whole turn, but what is explained of it already.
    pub(super) fn walk_rest(
        &mut self,
        turn: &Turn,
        evidence: Evidence<'_>,
        begun: Option<&Begun>,
        keep: Keep,
    ) {
        let intervals = || begun.into_iter().flat_map(|begun| begun.intervals(turn.sent_ns));
        let since = intervals().next().map(|interval| interval.until);
        let until = last_send(turn).unwrap_or(LastRun {
            end_ns: since.map_or(turn.arrival_ns, |since| since.end_ns),
            ..first_run(turn)
        });
        self.walk(turn, evidence, since, until, keep);
        intervals().for_each(|interval| self.path.account().prepend(&interval.account));
    }

    /// Explains a turn from `since`, or else from its arrival, until it ran.
    fn walk(
        &mut self,
        turn: &Turn,
        evidence: Evidence<'_>,
        since: Option<LastRun>,
        until: LastRun,
        keep: Keep,
    ) {
        let path = &mut self.path;
        let since_ns = since.map_or(turn.arrival_ns, |since| since.end_ns);
        let until_ns = until.end_ns.max(since_ns);
        let thefts = evidence.threads.thefts(since_ns, until_ns);
        path.begin(since_ns, until_ns, keep, thefts);
        if evidence.go.has_run(turn.pid) || evidence.threads.can_be_stopped(turn.pid) {
            path.taken_mut().begin(
                evidence.go.phases(turn.pid, since_ns, until_ns),
                evidence.go.assists(turn.pid, since_ns, until_ns),
                evidence.threads.stops(turn.pid, since_ns, until_ns),
                evidence.threads.of_runtime(turn.pid),
            );
        }
        let first = since.unwrap_or(first_run(turn));
        service::walk(&evidence, turn, first, until.tid, &self.runs, path);
        if since.is_none() {
            accepting::walk(&evidence, turn, path);
        }
        path.end();
    }
}

/// A request ran when it was first read.
fn first_run(turn: &Turn) -> LastRun {
    LastRun {
        end_ns: turn.read_ns,
        tid: turn.read_tid,
    }
}

/// It ran when it sent.
fn last_send(turn: &Turn) -> Option<LastRun> {
    Some(LastRun {
        end_ns: turn.sent_ns,
        tid: turn.sent_tid?,
    })
}
