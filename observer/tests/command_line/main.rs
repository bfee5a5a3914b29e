//! The built program on its command line: what it says to wrong input, how it ends. Nothing here attaches to
//! the kernel; what that gives is tested by the live tests.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "in a test a panic is the message"
)]

mod arguments;
mod documents;
mod help;
mod kernel;
mod output;
mod privilege;
mod program;
mod recording;
mod replay;
#[path = "../support/run.rs"]
mod run;
mod targets;

/// Says that a test did not run, past the capture of the test's output.
fn skipped(needs: &str) {
    use std::io::Write as _;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "skipped {test}: {needs}");
}
