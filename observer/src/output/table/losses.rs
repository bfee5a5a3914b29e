//! What was lost, what was beyond the bounds of tables, and how many requests are reported with less than certainty.
//! Never left out: a reader must know that it is nothing.

use super::line::{ALARM, FAINT, Line, PLAIN};
use crate::model::report::Totals;
use crate::output::words;

/// Of a run at whose end so many requests had no answer; or the recording of it breaks off.
pub(super) fn line(run: &Totals, under_way: u64, truncated: bool) -> Line {
    let figures = &run.figures;
    let losses = losses(run, truncated);
    let line = if losses.is_empty() {
        Line::new().text(FAINT, "lost     ").text(FAINT, "nothing")
    } else {
        Line::new().text(ALARM, "LOST     ").text(PLAIN, &losses)
    };
    let full = joined(run.full.iter().map(|&(table, count)| (count, table, table)));
    let line = if full.is_empty() {
        line
    } else {
        line.text(PLAIN, &format!("; beyond a bound: {full}"))
    };
    let doubts = joined([
        (
            figures.confidence.partial,
            "request of which something was not seen (partial)",
            "requests of which something was not seen (partial)",
        ),
        (
            figures.unsent,
            "request of which it was not seen when TCP sent the last bytes",
            "requests of which it was not seen when TCP sent the last bytes",
        ),
        (
            figures.clamped,
            "latency outside 1 ns to 1 h",
            "latencies outside 1 ns to 1 h",
        ),
        (
            figures.begun_before,
            "request begun before it was watched, not counted",
            "requests begun before they were watched, not counted",
        ),
        (
            figures.unknown_direction,
            "connection of unknown direction, not followed",
            "connections of unknown direction, not followed",
        ),
        (
            figures.unanswered,
            "request without an answer when its connection closed, not counted",
            "requests without an answer when their connection closed, not counted",
        ),
        (
            under_way,
            "request without an answer at the end, not counted",
            "requests without an answer at the end, not counted",
        ),
    ]);
    let line = if doubts.is_empty() {
        line
    } else {
        line.text(FAINT, &format!("; {doubts}"))
    };
    line.wrapping()
}

fn losses(run: &Totals, truncated: bool) -> String {
    let requests = (
        run.figures.incomplete,
        "request incomplete",
        "requests incomplete",
    );
    let reasons = run.lost.iter().map(|&(reason, count)| (count, reason, reason));
    let mut losses = joined(std::iter::once(requests).chain(reasons));
    if truncated {
        if !losses.is_empty() {
            losses.push_str(", ");
        }
        losses.push_str("the rest of the recording, which breaks off");
    }
    losses
}

/// Counts, each with what it is of: of one, and of several.
fn joined<'a>(counts: impl IntoIterator<Item = (u64, &'a str, &'a str)>) -> String {
    let words: Vec<_> = counts
        .into_iter()
        .filter(|&(count, ..)| count > 0)
        .map(|(count, one, many)| words::counted(count, one, many))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::model::report::{ByConfidence, ProcessFigures};

    #[test]
    fn each_loss_is_told_with_its_reason() {
        let run = Totals {
            figures: ProcessFigures {
                incomplete: 12,
                ..ProcessFigures::default()
            },
            lost: vec![("ring_full", 1_200)],
            ..Totals::default()
        };
        assert_eq!(
            plain(&[line(&run, 0, false)]),
            "LOST     12 requests incomplete, 1,200 ring_full\n"
        );
    }

    #[test]
    fn that_the_recording_breaks_off_is_a_loss() {
        let mut run = Totals::default();
        assert_eq!(
            plain(&[line(&run, 0, true)]),
            "LOST     the rest of the recording, which breaks off\n"
        );
        run.lost = vec![("ring_full", 2)];
        assert_eq!(
            plain(&[line(&run, 1, true)]),
            "LOST     2 ring_full, the rest of the recording, which breaks off; \
             1 request without an answer at the end, not counted\n"
        );
    }

    #[test]
    fn a_gap_in_the_evidence_is_no_loss() {
        let confidence = ByConfidence {
            partial: 3,
            ..ByConfidence::default()
        };
        let figures = ProcessFigures {
            confidence,
            ..ProcessFigures::default()
        };
        let run = Totals {
            figures,
            ..Totals::default()
        };
        assert_eq!(
            plain(&[line(&run, 2, false)]),
            "lost     nothing; 3 requests of which something was not seen (partial), 2 requests without an answer at the \
             end, not counted\n"
        );
        let guide = include_str!("../../../../docs/guide.md");
        assert!(guide.contains("`requests of which something was not seen (partial)`"));
    }

    #[test]
    fn of_one_it_is_told_as_of_one() {
        let confidence = ByConfidence {
            partial: 1,
            ..ByConfidence::default()
        };
        let run = Totals {
            figures: ProcessFigures {
                confidence,
                incomplete: 1,
                unsent: 1,
                clamped: 1,
                begun_before: 1,
                unknown_direction: 1,
                ..ProcessFigures::default()
            },
            ..Totals::default()
        };
        assert_eq!(
            plain(&[line(&run, 1, false)]),
            "LOST     1 request incomplete; 1 request of which something was not seen (partial), \
             1 request of which it was not seen when TCP sent the last bytes, 1 latency outside 1 ns to 1 h, \
             1 request begun before it was watched, not counted, 1 connection of unknown direction, not followed, \
             1 request without an answer at the end, not counted\n"
        );
    }

    #[test]
    fn requests_that_clients_gave_up_are_told() {
        let figures = ProcessFigures {
            unanswered: 3,
            ..ProcessFigures::default()
        };
        let run = Totals {
            figures,
            ..Totals::default()
        };
        assert_eq!(
            plain(&[line(&run, 0, false)]),
            "lost     nothing; 3 requests without an answer when their connection closed, not counted\n"
        );
    }

    #[test]
    fn what_was_beyond_the_bounds_of_tables_is_told() {
        let run = Totals {
            full: vec![("futexes", 65_536), ("workers", 3)],
            ..Totals::default()
        };
        assert_eq!(
            plain(&[line(&run, 0, false)]),
            "lost     nothing; beyond a bound: 65,536 futexes, 3 workers\n"
        );
        let guide = include_str!("../../../../docs/guide.md");
        assert!(guide.contains("`beyond a bound`"));
    }

    #[test]
    fn that_nothing_was_lost_is_told_too() {
        assert_eq!(plain(&[line(&Totals::default(), 0, false)]), "lost     nothing\n");
    }
}
