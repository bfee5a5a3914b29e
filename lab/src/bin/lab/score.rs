//! Judges what observer said of one run by what really happened, request by request.
//!
//! Only requests that the injected fault makes up most of are judged: of the others nobody knows what is right.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Value, json};
use testbed::truth::{Sent, Served};

use super::injected::{Range, Stretches, Truth};
use super::names::{Named, Names, check_task};
use super::scenario::{Case, Expected, InjectedPart};
use super::truth::{Explained, Observed};
use super::turns::Turns;

/// A part is most of a request when it is at least this and half of its time.
const LEAST_NS: u64 = 200_000;
/// A request without a fault is slow when it took this long.
const SLOW_NS: u64 = 1_000_000;
/// An error up to this, or to a twentieth of what was injected, is as good as none.
const TOLERANCE_NS: u64 = 200_000;
/// Wrong answers that are kept for people to look at, of one run.
const MOST_EXAMPLES: usize = 40;

/// What came out. Sums of these are the totals.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Score {
    /// Requests that the client sent and got answered.
    pub(super) requests: u64,
    /// Of these, with a line of observer's.
    pub(super) explained: u64,
    /// Without one.
    pub(super) missing: u64,
    /// Lines about no request of the client's, or about one a second time.
    pub(super) extra: u64,
    /// Events that observer says it lost.
    pub(super) lost: u64,
    /// Requests that are judged.
    pub(super) affected: u64,
    /// Of these, with a right top cause.
    pub(super) right: u64,
    /// Of these, without one because the machine hid what its thread did: see [`Explained::is_hidden`].
    pub(super) hidden: u64,
    /// Judged requests by expected and by named top cause.
    pub(super) named: BTreeMap<String, BTreeMap<String, u64>>,
    /// What was wrong with top causes and names, and how often.
    pub(super) mistakes: BTreeMap<String, u64>,
    /// Injected parts of judged requests, by their first cause.
    pub(super) parts: BTreeMap<String, u64>,
    /// How far the charge for each injected part of a judged request is from the truth, ns; sorted on demand.
    #[serde(skip)]
    pub(super) errors_ns: Vec<u64>,
    /// Of these, within the tolerance.
    pub(super) within: u64,
    pub(super) culprits_right: u64,
    pub(super) culprits_wrong: u64,
    pub(super) culprits_absent: u64,
    /// Judged requests by how sure observer is.
    pub(super) exact: u64,
    pub(super) inferred: u64,
    pub(super) partial: u64,
    /// The runtime's task that was waited for, where the truth knows it and the top cause is right.
    pub(super) tasks_right: u64,
    pub(super) tasks_wrong: u64,
    pub(super) tasks_absent: u64,
    /// Judged requests for which somebody else was named, as culprit or as task or both.
    pub(super) misnamed: u64,
    /// Requests with at most a twentieth of their time unexplained.
    pub(super) well_explained: u64,
    pub(super) unexplained_ns: u64,
    pub(super) latency_ns: u64,
}

/// A wrong answer with what is known about it.
pub(super) type Example = Value;

struct Judge<'a> {
    expected: &'a Expected,
    names: &'a Names,
    /// The first request of a connection may wait for that to be accepted, of which the truth knows nothing. It is
    /// judged only where all are such requests.
    firsts_count: bool,
    stretches: Stretches<'a>,
    turns: Turns,
    score: Score,
    examples: Vec<Example>,
}

/// Judges a run. Requests that were sent at once count as one, the first.
pub(super) fn judge(
    expected: &Expected,
    case: &Case,
    names: &Names,
    observed: &Observed,
) -> (Score, Vec<Example>) {
    let served: HashMap<u64, &Served> = observed.served.iter().map(|served| (served.id, served)).collect();
    let mut explained: HashMap<u64, &Explained> = HashMap::new();
    let sent: BTreeSet<u64> = observed.sent.iter().map(|sent| sent.id).collect();
    let mut judge = Judge {
        expected,
        names,
        firsts_count: case.reconnects(),
        stretches: Stretches::of(&observed.served),
        turns: Turns::of(&observed.served),
        score: Score {
            lost: observed.lost,
            ..Score::default()
        },
        examples: Vec::new(),
    };
    let (numbered, warm_up): (Vec<_>, Vec<_>) =
        (observed.explained.iter()).partition(|request| request.id.is_some());
    let warm_up = warm_up.len() as u64;
    judge.score.missing += observed.warm_up.saturating_sub(warm_up);
    judge.score.extra += warm_up.saturating_sub(observed.warm_up);
    for request in numbered {
        let known = request.id.filter(|id| sent.contains(id));
        if known.is_none_or(|id| explained.insert(id, request).is_some()) {
            judge.score.extra += 1;
            judge.example("extra", &Value::Null, request);
        }
    }
    for (index, sent) in (0_u64..).zip(&observed.sent) {
        if index % case.pipelined != 0 {
            continue;
        }
        judge.score.requests += 1;
        match (served.get(&sent.id), explained.get(&sent.id)) {
            (Some(served), Some(explained)) => judge.request(served, sent, explained),
            _ => judge.score.missing += 1,
        }
    }
    (judge.score, judge.examples)
}

impl Judge<'_> {
    fn request(&mut self, served: &Served, sent: &Sent, explained: &Explained) {
        let unexplained_ns = explained.budget_ns.get("unexplained").copied().unwrap_or(0);
        self.score.explained += 1;
        self.score.latency_ns += explained.latency_ns;
        self.score.unexplained_ns += unexplained_ns;
        self.score.well_explained += u64::from(unexplained_ns * 20 <= explained.latency_ns);
        if explained.is_first() && !self.firsts_count {
            return;
        }
        match self.expected {
            Expected::Nothing(causes) => {
                if explained.latency_ns >= SLOW_NS {
                    // Behind others for most of its time, it waited for its turn.
                    let behind = self.turns.before_ns(served, sent) * 2 >= explained.latency_ns;
                    let (expected, causes) = if behind {
                        ("worker_busy", &["worker_busy"][..])
                    } else {
                        ("nothing", *causes)
                    };
                    self.top_cause(expected, causes, &truth(&[], served, sent), explained);
                }
            }
            Expected::Parts(parts) => self.parts(parts, served, sent, explained),
        }
    }

    fn parts(&mut self, parts: &[InjectedPart], served: &Served, sent: &Sent, explained: &Explained) {
        let parts: Vec<(&InjectedPart, Truth)> = parts
            .iter()
            .map(|part| (part, self.stretches.part(&part.injected, served, sent)))
            .collect();
        let took_ns = sent.times.answered_ns.saturating_sub(sent.times.send_ns);
        let largest = parts.iter().max_by_key(|(_, is)| is.length.least_ns);
        let Some((part, is)) =
            largest.filter(|(_, is)| is.length.least_ns >= LEAST_NS && is.length.least_ns * 2 >= took_ns)
        else {
            return;
        };
        let truth = truth(&parts, served, sent);
        let right = self.top_cause(part.causes[0], part.causes, &truth, explained);
        for (part, is) in parts.iter().filter(|(_, is)| is.length.least_ns >= LEAST_NS) {
            self.error(part, is.length, &truth, explained);
        }
        if right {
            let culprit = self.culprit(part, &truth, explained);
            let task = self.task(part, is, &truth, explained);
            self.score.misnamed += u64::from(culprit || task);
        }
    }

    /// Counts the top cause; tells whether it is right.
    fn top_cause(&mut self, expected: &str, causes: &[&str], truth: &Value, explained: &Explained) -> bool {
        let named = explained.top_cause();
        let right = causes.contains(&named);
        self.score.affected += 1;
        self.score.right += u64::from(right);
        self.score.hidden += u64::from(!right && explained.is_hidden());
        match explained.confidence() {
            "exact" => self.score.exact += 1,
            "inferred" => self.score.inferred += 1,
            _ => self.score.partial += 1,
        }
        let row = self.score.named.entry(expected.to_owned()).or_default();
        *row.entry(named.to_owned()).or_default() += 1;
        if !right {
            let note = explained.longest_note().map(|note| format!(": {note}"));
            let mistake = format!("{named} instead of {expected}{}", note.unwrap_or_default());
            self.mistake(&mistake, truth, explained);
        }
        right
    }

    fn error(&mut self, part: &InjectedPart, range: Range, truth: &Value, explained: &Explained) {
        let charged = part
            .causes
            .iter()
            .filter_map(|cause| explained.budget_ns.get(*cause));
        let error_ns = range.distance_ns(charged.sum());
        *self.score.parts.entry(part.causes[0].to_owned()).or_default() += 1;
        let within = error_ns <= TOLERANCE_NS.max(range.most_ns / 20);
        self.score.errors_ns.push(error_ns);
        self.score.within += u64::from(within);
        if !within {
            self.example(
                &format!("{} is {error_ns} ns off", part.causes[0]),
                truth,
                explained,
            );
        }
    }

    /// Tells whether somebody else is named as the culprit.
    fn culprit(&mut self, part: &InjectedPart, truth: &Value, explained: &Explained) -> bool {
        match self.names.check(part, explained) {
            None => {}
            Some(Named::Right) => self.score.culprits_right += 1,
            Some(Named::Absent) => {
                self.score.culprits_absent += 1;
                self.mistake("no culprit", truth, explained);
            }
            Some(Named::Wrong(what)) => {
                self.score.culprits_wrong += 1;
                self.mistake(&format!("culprit: {what}"), truth, explained);
                return true;
            }
        }
        false
    }

    /// Tells whether another task is named.
    fn task(&mut self, part: &InjectedPart, is: &Truth, truth: &Value, explained: &Explained) -> bool {
        match check_task(part, &is.tasks, explained) {
            None => {}
            Some(Named::Right) => self.score.tasks_right += 1,
            Some(Named::Absent) => {
                self.score.tasks_absent += 1;
                self.mistake("no task", truth, explained);
            }
            Some(Named::Wrong(what)) => {
                self.score.tasks_wrong += 1;
                self.mistake(&what, truth, explained);
                return true;
            }
        }
        false
    }

    fn mistake(&mut self, what: &str, truth: &Value, explained: &Explained) {
        // The same of other requests differs by their numbers.
        let kind = what.replace(|character: char| character.is_ascii_digit(), "#");
        *self.score.mistakes.entry(kind).or_default() += 1;
        self.example(what, truth, explained);
    }

    fn example(&mut self, why: &str, truth: &Value, explained: &Explained) {
        if self.examples.len() < MOST_EXAMPLES {
            self.examples
                .push(json!({"why": why, "truth": truth, "observer": explained.line}));
        }
    }
}

fn truth(parts: &[(&InjectedPart, Truth)], served: &Served, sent: &Sent) -> Value {
    let parts: Vec<Value> = parts
        .iter()
        .map(|(part, Truth { length, tasks })| {
            json!({
                "cause": part.causes[0],
                "least_ns": length.least_ns,
                "most_ns": length.most_ns,
                "tasks": tasks,
            })
        })
        .collect();
    json!({
        "parts": parts,
        "task": served.task,
        "sent_ns": sent.times.send_ns,
        "handler_after_ns": served.start_ns.saturating_sub(sent.times.send_ns),
        "answered_after_ns": sent.times.answered_ns.saturating_sub(sent.times.send_ns),
    })
}

impl Score {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            requests,
            explained,
            missing,
            extra,
            lost,
            affected,
            right,
            hidden,
            named,
            mistakes,
            parts,
            errors_ns,
            within,
            culprits_right,
            culprits_wrong,
            culprits_absent,
            exact,
            inferred,
            partial,
            tasks_right,
            tasks_wrong,
            tasks_absent,
            misnamed,
            well_explained,
            unexplained_ns,
            latency_ns,
        } = other;
        for (sum, more) in [
            (&mut self.requests, requests),
            (&mut self.explained, explained),
            (&mut self.missing, missing),
            (&mut self.extra, extra),
            (&mut self.lost, lost),
            (&mut self.affected, affected),
            (&mut self.right, right),
            (&mut self.hidden, hidden),
            (&mut self.within, within),
            (&mut self.culprits_right, culprits_right),
            (&mut self.culprits_wrong, culprits_wrong),
            (&mut self.culprits_absent, culprits_absent),
            (&mut self.exact, exact),
            (&mut self.inferred, inferred),
            (&mut self.partial, partial),
            (&mut self.tasks_right, tasks_right),
            (&mut self.tasks_wrong, tasks_wrong),
            (&mut self.tasks_absent, tasks_absent),
            (&mut self.misnamed, misnamed),
            (&mut self.well_explained, well_explained),
            (&mut self.unexplained_ns, unexplained_ns),
            (&mut self.latency_ns, latency_ns),
        ] {
            *sum += more;
        }
        self.errors_ns.extend(errors_ns);
        add_counts(&mut self.mistakes, mistakes);
        add_counts(&mut self.parts, parts);
        for (expected, row) in named {
            add_counts(self.named.entry(expected.clone()).or_default(), row);
        }
    }

    /// Judged requests of which nothing is told for most of their time.
    pub(super) fn unexplained(&self) -> u64 {
        let rows = self.named.values();
        rows.filter_map(|row| row.get("unexplained")).sum()
    }

    /// The error that this part of the errors does not exceed, ns.
    pub(super) fn error_ns(&self, quantile: f64) -> Option<u64> {
        let mut sorted = self.errors_ns.clone();
        sorted.sort_unstable();
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

fn add_counts(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (cause, count) in more {
        *sums.entry(cause.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests;
