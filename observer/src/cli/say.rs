//! What a command says on standard error.

use std::io::{self, Write as _};
use std::time::Duration;

use observer::output::escape::escape;

/// Says this in a line of its own.
///
/// It may quote names of processes and of files, which strangers choose: they must not steer the terminal. Where
/// standard error takes nothing there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "observer: {}", escape(text));
}

/// How long a run goes on, in words that follow on what it does.
pub(crate) fn until(duration: Option<Duration>) -> String {
    duration.map_or_else(
        || "; Ctrl-C ends it".to_owned(),
        |duration| {
            format!(
                " for {}; Ctrl-C ends it sooner",
                humantime::format_duration(duration)
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_for_how_long() {
        assert_eq!(until(None), "; Ctrl-C ends it");
        let said = until(Some(Duration::from_millis(90_500)));
        assert_eq!(said, " for 1m 30s 500ms; Ctrl-C ends it sooner");
    }
}
