//! How causes look: a letter and a colour for each, the same wherever the table shows them.

use anstyle::{AnsiColor, Style};

use super::line::colour;
use crate::model::cause::Cause;

/// The letter that stands for a cause in a strip.
pub(super) const fn letter(cause: Cause) -> &'static str {
    match cause {
        Cause::AcceptQueue => "A",
        Cause::RunQueue => "Q",
        Cause::Throttled => "H",
        Cause::WorkerBusy => "W",
        Cause::WorkerBlocked => "B",
        Cause::TaskQueue => "T",
        Cause::Lock => "L",
        Cause::Syscall => "S",
        Cause::Downstream => "D",
        Cause::Timer => "Z",
        Cause::PageFault => "F",
        Cause::Runtime => "G",
        Cause::Client => "C",
        Cause::SendBlocked => "N",
        Cause::Stolen => "V",
        Cause::HeldBack => "K",
        Cause::OnCpu => "#",
        Cause::Unexplained => "?",
    }
}

/// The colour of a cause: workers red, CPU yellow and green, waits for others blue to magenta.
pub(super) const fn style(cause: Cause) -> Style {
    match cause {
        Cause::WorkerBlocked | Cause::WorkerBusy => colour(AnsiColor::Red),
        Cause::RunQueue | Cause::Throttled | Cause::Stolen => colour(AnsiColor::Yellow),
        Cause::OnCpu => colour(AnsiColor::Green),
        Cause::Downstream | Cause::Client | Cause::SendBlocked | Cause::HeldBack => colour(AnsiColor::Blue),
        Cause::Syscall | Cause::PageFault | Cause::Timer => colour(AnsiColor::Cyan),
        Cause::AcceptQueue | Cause::TaskQueue | Cause::Lock | Cause::Runtime => colour(AnsiColor::Magenta),
        Cause::Unexplained => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_causes_have_the_same_letter() {
        let mut letters: Vec<_> = Cause::ALL.into_iter().map(letter).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), Cause::ALL.len());
    }
}
