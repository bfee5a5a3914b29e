//! How many requests there were and how long they took: in the last window, and in the run.

use super::line::{ALARM, FAINT, Line, PLAIN, STRONG};
use crate::model::report::{ByStatus, ProcessFigures, Quantiles};
use crate::output::words::{self, NOTHING};

const LABEL: usize = 9;
const COUNT: usize = 12;
const RATE: usize = 11;
const TIME: usize = 9;

/// The lines for the run, with those for the last window where there is one. Lengths are in ns.
pub(super) fn lines(run: (&ProcessFigures, u64), window: Option<(&ProcessFigures, u64)>) -> Vec<Line> {
    let mut title = Line::new()
        .left(STRONG, LABEL, "latency")
        .right(FAINT, COUNT, "requests")
        .right(FAINT, RATE, "rate");
    for name in ["p50", "p90", "p99", "p99.9", "max"] {
        title = title.right(FAINT, TIME, name);
    }
    let mut lines = vec![title];
    lines.extend(window.map(|(totals, length_ns)| row("  window", totals, length_ns)));
    lines.push(row("  run", run.0, run.1));
    lines.extend(status(&run.0.status));
    lines
}

fn row(label: &str, totals: &ProcessFigures, length_ns: u64) -> Line {
    let mut line = Line::new()
        .left(PLAIN, LABEL, label)
        .right(PLAIN, COUNT, &words::count(totals.requests))
        .right(PLAIN, RATE, &words::rate(totals.requests, length_ns));
    let times = totals.latency_ns.map(
        |Quantiles {
             min: _,
             mean: _,
             p50,
             p90,
             p99,
             p999,
             max,
         }| { [p50, p90, p99, p999, max].map(words::ns) },
    );
    for time in times.unwrap_or_else(|| [NOTHING; 5].map(str::to_owned)) {
        line = line.right(PLAIN, TIME, &time);
    }
    line
}

/// Classes of status, unless everything went well.
fn status(status: &ByStatus) -> Option<Line> {
    let ByStatus {
        informational,
        success,
        redirect,
        client_error,
        server_error,
        unknown,
    } = *status;
    let classes = [
        (success, "2xx", PLAIN),
        (informational, "1xx", PLAIN),
        (redirect, "3xx", PLAIN),
        (client_error, "4xx", PLAIN),
        (server_error, "5xx", ALARM),
        (unknown, "without a status", PLAIN),
    ];
    let others: u64 = classes[1..].iter().map(|(requests, ..)| requests).sum();
    (others > 0).then(|| {
        let mut line = Line::new().text(PLAIN, "  status");
        for (requests, class, style) in classes.into_iter().filter(|(requests, ..)| *requests > 0) {
            line = line.text(style, &format!("   {} {class}", words::count(requests)));
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn the_window_stands_above_the_run() {
        let (window, run) = (made_up::figures(130), made_up::figures(1_180));
        let text = plain(&lines((&run, 2_000_000_000), Some((&window, 1_000_000_000))));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows.len(), 3, "all went well: no line for the status");
        assert!(
            rows[1].starts_with("  window") && rows[1].contains(" 130/s "),
            "{text}"
        );
        assert!(
            rows[2].starts_with("  run") && rows[2].contains(" 1,180 ") && rows[2].contains(" 590/s "),
            "{text}"
        );
        assert!(
            rows[2].ends_with("1.24 ms  3.10 ms  40.1 ms  41.0 ms  55.2 ms"),
            "{text}"
        );
    }

    #[test]
    fn what_did_not_go_well_is_told_by_class() {
        let mut run = made_up::figures(10);
        run.status = ByStatus {
            success: 7,
            server_error: 2,
            unknown: 1,
            ..ByStatus::default()
        };
        let text = plain(&lines((&run, 1), None));
        assert!(
            text.ends_with("  status   7 2xx   2 5xx   1 without a status\n"),
            "{text}"
        );
    }

    #[test]
    fn without_requests_there_are_no_quantiles() {
        let text = plain(&lines((&ProcessFigures::default(), 1_000_000_000), None));
        assert!(text.contains(" 0/s        -        -"), "{text}");
    }
}
