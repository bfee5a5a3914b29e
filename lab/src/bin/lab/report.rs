//! The results, as a table for people and as JSON for programs.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::scenario::KnownFailure;
use super::score::Score;

/// A right top cause for so many of the judged requests, percent: in every scenario, and over all.
const RIGHT_IN_EACH: u64 = 95;
const RIGHT_OVER_ALL: u64 = 99;
/// So many requests have at most a twentieth of their time unexplained, percent.
const WELL_EXPLAINED: u64 = 99;
/// One wrong answer may be the machine's fault, however few there are to judge.
const FORGIVEN: u64 = 1;
/// Of so many requests one may be hidden by the machine, and no fault of observer's. 4 of 800 were seen.
const HIDDEN_ONE_OF: u64 = 200;

/// Kinds of mistakes that are told of a scenario under its floor.
const MOST_MISTAKES: usize = 8;

/// A scenario's results.
pub(super) struct Result {
    pub(super) scenario: &'static str,
    pub(super) about: &'static str,
    pub(super) known: Option<KnownFailure>,
    /// The first causes of its parts.
    pub(super) causes: Vec<&'static str>,
    /// By case.
    pub(super) cases: Vec<(String, Score)>,
}

impl Result {
    /// Over all cases.
    pub(super) fn total(&self) -> Score {
        sum(self.cases.iter().map(|(_, score)| score))
    }

    /// Causes that were expected, and of which no judged request had enough.
    fn never_judged(&self) -> impl Iterator<Item = &'static str> {
        let judged = self.total().parts;
        let causes = self.causes.iter().copied();
        causes.filter(move |cause| !judged.contains_key(*cause))
    }

    /// What is under the floor: too few right answers or names, a wrong name, or requests that only one side knows. Of
    /// one that is known to fail, more wrong answers than are known.
    pub(super) fn under_the_floor(&self) -> Option<String> {
        let score = self.total();
        let few =
            |right: u64, others: u64| right * 100 < (right + others) * RIGHT_IN_EACH && others > FORGIVEN;
        let hidden = score.hidden.min(score.requests / HIDDEN_ONE_OF);
        let others = score.affected - score.right - hidden;
        let are_few = match self.known {
            Some(known) => {
                let unexplained =
                    (score.unexplained() - score.hidden).min(score.affected * known.most_unexplained / 100);
                others.saturating_sub(unexplained) * 100 > score.requests * known.most_wrong
            }
            None => few(score.right, others),
        };
        if are_few {
            return Some(format!(
                "{}: {} of {} judged requests have a right top cause{}",
                self.scenario,
                score.right,
                score.affected,
                mistakes(&score)
            ));
        }
        let wrong = score.misnamed;
        let (named, absent) = (
            score.culprits_right + score.tasks_right,
            score.culprits_absent + score.tasks_absent,
        );
        if wrong > FORGIVEN || few(named, absent) {
            return Some(format!(
                "{}: of those to blame {named} were named, {absent} were not, and for {wrong} requests somebody else was{}",
                self.scenario,
                mistakes(&score)
            ));
        }
        let strangers = score.missing + score.extra;
        (strangers > 0 && score.lost == 0).then(|| {
            format!(
                "{}: {} requests were not reported, {} were that nobody sent",
                self.scenario, score.missing, score.extra
            )
        })
    }
}

/// The most frequent ones, a line each.
fn mistakes(score: &Score) -> String {
    let mut mistakes: Vec<_> = score.mistakes.iter().collect();
    mistakes.sort_by_key(|(_, count)| Reverse(**count));
    let lines = mistakes.iter().take(MOST_MISTAKES);
    lines
        .map(|(mistake, count)| format!("\n    {count} x {mistake}"))
        .collect()
}

fn over_all(results: &[Result]) -> Score {
    let cases = results.iter().flat_map(|result| &result.cases);
    sum(cases.map(|(_, score)| score))
}

fn sum<'a>(scores: impl Iterator<Item = &'a Score>) -> Score {
    scores.fold(Score::default(), |mut sum, score| {
        sum.add(score);
        sum
    })
}

/// All scenarios and what the targets are.
pub(super) fn text(results: &[Result]) -> String {
    let mut text = heading();
    for result in results {
        text += &row(result.scenario, &result.total());
    }
    let all = over_all(results);
    text += &row("all", &all);
    let _ = writeln!(
        text,
        "{:<22} {:>8} {:>7} {:>6}% each, {}% over all   {:>38} {:>17} {:>17} {:>6}%",
        "target", "", "", RIGHT_IN_EACH, RIGHT_OVER_ALL, "no wrong culprit", "", "99% exact", WELL_EXPLAINED
    );
    text += "\nright    judged requests whose top cause is a right one\nwithin   injected parts whose charge is off by \
             at most 200 us or a twentieth; median and p99 of that error beside it\nculprit  right / wrong / absent\n\
             task     the same for the runtime's task that was waited for\nsure     judged requests whose explanation \
             is exact / inferred / partial\n<=5%     requests with at most a twentieth of their time unexplained; beside it, unexplained of all \
             time\n";
    text += &confusion(&all);
    for result in results {
        if let Some(known) = result.known {
            let _ = write!(text, "\n{} is known to fail: {}", result.scenario, known.why);
        }
        let hidden = result.total().hidden;
        if hidden > 0 {
            let _ = write!(
                text,
                "\n{}: of {hidden} judged requests the machine hid what their thread did",
                result.scenario
            );
        }
        for cause in result.never_judged() {
            let _ = write!(
                text,
                "\n{}: {cause} was not judged: there was none",
                result.scenario
            );
        }
    }
    text.push('\n');
    text
}

fn heading() -> String {
    format!(
        "{:<22} {:>8} {:>7} {:>7} {:>7} {:>9} {:>9} {:>17} {:>17} {:>17} {:>7} {:>7} {:>8} {:>6}\n",
        "scenario",
        "requests",
        "judged",
        "right",
        "within",
        "median",
        "p99",
        "culprit r/w/a",
        "task r/w/a",
        "sure e/i/p",
        "<=5%",
        "unexpl.",
        "missing",
        "extra"
    )
}

fn row(name: &str, score: &Score) -> String {
    let culprits = format!(
        "{}/{}/{}",
        score.culprits_right, score.culprits_wrong, score.culprits_absent
    );
    let tasks = format!(
        "{}/{}/{}",
        score.tasks_right, score.tasks_wrong, score.tasks_absent
    );
    let sure = format!("{}/{}/{}", score.exact, score.inferred, score.partial);
    format!(
        "{name:<22} {:>8} {:>7} {:>7} {:>7} {:>9} {:>9} {culprits:>17} {tasks:>17} {sure:>17} {:>7} {:>7} {:>8} {:>6}\n",
        score.requests,
        score.affected,
        percent(score.right, score.affected),
        percent(score.within, score.errors_ns.len() as u64),
        microseconds(score.error_ns(0.5)),
        microseconds(score.error_ns(0.99)),
        percent(score.well_explained, score.explained),
        percent(score.unexplained_ns, score.latency_ns),
        score.missing,
        score.extra,
    )
}

/// What was expected, and what was named instead: counts of judged requests.
fn confusion(all: &Score) -> String {
    let columns: BTreeSet<&String> = all.named.values().flat_map(|row| row.keys()).collect();
    let mut text = "\nexpected \\ named ".to_owned();
    for column in &columns {
        let _ = write!(text, " {column:>14}");
    }
    text.push('\n');
    for (expected, row) in &all.named {
        let _ = write!(text, "{expected:<17}");
        for column in &columns {
            let count = row.get(*column).map_or_else(|| "-".to_owned(), u64::to_string);
            let _ = write!(text, " {count:>14}");
        }
        text.push('\n');
    }
    text
}

/// What programs get: every scenario, every case.
pub(super) fn json(results: &[Result]) -> Value {
    let scenarios: Vec<Value> = results
        .iter()
        .map(|result| {
            let cases = result.cases.iter();
            let cases: Vec<Value> = cases
                .map(|(case, score)| json!({"case": case, "score": score_json(score)}))
                .collect();
            json!({
                "scenario": result.scenario,
                "about": result.about,
                "known": result.known.map(|known| known.why),
                "score": score_json(&result.total()),
                "cases": cases,
            })
        })
        .collect();
    let all = over_all(results);
    json!({"v": 1, "scenarios": scenarios, "all": score_json(&all)})
}

fn score_json(score: &Score) -> Value {
    let mut value = json!(score);
    value["parts"] = json!(score.errors_ns.len());
    value["error_ns"] = json!({"median": score.error_ns(0.5), "p99": score.error_ns(0.99)});
    value
}

/// A part of a whole; a dash of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1}%", 100.0 * part as f64 / whole as f64),
    }
}

fn microseconds(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), |ns| format!("{} us", ns / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Option<KnownFailure> = Some(KnownFailure {
        why: "why",
        most_wrong: 20,
        most_unexplained: 0,
    });

    fn result(score: Score, known: Option<KnownFailure>) -> Result {
        Result {
            scenario: "a",
            about: "",
            known,
            causes: vec!["lock"],
            cases: vec![("b".to_owned(), score)],
        }
    }

    #[test]
    fn a_cause_of_which_no_request_had_enough_is_told() {
        let mut score = judged(1, 1);
        assert_eq!(
            result(score.clone(), None).never_judged().collect::<Vec<_>>(),
            ["lock"]
        );
        score.parts.insert("lock".to_owned(), 1);
        assert_eq!(result(score, None).never_judged().count(), 0);
    }

    fn judged(affected: u64, right: u64) -> Score {
        Score {
            requests: affected,
            affected,
            right,
            ..Score::default()
        }
    }

    #[test]
    fn too_few_right_answers_are_under_the_floor_and_fewer_than_are_known_under_that_of_known_failures() {
        assert!(result(judged(100, 94), None).under_the_floor().is_some());
        assert!(result(judged(100, 80), KNOWN).under_the_floor().is_none());
        assert!(result(judged(100, 79), KNOWN).under_the_floor().is_some());
        assert!(result(judged(100, 95), None).under_the_floor().is_none());
    }

    #[test]
    fn what_is_known_to_be_unexplained_is_no_wrong_answer_and_more_of_it_is() {
        let known = |most_unexplained| {
            Some(KnownFailure {
                why: "why",
                most_wrong: 5,
                most_unexplained,
            })
        };
        let named = |unexplained, wrong| {
            let mut score = judged(100, 100 - unexplained - wrong);
            let row = [("unexplained", unexplained), ("timer", wrong)];
            let row = row.map(|(cause, count)| (cause.to_owned(), count));
            score.named.insert("lock".to_owned(), row.into());
            score
        };
        assert!(result(named(90, 5), known(90)).under_the_floor().is_none());
        assert!(result(named(90, 6), known(90)).under_the_floor().is_some());
        assert!(result(named(90, 5), known(80)).under_the_floor().is_some());
        assert!(result(named(6, 0), known(0)).under_the_floor().is_some());
    }

    #[test]
    fn names_that_are_wrong_or_absent_are_under_the_floor() {
        let named = |right, wrong, absent| Score {
            culprits_right: right,
            misnamed: wrong,
            culprits_absent: absent,
            ..judged(100, 100)
        };
        assert!(result(named(95, 0, 5), None).under_the_floor().is_none());
        assert!(result(named(94, 0, 6), None).under_the_floor().is_some());
        assert!(result(named(98, 2, 0), None).under_the_floor().is_some());
        let wrong = result(named(98, 2, 0), KNOWN).under_the_floor();
        let text = "a: of those to blame 98 were named, 0 were not, and for 2 requests somebody else was";
        assert_eq!(wrong.as_deref(), Some(text));
    }

    #[test]
    fn what_the_machine_hid_is_forgiven_of_one_request_in_200() {
        let hidden = |requests, hidden| Score {
            requests,
            hidden,
            named: [("nothing".to_owned(), [("unexplained".to_owned(), hidden)].into())].into(),
            ..judged(hidden, 0)
        };
        assert!(result(hidden(800, 4), None).under_the_floor().is_none());
        assert!(result(hidden(800, 6), None).under_the_floor().is_some());
        assert!(result(hidden(800, 4), KNOWN).under_the_floor().is_none());
    }

    #[test]
    fn one_wrong_answer_of_few_is_forgiven() {
        assert!(result(judged(10, 9), None).under_the_floor().is_none());
        assert!(result(judged(10, 8), None).under_the_floor().is_some());
    }

    #[test]
    fn a_request_that_was_not_reported_is_under_the_floor_unless_events_were_lost() {
        let missing = |lost| Score {
            missing: 1,
            lost,
            ..Score::default()
        };
        assert!(result(missing(0), KNOWN).under_the_floor().is_some());
        assert!(result(missing(3), None).under_the_floor().is_none());
    }

    #[test]
    fn the_table_has_a_row_a_scenario_and_the_matrix_a_row_a_cause() {
        let mut score = judged(3, 2);
        let named = [("lock", 2), ("timer", 1)].map(|(cause, count)| (cause.to_owned(), count));
        score.named.insert("lock".to_owned(), named.into());
        let text = text(&[result(score, None)]);
        let row = |start: &str| {
            text.lines()
                .find(|line| line.starts_with(start))
                .unwrap()
                .to_owned()
        };
        assert!(row("a ").contains("66.7%"), "{text}");
        let matrix: Vec<_> = row("lock ").split_whitespace().map(str::to_owned).collect();
        assert_eq!(matrix, ["lock", "2", "1"]);
    }
}
