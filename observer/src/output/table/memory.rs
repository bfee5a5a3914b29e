//! Memory of the watched processes by now, and of the requests beside their budgets.

use super::budget;
use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::id::Pid;
use crate::model::report::{AtQuantiles, ProcessFigures, ProcessMemory};
use crate::output::words::{self, NOTHING};

/// Most processes that get a line.
const LISTED: usize = 3;

/// One line for each process; `name` tells what a process is called.
pub(super) fn lines<'a>(run: &ProcessFigures, name: impl Fn(Pid) -> Option<&'a str>) -> Vec<Line> {
    let mut lines: Vec<_> = run
        .memory
        .iter()
        .take(LISTED)
        .map(|memory| line(memory, name(memory.pid)))
        .collect();
    let more = run.memory.len().saturating_sub(LISTED) as u64;
    if more > 0 {
        let processes = words::counted(more, "process", "processes");
        lines.push(Line::new().text(FAINT, &format!("         and {processes} more")));
    }
    lines
}

fn line(memory: &ProcessMemory, name: Option<&str>) -> Line {
    let ProcessMemory {
        pid,
        rss_bytes,
        rss_max_bytes,
        minor_faults,
        major_faults,
    } = *memory;
    // A process has some memory until it ends.
    let (now, max) = match (rss_bytes, rss_max_bytes) {
        (0, 0) => ("  ended".to_owned(), String::new()),
        (0, max) => ("  ended".to_owned(), format!(", RSS max {}", words::bytes(max))),
        (now, max) => (
            format!("  RSS {}", words::bytes(now)),
            format!(", max {}", words::bytes(max)),
        ),
    };
    Line::new()
        .text(STRONG, "memory   ")
        .text(
            PLAIN,
            &name.map_or_else(|| format!("pid {pid}"), |name| format!("{name} ({pid})")),
        )
        .text(PLAIN, &now)
        .text(FAINT, &max)
        .text(PLAIN, &format!("; faults {} minor", words::count(minor_faults)))
        .text(PLAIN, &format!(", {} major", words::count(major_faults)))
}

/// Rows of the budget's columns: memory when the mean request of each was answered, and its page faults.
pub(super) fn rows(at: &AtQuantiles) -> [Line; 2] {
    let bands = [&at.p50, &at.p99, &at.p999];
    let rss = bands.map(|band| {
        band.rss
            .map_or_else(|| NOTHING.to_owned(), |rss| words::bytes(rss.end))
    });
    let faults = bands.map(|band| {
        format!(
            "{} / {}",
            words::mean(band.faults.minor),
            words::mean(band.faults.major)
        )
    });
    [
        budget::row(PLAIN, "RSS", &rss),
        budget::row(PLAIN, "faults min/maj", &faults),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn a_process_is_called_by_its_name_where_it_is_known() {
        let run = made_up::figures(1);
        let text = plain(&lines(&run, |pid| (pid == Pid(4120)).then_some("axum-srv")));
        assert_eq!(
            text,
            "memory   axum-srv (4120)  RSS 12.3 MiB, max 13.0 MiB; faults 120 minor, 2 major\n"
        );
        assert!(plain(&lines(&run, |_| None)).contains("pid 4120"));
    }

    #[test]
    fn of_a_process_that_ended_the_most_is_told_and_not_that_it_has_nothing_now() {
        let mut run = made_up::figures(1);
        run.memory[0].rss_bytes = 0;
        assert_eq!(
            plain(&lines(&run, |_| Some("axum-srv"))),
            "memory   axum-srv (4120)  ended, RSS max 13.0 MiB; faults 120 minor, 2 major\n"
        );
        run.memory[0].rss_max_bytes = 0;
        assert_eq!(
            plain(&lines(&run, |_| Some("axum-srv"))),
            "memory   axum-srv (4120)  ended; faults 120 minor, 2 major\n"
        );
    }

    #[test]
    fn many_processes_take_few_lines() {
        for (processes, last) in [(9, "and 6 processes more"), (4, "and 1 process more")] {
            let run = ProcessFigures {
                memory: vec![ProcessMemory::default(); processes],
                ..ProcessFigures::default()
            };
            let text = plain(&lines(&run, |_| None));
            assert_eq!(text.lines().count(), LISTED + 1);
            assert!(text.contains(last), "{text}");
        }
    }

    #[test]
    fn memory_of_the_tail_stands_beside_that_of_the_median() {
        let text = plain(&rows(&made_up::figures(1).at.unwrap()));
        assert!(text.contains("12.3 MiB") && text.contains("14.0 MiB"), "{text}");
        assert!(
            text.contains("0.02 / 0") && text.contains("3.50 / 0.50"),
            "{text}"
        );
    }
}
