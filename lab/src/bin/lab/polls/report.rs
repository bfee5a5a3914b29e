//! How far observer and the server agree about polls, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

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
    let mut text = format!("{case:<26} {:>12} {:>12} {:>12}\n", "inside", "observer", "both");
    count_row(
        &mut text,
        "polls",
        [agreement.inside, agreement.seen, agreement.both],
    );
    count_row(
        &mut text,
        "polls over 1 ms",
        [agreement.long_inside, agreement.long_seen, agreement.long_both],
    );
    let _ = writeln!(
        text,
        "  tasks right {}, wrong {}, not told {}; {counted} in observer's totals; lost {lost}",
        agreement.tasks_right, agreement.tasks_wrong, agreement.tasks_absent
    );
    let of = |name: &str, part: &str| format!("{name}, {part}");
    let _ = writeln!(
        text,
        "  {:<24} {:>12} {:>12} {:>12}",
        "", "inside", "observer", "error"
    );
    for (name, compared) in [
        ("length", &agreement.length),
        ("length over 1 ms", &agreement.long_length),
        ("queued before", &agreement.queued),
    ] {
        let Compared { inside, seen, error } = compared;
        let sides = [inside, seen, error];
        let rows = [
            ("median", sides.map(|of| of.p50_ns)),
            ("p99", sides.map(|of| of.p99_ns)),
            ("most", sides.map(|of| of.max_ns)),
        ];
        for (part, ns) in rows {
            let [inside, seen, error] = ns.map(microseconds);
            let _ = writeln!(
                text,
                "  {:<24} {inside:>12} {seen:>12} {error:>12}",
                of(name, part)
            );
        }
    }
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
            of("named", options),
            percent(*named, *long)
        );
    }
    text
}

fn count_row(text: &mut String, name: &str, counts: [u64; 3]) {
    let [inside, seen, both] = counts;
    let _ = writeln!(text, "  {name:<24} {inside:>12} {seen:>12} {both:>12}");
}

/// What programs get.
pub(super) fn json(results: &[Result]) -> Value {
    json!({"v": 1, "polls": results})
}

fn microseconds(ns: u64) -> String {
    format!("{:.1} us", ns as f64 / 1000.0)
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.1}%", 100.0 * part as f64 / whole as f64)
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
