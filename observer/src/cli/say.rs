//! What a command says on standard error.

use std::io::{self, Write as _};

use observer::output::escape::escape;

/// Says this in a line of its own.
///
/// It may quote names of processes and of files, which strangers choose: they must not steer the terminal. Where
/// standard error takes nothing there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "observer: {}", escape(text));
}
