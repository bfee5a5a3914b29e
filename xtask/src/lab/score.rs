//! Judges what observer said of one run by what really happened, request by request.
//!
//! Only requests that the injected fault makes up most of are judged: of the others nobody knows what is right.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Value, json};

use super::injected::{Range, Stretches};
use super::names::{Named, Names};
use super::scenario::{Case, Expected, Part};
use super::truth::{Explained, Observed, Sent, Served};

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
    /// Judged requests by expected and by named top cause.
    pub(super) named: BTreeMap<String, BTreeMap<String, u64>>,
    /// How far the charge for each injected part of a judged request is from the truth, ns; sorted on demand.
    #[serde(skip)]
    pub(super) errors_ns: Vec<u64>,
    /// Of these, within the tolerance.
    pub(super) within: u64,
    pub(super) culprits_right: u64,
    pub(super) culprits_wrong: u64,
    pub(super) culprits_absent: u64,
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
        score: Score {
            lost: observed.lost,
            ..Score::default()
        },
        examples: Vec::new(),
    };
    for request in &observed.explained {
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
                    self.top_cause("nothing", causes, &truth(&[], served, sent), explained);
                }
            }
            Expected::Parts(parts) => self.parts(parts, served, sent, explained),
        }
    }

    fn parts(&mut self, parts: &[Part], served: &Served, sent: &Sent, explained: &Explained) {
        let ranges: Vec<(&Part, Range)> = parts
            .iter()
            .map(|part| (part, self.stretches.part(&part.injected, served, sent)))
            .collect();
        let took_ns = sent.answered_ns.saturating_sub(sent.send_ns);
        let largest = ranges.iter().max_by_key(|(_, range)| range.least_ns);
        let Some((part, _)) =
            largest.filter(|(_, range)| range.least_ns >= LEAST_NS && range.least_ns * 2 >= took_ns)
        else {
            return;
        };
        let truth = truth(&ranges, served, sent);
        let right = self.top_cause(part.causes[0], part.causes, &truth, explained);
        for (part, range) in ranges.iter().filter(|(_, range)| range.least_ns >= LEAST_NS) {
            self.error(part, *range, &truth, explained);
        }
        if right {
            self.culprit(part, &truth, explained);
        }
    }

    /// Counts the top cause; tells whether it is right.
    fn top_cause(&mut self, expected: &str, causes: &[&str], truth: &Value, explained: &Explained) -> bool {
        let named = explained.top_cause();
        let right = causes.contains(&named);
        self.score.affected += 1;
        self.score.right += u64::from(right);
        let row = self.score.named.entry(expected.to_owned()).or_default();
        *row.entry(named.to_owned()).or_default() += 1;
        if !right {
            self.example(&format!("{named} instead of {expected}"), truth, explained);
        }
        right
    }

    fn error(&mut self, part: &Part, range: Range, truth: &Value, explained: &Explained) {
        let charged = part
            .causes
            .iter()
            .filter_map(|cause| explained.budget_ns.get(*cause));
        let error_ns = range.distance_ns(charged.sum());
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

    fn culprit(&mut self, part: &Part, truth: &Value, explained: &Explained) {
        let Some(named) = self.names.check(part, explained) else {
            return;
        };
        match named {
            Named::Right => self.score.culprits_right += 1,
            Named::Absent => self.score.culprits_absent += 1,
            Named::Wrong(what) => {
                self.score.culprits_wrong += 1;
                self.example(&format!("culprit: {what}"), truth, explained);
            }
        }
    }

    fn example(&mut self, why: &str, truth: &Value, explained: &Explained) {
        if self.examples.len() < MOST_EXAMPLES {
            self.examples
                .push(json!({"why": why, "truth": truth, "observer": explained.line}));
        }
    }
}

fn truth(ranges: &[(&Part, Range)], served: &Served, sent: &Sent) -> Value {
    let parts: Vec<Value> = ranges
        .iter()
        .map(|(part, range)| json!({"cause": part.causes[0], "least_ns": range.least_ns, "most_ns": range.most_ns}))
        .collect();
    json!({
        "parts": parts,
        "sent_ns": sent.send_ns,
        "handler_after_ns": served.start_ns.saturating_sub(sent.send_ns),
        "answered_after_ns": sent.answered_ns.saturating_sub(sent.send_ns),
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
            named,
            errors_ns,
            within,
            culprits_right,
            culprits_wrong,
            culprits_absent,
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
            (&mut self.within, within),
            (&mut self.culprits_right, culprits_right),
            (&mut self.culprits_wrong, culprits_wrong),
            (&mut self.culprits_absent, culprits_absent),
            (&mut self.well_explained, well_explained),
            (&mut self.unexplained_ns, unexplained_ns),
            (&mut self.latency_ns, latency_ns),
        ] {
            *sum += more;
        }
        self.errors_ns.extend(errors_ns);
        for (expected, row) in named {
            let sums = self.named.entry(expected.clone()).or_default();
            for (cause, count) in row {
                *sums.entry(cause.clone()).or_default() += count;
            }
        }
    }

    /// The error that this part of the errors does not exceed, ns.
    pub(super) fn error_ns(&self, quantile: f64) -> Option<u64> {
        let mut sorted = self.errors_ns.clone();
        sorted.sort_unstable();
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Culprit, Injected, Load, Server};
    use super::super::truth::{Kind, Stretch};
    use super::*;

    const MS: u64 = 1_000_000;

    fn asleep(id: u64, ms: u64) -> Served {
        let sleep = Stretch {
            kind: Kind::Sleep,
            from_ns: 0,
            to_ns: ms * MS,
            least_ns: ms * MS,
            most_ns: ms * MS,
        };
        Served::made_up(id, 0, vec![sleep])
    }

    fn sent(id: u64, took_ms: u64) -> Sent {
        Sent {
            id,
            send_ns: 0,
            sent_ns: 0,
            answered_ns: took_ms * MS,
            withheld_ns: 0,
            unread_ns: 0,
        }
    }

    fn explained(id: u64, budget_ms: &[(&str, u64)]) -> Explained {
        let budget: BTreeMap<_, _> = budget_ms.iter().map(|(cause, ms)| (*cause, ms * MS)).collect();
        let spans = budget_ms
            .iter()
            .map(|(cause, ms)| json!({"dur_ns": ms * MS, "cause": cause, "syscall": "read"}));
        Explained::parse(json!({
            "http": {"path": format!("/x?id={id}")},
            "conn": {"nth": 2},
            "latency_ns": budget.values().sum::<u64>(),
            "budget_ns": budget,
            "timeline": spans.collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    fn case(pipelined: u64) -> Case {
        Case {
            name: "a".to_owned(),
            short: false,
            server: Server::default(),
            loads: Vec::new(),
            pipelined,
        }
    }

    fn score(observed: &Observed) -> Score {
        let part = Part::new(Injected::Own(&[Kind::Sleep]), &["syscall"]);
        let expected = Expected::Parts(vec![part.by(Culprit::syscalls(&["read"]))]);
        judge(&expected, &case(1), &Names::default(), observed).0
    }

    #[test]
    fn the_right_cause_with_the_right_length_and_name_is_right() {
        let score = score(&Observed {
            served: vec![asleep(1, 10)],
            sent: vec![sent(1, 12)],
            explained: vec![explained(1, &[("syscall", 10), ("on_cpu", 2)])],
            lost: 0,
        });
        assert_eq!(
            (score.affected, score.right, score.within, score.culprits_right),
            (1, 1, 1, 1)
        );
        assert_eq!(score.errors_ns, [0]);
    }

    #[test]
    fn another_cause_is_wrong_and_its_time_is_an_error() {
        let score = score(&Observed {
            served: vec![asleep(1, 10)],
            sent: vec![sent(1, 12)],
            explained: vec![explained(1, &[("syscall", 3), ("lock", 9)])],
            lost: 0,
        });
        assert_eq!((score.affected, score.right, score.within), (1, 0, 0));
        assert_eq!(score.errors_ns, [7 * MS]);
        assert_eq!(score.named["syscall"]["lock"], 1);
    }

    #[test]
    fn a_request_that_mostly_did_something_else_is_not_judged() {
        let score = score(&Observed {
            served: vec![asleep(1, 10)],
            sent: vec![sent(1, 21)],
            explained: vec![explained(1, &[("lock", 21)])],
            lost: 0,
        });
        assert_eq!((score.requests, score.affected), (1, 0));
    }

    #[test]
    fn what_only_one_side_knows_is_counted() {
        let score = score(&Observed {
            served: vec![asleep(1, 10), asleep(2, 10)],
            sent: vec![sent(1, 12), sent(2, 12)],
            explained: vec![
                explained(2, &[("syscall", 10)]),
                explained(2, &[("syscall", 10)]),
                explained(3, &[]),
            ],
            lost: 0,
        });
        assert_eq!(
            (score.requests, score.explained, score.missing, score.extra),
            (2, 1, 1, 2)
        );
    }

    #[test]
    fn the_first_request_of_a_connection_is_judged_only_where_all_are() {
        let nothing = Expected::Nothing(&["on_cpu"]);
        let mut first = explained(1, &[("lock", 1)]);
        first.line["conn"]["nth"] = json!(1);
        let observed = Observed {
            served: vec![asleep(1, 0)],
            sent: vec![sent(1, 1)],
            explained: vec![first],
            lost: 0,
        };
        let kept = case(1);
        let reconnecting = Case {
            loads: vec![Load::closed("/x", 1).with(&["--reconnect"])],
            ..case(1)
        };
        let affected = |case| judge(&nothing, case, &Names::default(), &observed).0.affected;
        assert_eq!((affected(&kept), affected(&reconnecting)), (0, 1));
    }

    #[test]
    fn of_pipelined_requests_the_first_is_expected() {
        let nothing = Expected::Nothing(&["on_cpu"]);
        let observed = Observed {
            served: vec![asleep(1, 0), asleep(2, 0)],
            sent: vec![sent(1, 1), sent(2, 1)],
            explained: vec![explained(1, &[("on_cpu", 1)])],
            lost: 0,
        };
        let (score, _) = judge(&nothing, &case(2), &Names::default(), &observed);
        assert_eq!((score.requests, score.missing, score.right), (1, 0, 1));
    }

    #[test]
    fn of_a_control_only_slow_requests_are_judged() {
        let nothing = Expected::Nothing(&["on_cpu"]);
        let observed = Observed {
            served: vec![asleep(1, 0), asleep(2, 0)],
            sent: vec![sent(1, 1), sent(2, 1)],
            explained: vec![explained(1, &[("lock", 0)]), explained(2, &[("lock", 1)])],
            lost: 0,
        };
        let (score, _) = judge(&nothing, &case(1), &Names::default(), &observed);
        assert_eq!((score.affected, score.right), (1, 0));
    }

    #[test]
    fn the_error_at_a_quantile_is_one_of_the_errors() {
        let errors_ns = (1..=100).rev().collect();
        let score = Score {
            errors_ns,
            ..Score::default()
        };
        assert_eq!((score.error_ns(0.5), score.error_ns(0.99)), (Some(50), Some(99)));
        assert_eq!(Score::default().error_ns(0.5), None);
    }
}
