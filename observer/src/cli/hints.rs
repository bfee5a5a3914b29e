//! Says on standard error what is missing from a run, and what to do.

use observer::model::hint::Hint;

use super::args::Print;
use super::{say, sinks};

/// Says these, unless a table has them on the same terminal.
pub(crate) fn say(hints: &[Hint], print: &Print) {
    if sinks::hides_stderr(print) {
        return;
    }
    for hint in hints {
        say::say(&format!("hint: {}", hint.sentence()));
    }
}
