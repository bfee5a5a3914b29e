//! The targets, where there are several: a line each, of those that are there the one with the slowest tail first. What
//! follows is of that one.

use std::cmp::Reverse;

use super::causes;
use super::line::{self, FAINT, Line, PLAIN, STRONG};
use crate::model::cause::Cause;
use crate::model::report::{TargetTotals, Totals};
use crate::output::escape::{columns, escape};
use crate::output::words::{self, NOTHING};

/// Columns for what a target is called, and the blank behind it, where lines are short.
const LABEL: usize = 28;
const RATE: usize = 11;
const TIME: usize = 9;

/// Of several targets the one that is shown in full: the highest p99 of those whose requests are of the run's protocol
/// and that are still there, as far as there are such.
pub(super) fn worst(run: &Totals) -> Option<&TargetTotals> {
    by_tail(run).into_iter().next()
}

/// A title, a line for each target but no more than `most` of them, where there is room for so many columns, and how
/// many are left; nothing where there is only one.
pub(super) fn lines(run: &Totals, length_ns: u64, most: usize, room: usize) -> Vec<Line> {
    let targets = by_tail(run);
    if targets.is_empty() {
        return Vec::new();
    }
    let listed: Vec<_> = targets
        .iter()
        .take(most)
        .map(|target| (label(target), target))
        .collect();
    let widest = listed.iter().map(|(label, _)| columns(&escape(label)));
    let width = (widest.max().unwrap_or_default() + 1).clamp(LABEL, line::most_of_label(LABEL, room));
    let mut lines = vec![
        Line::new()
            .left(STRONG, width, "targets")
            .right(FAINT, RATE, "rate")
            .right(FAINT, TIME, "p50")
            .right(FAINT, TIME, "p99")
            .text(FAINT, "  most of it"),
    ];
    lines.extend(listed.iter().map(|(label, target)| {
        let label = Line::new().left(PLAIN, width - 1, label).text(PLAIN, " ");
        line(label, target, length_ns)
    }));
    if let Some(more) = targets.len().checked_sub(most).filter(|more| *more > 0) {
        let targets = words::counted(more as u64, "target", "targets");
        lines.push(Line::new().text(FAINT, &format!("  and {targets} more")));
    }
    if run.targets_other > 0 {
        let requests = words::counted(run.targets_other, "request", "requests");
        lines.push(Line::new().text(
            FAINT,
            &format!("  and {requests} of targets that are not told apart"),
        ));
    }
    lines
}

/// Above what is shown of one of them.
pub(super) fn title(run: &Totals, target: &TargetTotals) -> Line {
    let others_ended = !target.ended && run.targets.iter().any(|other| other.ended);
    let worst = if others_ended {
        "worst of those that run  "
    } else {
        "worst    "
    };
    Line::new()
        .text(STRONG, worst)
        .text(PLAIN, &name(target))
        .text(FAINT, "  budget, paths, workers and memory are of this target")
}

/// All targets, unless there is only one.
fn by_tail(run: &Totals) -> Vec<&TargetTotals> {
    let mut targets: Vec<_> = run.targets.iter().collect();
    if targets.len() < 2 {
        return Vec::new();
    }
    targets.sort_by_key(|target| {
        let is_of_run = target.figures.protocol == run.figures.protocol;
        let p99 = target.figures.latency_ns.map(|quantiles| quantiles.p99);
        Reverse(p99.map(|p99| (is_of_run, !target.ended, p99)))
    });
    targets
}

fn line(label: Line, target: &TargetTotals, length_ns: u64) -> Line {
    let figures = &target.figures;
    let times = figures.latency_ns.map_or_else(
        || [NOTHING; 2].map(str::to_owned),
        |quantiles| [quantiles.p50, quantiles.p99].map(words::ns),
    );
    let line = label
        .right(PLAIN, RATE, &words::rate(figures.requests, length_ns))
        .right(PLAIN, TIME, &times[0])
        .right(PLAIN, TIME, &times[1]);
    let Some(at) = &figures.at else { return line };
    // Of equal ones the first.
    let top = Cause::ALL
        .into_iter()
        .rev()
        .max_by_key(|cause| at.p99.budget_ns.get(*cause));
    top.into_iter().fold(line, |line, cause| {
        let share = words::share(at.p99.budget_ns.get(cause), at.p99.latency_ns);
        line.text(PLAIN, "  ")
            .text(causes::style(cause), cause.name())
            .text(FAINT, &format!(" {share}"))
    })
}

fn label(target: &TargetTotals) -> String {
    format!("  {}", name(target))
}

fn name(target: &TargetTotals) -> String {
    let TargetTotals {
        pid,
        comm,
        processes,
        ended,
        ..
    } = target;
    let ended = if *ended { ", ended" } else { "" };
    let family = match processes {
        0 | 1 => String::new(),
        more => format!(", {more} processes"),
    };
    comm.as_ref().map_or_else(
        || format!("pid {pid}{ended}{family}"),
        |comm| format!("{comm} ({pid}{ended}{family})"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::model::id::Pid;
    use crate::output::made_up;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn the_slowest_tail_comes_first_and_is_told_in_full() {
        let run = made_up::totals_of_two(1_180);
        let text = plain(&lines(&run, 2 * SECOND_NS, 8, 80));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows,
            [
                "targets                            rate      p50      p99  most of it",
                "  axum-srv (4120)                 590/s  1.24 ms  40.1 ms  worker_blocked 77%",
                "  gin-srv (99, 3 processes)       150/s   310 µs  1.90 ms  on_cpu 75%",
            ]
        );
        assert_eq!(worst(&run).map(|target| target.pid), Some(Pid(4120)));
    }

    #[test]
    fn a_long_name_is_cut_where_the_room_ends_and_nowhere_else() {
        let mut run = made_up::totals_of_two(1_180);
        run.targets[1].comm = Some("fifteen-letters".to_owned());
        run.targets[1].ended = true;
        let rows = |room| plain(&lines(&run, SECOND_NS, 8, room));
        let whole = run.targets.iter().map(name).max_by_key(String::len).unwrap();
        assert_eq!(whole, "fifteen-letters (4120, ended)");
        for (room, label) in [(80, &*format!("{}…", &whole[..24])), (200, &whole)] {
            let rows = rows(room);
            assert!(rows.contains(&format!("\n  {label} ")), "{rows}");
            let ends: Vec<_> = rows
                .lines()
                .zip(["rate", "/s", "/s"])
                .map(|(row, last)| row.find(last).map(|at| columns(&row[..at + last.len()])))
                .collect();
            assert_eq!(ends, [ends[0]; 3], "{rows}");
        }
    }

    #[test]
    fn what_is_left_is_counted() {
        let mut run = made_up::totals_of_two(1_180);
        run.targets_other = 7;
        let text = plain(&lines(&run, SECOND_NS, 1, 80));
        assert!(
            text.ends_with("  and 1 target more\n  and 7 requests of targets that are not told apart\n"),
            "{text}"
        );
        run.targets_other = 1;
        let text = plain(&lines(&run, SECOND_NS, 0, 80));
        assert!(
            text.ends_with("  and 2 targets more\n  and 1 request of targets that are not told apart\n"),
            "{text}"
        );
    }

    #[test]
    fn a_target_that_ended_is_not_the_worst_while_another_is_there() {
        let mut run = made_up::totals_of_two(1_000);
        run.targets[1].ended = true;
        assert_eq!(worst(&run).map(|target| target.pid), Some(Pid(99)));
        assert!(plain(&lines(&run, SECOND_NS, 8, 80)).contains("axum-srv (4120, ended)"));
        let of = plain(&[title(&run, &run.targets[0])]);
        assert!(
            of.starts_with("worst of those that run  gin-srv (99, 3 processes)  "),
            "{of}"
        );
        run.targets[0].ended = true;
        assert_eq!(worst(&run).map(|target| target.pid), Some(Pid(4120)));
    }

    #[test]
    fn a_target_of_another_protocol_or_without_requests_is_not_the_worst() {
        let mut run = made_up::totals_of_two(1_180);
        run.targets[1].figures.protocol = Some(crate::model::protocol::Protocol::Other);
        run.targets.push(TargetTotals::default());
        assert_eq!(worst(&run).map(|target| target.pid), Some(Pid(99)));
        let text = plain(&lines(&run, SECOND_NS, 8, 80));
        assert!(
            text.ends_with("  pid 0                             0/s        -        -\n"),
            "{text}"
        );
    }

    #[test]
    fn one_target_has_no_table_of_its_own() {
        let run = made_up::totals(1);
        assert!(lines(&run, SECOND_NS, 8, 80).is_empty() && worst(&run).is_none());
    }
}
