//! Says on standard error what is missing from a run, and what to do.

use std::io::{self, IsTerminal as _, Write as _};

use observer::model::hint::Hint;
use observer::output::escape::escape;

use super::args::Print;
use super::sinks;

/// Says these, unless a table has them on the same terminal: its next picture would be drawn over them.
pub(crate) fn say(hints: &[Hint], print: &Print) {
    if sinks::is_drawn(print) && io::stderr().is_terminal() {
        return;
    }
    for hint in hints {
        // Where standard error takes nothing there is nobody to tell.
        let _ = writeln!(io::stderr(), "observer: hint: {}", escape(&hint.sentence()));
    }
}
