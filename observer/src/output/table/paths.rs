//! The paths with the most requests.

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::report::{PathTotals, ProcessFigures};
use crate::output::words;

const COUNT: usize = 12;
const TIME: usize = 9;

/// A title and a line for each path that the summary lists; nothing where none was HTTP.
pub(super) fn lines(run: &ProcessFigures) -> Vec<Line> {
    if run.paths.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        Line::new()
            .left(STRONG, 9, "paths")
            .right(FAINT, COUNT, "requests")
            .right(FAINT, TIME, "p50")
            .right(FAINT, TIME, "p99"),
    ];
    lines.extend(run.paths.iter().map(
        |PathTotals {
             path,
             requests,
             p50_ns,
             p99_ns,
         }| {
            figures(*requests)
                .right(PLAIN, TIME, &words::ns(*p50_ns))
                .right(PLAIN, TIME, &words::ns(*p99_ns))
                .text(PLAIN, "  ")
                .text(PLAIN, path)
        },
    ));
    if run.paths_other > 0 {
        let (full, overflow) = (run.paths_overflow > 0, words::count(run.paths_overflow));
        let note = if full {
            format!("others, {overflow} of them not told apart")
        } else {
            "others".to_owned()
        };
        lines.push(
            figures(run.paths_other)
                .right(PLAIN, 2 * TIME, "")
                .text(FAINT, "  ")
                .text(FAINT, &note),
        );
    }
    lines
}

fn figures(requests: u64) -> Line {
    Line::new().right(PLAIN, 9 + COUNT, &words::count(requests))
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn each_path_has_its_own_latency_and_the_rest_is_counted() {
        let text = plain(&lines(&made_up::figures(1)));
        assert!(text.contains("1,000  1.21 ms  39.8 ms  /work\n"), "{text}");
        assert!(text.ends_with("  others\n"), "{text}");
    }

    #[test]
    fn a_full_table_of_paths_is_not_hidden() {
        let mut run = made_up::figures(1);
        run.paths_overflow = 3;
        assert!(plain(&lines(&run)).ends_with("others, 3 of them not told apart\n"));
    }

    #[test]
    fn without_http_there_is_no_table_of_paths() {
        assert!(lines(&ProcessFigures::default()).is_empty());
    }
}
