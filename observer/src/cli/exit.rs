//! How a run ends: the exit codes are a contract with scripts.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use observer::output::escape::escape;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As it should.
    Normal,
    /// The recording broke off; what it held was replayed.
    Truncated,
    /// The recording beside the outputs failed, which was said; they have all that they should.
    NotRecorded,
}

/// Turns an ending into the exit code, and an error into words on standard error.
pub(crate) fn code(result: Result<Ending>) -> ExitCode {
    match result {
        Ok(Ending::Normal) => ExitCode::SUCCESS,
        Ok(Ending::Truncated) => ExitCode::from(3),
        Ok(Ending::NotRecorded) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error takes nothing there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error quotes process names, files and recordings, all of which strangers write: it must not steer the
/// terminal. The lines are its own.
fn message(error: &anyhow::Error) -> String {
    let text = format!("observer: {error:#}");
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// The reader of the output went away, which is how `| head` ends.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_quotes_cannot_steer_the_terminal() {
        let error = anyhow::anyhow!("no\nsuch").context("process 7 (a\u{1b}[2Jb\u{202e})");
        assert_eq!(
            message(&error),
            "observer: process 7 (a\\u{1b}[2Jb\\u{202e}): no\nsuch"
        );
    }
}
