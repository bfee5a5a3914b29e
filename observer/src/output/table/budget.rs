//! Where the time went: the mean budgets around three quantiles side by side, and what was waited for.
//!
//! A cause has a line where it was charged in any of the three. What was waited for is that of the tail
//! first.

use anstyle::Style;

use super::line::{FAINT, Line, PLAIN, STRONG};
use super::{causes, wait};
use crate::model::cause::Cause;
use crate::model::report::{AtQuantiles, BandMeans, WaitedFor};
use crate::output::words::{self, NOTHING};

const LABEL: usize = 17;
const TIME: usize = 11;
const SHARE: usize = 6;

/// Most things waited for that are listed of one cause.
const LISTED: usize = 2;

/// A title, a line for each cause, and their sum.
pub(super) fn lines(at: &AtQuantiles) -> Vec<Line> {
    let bands = [("p50", &at.p50), ("p99", &at.p99), ("p99.9", &at.p999)];
    let mut title = Line::new().left(STRONG, LABEL, "budget");
    for (name, band) in bands {
        title = title.right(
            FAINT,
            TIME + SHARE,
            &format!("{name} (n={})", words::count(band.requests)),
        );
    }
    let mut lines = vec![title];
    for cause in Cause::ALL {
        if bands.iter().any(|(_, band)| band.budget_ns.get(cause) > 0) {
            lines.push(charged(cause, bands.map(|(_, band)| band)));
            lines.extend(waited_for(cause, at));
        }
    }
    lines.push(row(
        STRONG,
        "latency",
        &bands.map(|(_, band)| words::ns(band.latency_ns)),
    ));
    lines.push(row(
        PLAIN,
        "before read",
        &bands.map(|(_, band)| words::ns(band.receive_queue_ns)),
    ));
    lines
}

/// A line in the columns of the budget.
pub(super) fn row(style: Style, label: &str, cells: &[String; 3]) -> Line {
    let mut line = Line::new().left(style, LABEL, &format!("  {label}"));
    for (index, cell) in cells.iter().enumerate() {
        // In place of the share of the column before.
        line = line.right(style, TIME + if index == 0 { 0 } else { SHARE }, cell);
    }
    line
}

fn charged(cause: Cause, bands: [&BandMeans; 3]) -> Line {
    let mut line = Line::new().left(causes::style(cause), LABEL, &format!("  {}", cause.name()));
    // In place of a share that is not there, so that no line ends in blanks.
    let mut gap = 0;
    for band in bands {
        match band.budget_ns.get(cause) {
            0 => {
                line = line.right(FAINT, gap + TIME, NOTHING);
                gap = SHARE;
            }
            ns => {
                let share = words::share(ns, band.latency_ns);
                line = line
                    .right(PLAIN, gap + TIME, &words::ns(ns))
                    .right(FAINT, SHARE, &share);
                gap = 0;
            }
        }
    }
    line
}

fn waited_for(cause: Cause, at: &AtQuantiles) -> Vec<Line> {
    let bands = [("p99", &at.p99), ("p99.9", &at.p999), ("p50", &at.p50)];
    let lines = bands.into_iter().find_map(|(name, band)| {
        let lines: Vec<_> = band
            .waited_for
            .iter()
            .filter(|waited| waited.cause == cause)
            .take(LISTED)
            .filter_map(|waited| one_waited_for(name, waited))
            .collect();
        (!lines.is_empty()).then_some(lines)
    });
    lines.unwrap_or_default()
}

fn one_waited_for(at: &str, waited: &WaitedFor) -> Option<Line> {
    let what = wait::of_several(waited);
    let requests = if waited.requests == 1 {
        "request"
    } else {
        "requests"
    };
    (!what.is_empty()).then(|| {
        Line::new()
            .text(PLAIN, &format!("    {} {what}", words::ns(waited.mean_ns)))
            .text(
                FAINT,
                &format!(" ({} {requests} at {at})", words::count(waited.requests)),
            )
    })
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn causes_stand_above_their_sum() {
        let text = plain(&lines(&made_up::figures(1).at.unwrap()));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows[0],
            "budget                 p50 (n=120)       p99 (n=13)      p99.9 (n=1)"
        );
        assert_eq!(
            rows[1],
            "  run_queue           310 µs   25%    4.10 ms   10%    4.10 ms   10%"
        );
        assert_eq!(
            rows[3],
            "  worker_blocked           -          30.8 ms   77%    31.7 ms   77%"
        );
        assert_eq!(
            rows[6],
            "  latency            1.24 ms          40.1 ms          41.0 ms"
        );
    }

    #[test]
    fn a_cause_is_followed_by_what_was_waited_for_in_the_tail() {
        let text = plain(&lines(&made_up::figures(1).at.unwrap()));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows[2], "    4.10 ms behind hog (77) (3 requests at p99)");
        assert_eq!(
            rows[4],
            "    30.8 ms behind axum-srv (4120) in clock_nanosleep for GET /blocking (12 requests at p99)"
        );
    }

    #[test]
    fn a_cause_that_was_never_charged_has_no_line() {
        let text = plain(&lines(&made_up::figures(1).at.unwrap()));
        assert!(!text.contains("throttled") && !text.contains("lock "), "{text}");
    }
}
