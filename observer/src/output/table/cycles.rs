//! Garbage collection of processes that run Go.

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::id::Pid;
use crate::model::report::CycleTotals;
use crate::output::words;

/// Most processes that get a line: those in which the world was stopped for longest.
const LISTED: usize = 3;

/// A line for each process that had a cycle; `name` tells what a process is called.
pub(super) fn lines<'a>(gc: &[CycleTotals], name: impl Fn(Pid) -> Option<&'a str>) -> Vec<Line> {
    let mut had: Vec<_> = gc.iter().filter(|totals| totals.cycles > 0).collect();
    had.sort_by_key(|totals| std::cmp::Reverse(totals.stopped_ns));
    had.truncate(LISTED);
    had.into_iter()
        .map(|totals| line(totals, name(totals.pid)))
        .collect()
}

fn line(totals: &CycleTotals, name: Option<&str>) -> Line {
    let CycleTotals {
        pid,
        cycles,
        missed,
        mark_ns,
        stopped_ns,
        longest_stop_ns,
        assist_ns,
        heap_bytes,
        goal_bytes,
    } = *totals;
    let who = name.map_or_else(|| format!("pid {pid}"), |name| format!("{name} ({pid})"));
    let not_seen = match missed {
        0 => String::new(),
        _ => format!(", {} of them missed", words::count(missed)),
    };
    let assists = match assist_ns {
        0 => String::new(),
        _ => format!(", assists at least {}", words::ns(assist_ns)),
    };
    let figures = format!(
        "  {}{not_seen}: marked {}{assists}, world stopped {}, at most {}",
        words::counted(cycles, "cycle", "cycles"),
        words::ns(mark_ns),
        words::ns(stopped_ns),
        words::ns(longest_stop_ns)
    );
    let goal = goal_bytes.map_or_else(
        || "no goal".to_owned(),
        |goal| format!("goal {}", words::bytes(goal)),
    );
    Line::new()
        .text(STRONG, "gc       ")
        .text(PLAIN, &who)
        .text(PLAIN, &figures)
        .text(FAINT, &format!("; heap {}, {goal}", words::bytes(heap_bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::{is_in_page_on_go, plain};
    use super::*;

    #[test]
    fn a_process_that_had_cycles_has_a_line() {
        let totals = CycleTotals {
            pid: Pid(7),
            cycles: 12,
            missed: 0,
            mark_ns: 31_000_000,
            stopped_ns: 1_200_000,
            longest_stop_ns: 400_000,
            assist_ns: 0,
            heap_bytes: 12 << 20,
            goal_bytes: Some(16 << 20),
        };
        let missed = CycleTotals {
            pid: Pid(8),
            missed: 2,
            assist_ns: 21_000_000,
            goal_bytes: None,
            stopped_ns: 1,
            ..totals
        };
        let none = CycleTotals {
            pid: Pid(9),
            ..CycleTotals::default()
        };
        let name = |pid| (pid == Pid(7)).then_some("srv");
        let told = plain(&lines(&[none, missed, totals], name));
        assert!(is_in_page_on_go(told.lines().next().unwrap()));
        assert_eq!(
            told,
            "gc       srv (7)  12 cycles: marked 31.0 ms, world stopped 1.20 ms, at most 400 µs; heap 12.0 MiB, goal 16.0 MiB\n\
             gc       pid 8  12 cycles, 2 of them missed: marked 31.0 ms, assists at least 21.0 ms, world stopped 1 ns, at most \
             400 µs; heap 12.0 MiB, no goal\n"
        );
    }
}
