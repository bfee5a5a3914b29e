//! How far observer and the server agree about polls, as a table for people and as JSON for programs.

use std::fmt::{Display, Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use super::super::report::percent;
use super::agreement::{Agreement, Compared};
use super::named::Named;

/// So many of the server's polls observer has seen, at least, percent.
const SEEN: u64 = 99;

/// What was found in one case.
#[derive(Debug, Default, Serialize)]
pub(super) struct Result {
    pub(super) case: &'static str,
    pub(super) agreement: Agreement,
    /// Polls in observer's totals.
    pub(super) counted: u64,
    /// Events that observer says it lost.
    pub(super) lost: u64,
    /// Of runs with different options.
    pub(super) named: Vec<Named>,
}

impl Result {
    /// What is under the floor.
    pub(super) fn under_the_floor(&self) -> Option<String> {
        let agreement = &self.agreement;
        let few = |both: u64, of: u64| both * 100 < of * SEEN;
        let under = if agreement.inside == 0 || agreement.long_inside == 0 {
            "the server kept no polls, or none that is long"
        } else if few(agreement.both, agreement.inside) || few(agreement.both, agreement.seen) {
            "polls are known to one side only"
        } else if few(agreement.long_both, agreement.long_inside) {
            "long polls were not found"
        } else if agreement.tasks_wrong > 0 {
            "polls have the wrong task"
        } else {
            return None;
        };
        (self.lost == 0).then(|| format!("{}: {under}", self.case))
    }
}

/// All cases.
pub(super) fn text(results: &[Result]) -> String {
    let mut text = String::new();
    for result in results {
        text += &case(result);
    }
    text += "\ninside    by the server, which keeps each poll of its tasks itself\nerror     how far the two are apart, \
             poll by poll\nnamed     long polls that some line of observer's names with their task, for at least half \
             of their length\n";
    text
}

fn case(result: &Result) -> String {
    let Result {
        case,
        agreement,
        counted,
        lost,
        named,
    } = result;
    let mut text = row(case, ["inside", "observer", "both"]);
    let polls = [agreement.inside, agreement.seen, agreement.both];
    let long = [agreement.long_inside, agreement.long_seen, agreement.long_both];
    text += &row("  polls", polls);
    text += &row("  polls over 1 ms", long);
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "  tasks right {}, wrong {}, not told {}; {counted} in observer's totals; lost {lost}",
        agreement.tasks_right, agreement.tasks_wrong, agreement.tasks_absent
    );
    text += &row("", ["inside", "observer", "error"]);
    text += &compared("length", &agreement.length);
    text += &compared("length over 1 ms", &agreement.long_length);
    text += &compared("queued before", &agreement.queued);
    for run in named {
        let Named {
            options,
            long,
            named,
            by_requests,
        } = run;
        let _ = writeln!(
            text,
            "  {:<24} {named} of {long} ({}), by a request's timeline {by_requests}",
            format!("named, {options}"),
            percent(*named, *long)
        );
    }
    text
}

/// Quantiles of both sides, and of how far they are apart.
fn compared(name: &str, compared: &Compared) -> String {
    let Compared { inside, seen, error } = compared;
    let sides = [inside, seen, error];
    let quantiles = [
        ("median", sides.map(|of| of.p50_ns)),
        ("p99", sides.map(|of| of.p99_ns)),
        ("most", sides.map(|of| of.max_ns)),
    ];
    let rows = quantiles.map(|(quantile, ns)| row(&format!("  {name}, {quantile}"), ns.map(microseconds)));
    rows.concat()
}

fn row(name: &str, columns: [impl Display; 3]) -> String {
    let [inside, seen, last] = columns;
    format!("{name:<26} {inside:>12} {seen:>12} {last:>12}\n")
}

/// What programs get.
pub(super) fn json(results: &[Result]) -> Value {
    json!({"v": 1, "polls": results})
}

fn microseconds(ns: u64) -> String {
    format!("{:.1} us", ns as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All polls are known to both, with their tasks.
    fn agreed() -> Result {
        Result {
            case: "a",
            agreement: Agreement {
                inside: 1000,
                seen: 1000,
                both: 1000,
                tasks_right: 1000,
                long_inside: 10,
                long_seen: 10,
                long_both: 10,
                ..Agreement::default()
            },
            ..Result::default()
        }
    }

    #[test]
    fn agreement_is_over_the_floor() {
        assert_eq!(agreed().under_the_floor(), None);
    }

    #[test]
    fn what_only_one_side_knows_and_a_wrong_task_are_under_the_floor_unless_events_were_lost() {
        let spoiled: [fn(&mut Agreement); 5] = [
            |agreement| agreement.both = 980,
            |agreement| agreement.seen = 1020,
            |agreement| agreement.long_both = 9,
            |agreement| agreement.tasks_wrong = 1,
            |agreement| agreement.long_inside = 0,
        ];
        for spoil in spoiled {
            let mut result = agreed();
            spoil(&mut result.agreement);
            assert!(result.under_the_floor().is_some(), "{result:?}");
            result.lost = 1;
            assert_eq!(result.under_the_floor(), None);
        }
    }

    #[test]
    fn the_table_has_each_side_and_how_far_they_are_apart() {
        let mut result = agreed();
        result.agreement.queued.error.p99_ns = 4_321;
        result.named = vec![
            Named {
                options: "--polls",
                long: 8,
                named: 6,
                by_requests: 2,
            },
            Named::default(),
        ];
        let text = text(&[result]);
        let row = |start: &str| text.lines().find(|line| line.trim().starts_with(start)).unwrap();
        assert!(row("queued before, p99").ends_with("4.3 us"), "{text}");
        assert!(
            row("named, --polls").contains("6 of 8 (75.0%), by a request's timeline 2"),
            "{text}"
        );
        assert!(text.contains("0 of 0 (-)"), "{text}");
    }
}
