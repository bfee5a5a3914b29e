//! Says on standard error what is missing from a run, and what to do.

use std::io::{self, IsTerminal as _};

use observer::model::hint::Hint;

use super::args::Print;
use super::{say, sinks};

/// Says these, unless a table has them on the same terminal: its next picture would be drawn over them.
pub(crate) fn say(hints: &[Hint], print: &Print) {
    if sinks::is_drawn(print) && io::stderr().is_terminal() {
        return;
    }
    for hint in hints {
        say::say(&format!("hint: {}", hint.sentence()));
    }
}
