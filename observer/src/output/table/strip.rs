//! A request's timeline as a strip of equal cells: each stands for the cause of most of its time.

use super::causes;
use super::line::{Line, PLAIN};
use crate::model::cause::{Budget, Cause};
use crate::model::request::Span;

/// Cells of a strip: on 80 columns there is still room for who was waited for.
pub(super) const CELLS: usize = 12;

#[derive(Clone, Copy, Debug)]
pub(super) struct Strip([Option<Cause>; CELLS]);

impl Strip {
    /// The strip of spans that cover `latency_ns`.
    pub(super) fn new(timeline: &[Span], latency_ns: u64) -> Self {
        let mut cells = [Budget::default(); CELLS];
        for span in timeline {
            let end_ns = span.at_ns.saturating_add(span.dur_ns);
            let first = cell_of(span.at_ns, latency_ns);
            let last = cell_of(end_ns.saturating_sub(1), latency_ns).max(first);
            for (place, cell) in (first..).zip(&mut cells[first..=last]) {
                let from_ns = span.at_ns.max(start_of(place, latency_ns));
                let to_ns = end_ns.min(start_of(place + 1, latency_ns));
                cell.charge(span.cause, to_ns.saturating_sub(from_ns));
            }
        }
        // Of causes with equal time the first in reading order, so that the choice is always the same.
        let most = |cell: Budget| {
            cell.charged()
                .max_by_key(|&(cause, ns)| (ns, std::cmp::Reverse(cause)))
        };
        Self(cells.map(|cell| most(cell).map(|(cause, _)| cause)))
    }

    /// Whether a cell stands for `cause`.
    pub(super) fn shows(&self, cause: Cause) -> bool {
        self.0.contains(&Some(cause))
    }

    /// Adds the cells to `line`.
    pub(super) fn draw(&self, line: Line) -> Line {
        self.0
            .chunk_by(|a, b| a == b)
            .fold(line, |line, run| match run[0] {
                Some(cause) => line.text(causes::style(cause), &causes::letter(cause).repeat(run.len())),
                None => line.text(PLAIN, &" ".repeat(run.len())),
            })
    }
}

fn cell_of(at_ns: u64, latency_ns: u64) -> usize {
    let cell = u128::from(at_ns) * CELLS as u128 / u128::from(latency_ns.max(1));
    usize::try_from(cell).unwrap_or(CELLS).min(CELLS - 1)
}

/// The first nanosecond that [`cell_of`] puts in a cell.
fn start_of(cell: usize, latency_ns: u64) -> u64 {
    let start = (cell as u128 * u128::from(latency_ns)).div_ceil(CELLS as u128);
    u64::try_from(start).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::model::request::Detail;
    use crate::output::made_up;

    fn spans(parts: &[(Cause, u64)]) -> (Vec<Span>, u64) {
        let mut end_ns = 0;
        let spans = parts.iter().map(|&(cause, dur_ns)| {
            let at_ns = end_ns;
            end_ns += dur_ns;
            Span {
                at_ns,
                dur_ns,
                cause,
                tid: None,
                cpu: None,
                detail: Detail::default(),
                culprit: None,
            }
        });
        (spans.collect(), end_ns)
    }

    fn drawn(parts: &[(Cause, u64)]) -> String {
        let (timeline, latency_ns) = spans(parts);
        plain(&[Strip::new(&timeline, latency_ns).draw(Line::new())])
    }

    #[test]
    fn causes_take_cells_in_proportion_to_their_time() {
        let parts = [
            (Cause::WorkerBlocked, 10),
            (Cause::RunQueue, 4),
            (Cause::OnCpu, 6),
        ];
        assert_eq!(drawn(&parts), "BBBBBBQQ####\n");
        let longer = parts.map(|(cause, ns)| (cause, ns * 1_000_003));
        assert_eq!(drawn(&longer), drawn(&parts));
    }

    #[test]
    fn a_cell_stands_for_the_cause_of_most_of_its_time() {
        let parts = [(Cause::OnCpu, 51), (Cause::Syscall, 49), (Cause::Lock, 1_100)];
        assert_eq!(drawn(&parts), format!("#{}\n", "L".repeat(CELLS - 1)));
    }

    #[test]
    fn a_latency_shorter_than_the_strip_is_drawn_all_the_same() {
        let text = drawn(&[(Cause::OnCpu, 2), (Cause::Lock, 1)]);
        assert_eq!(text.chars().filter(|c| "#L".contains(*c)).count(), 3);
        assert_eq!(drawn(&[]), format!("{}\n", " ".repeat(CELLS)));
    }

    #[test]
    fn the_made_up_request_begins_blocked() {
        let request = made_up::blocked(1);
        let strip = Strip::new(&request.timeline, request.figures.latency_ns);
        assert!(strip.shows(Cause::WorkerBlocked) && !strip.shows(Cause::Lock));
    }
}
