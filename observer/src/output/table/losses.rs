//! What was lost, and which requests suffer from it. Never left out: a reader must know that it is nothing.

use super::line::{ALARM, FAINT, Line, PLAIN};
use crate::output::words;
use crate::summary::Totals;

pub(super) fn line(run: &Totals) -> Line {
    let requests = [
        (run.incomplete, "requests incomplete"),
        (run.confidence.partial, "requests with gaps in the evidence"),
        (run.clamped, "latencies outside 1 ns to 1 h"),
    ];
    let reasons = run.lost.iter().map(|&(reason, count)| (count, reason));
    let losses: Vec<_> = requests
        .into_iter()
        .chain(reasons)
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", words::count(count)))
        .collect();
    if losses.is_empty() {
        return Line::new().text(FAINT, "lost     nothing");
    }
    Line::new()
        .text(ALARM, "LOST     ")
        .text(PLAIN, &losses.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;

    #[test]
    fn each_loss_is_told_with_its_reason() {
        let run = Totals {
            incomplete: 12,
            lost: vec![("ring_full", 1_200)],
            ..Totals::default()
        };
        assert_eq!(
            plain(&[line(&run)]),
            "LOST     12 requests incomplete, 1,200 ring_full\n"
        );
    }

    #[test]
    fn that_nothing_was_lost_is_told_too() {
        assert_eq!(plain(&[line(&Totals::default())]), "lost     nothing\n");
    }
}
