//! How a run ends: the exit codes are a contract with scripts.

use std::io;
use std::process::ExitCode;

use anyhow::Result;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As it should.
    Normal,
    /// The recording broke off; what it held was replayed.
    Truncated,
}

/// Turns an ending into the exit code, and an error into words on standard error.
pub(crate) fn code(result: Result<Ending>) -> ExitCode {
    match result {
        Ok(Ending::Normal) => ExitCode::SUCCESS,
        Ok(Ending::Truncated) => ExitCode::from(3),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("observer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The reader of the output went away, which is how `| head` ends.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
