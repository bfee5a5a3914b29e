//! Prints what was found: a line for each kernel and signal, then the load and the tests.

use std::io::{self, Write};

use super::programs;
use super::report::Report;

/// One kernel of the matrix.
pub(super) struct Row {
    /// How it was run: emulated, with KVM, or as this machine's own kernel.
    pub(super) how: &'static str,
    pub(super) emulated: bool,
    pub(super) report: Report,
}

/// Writes the matrix.
pub(super) fn print(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<34} {:<11} {:<29} remarks", "kernel", "signal", "hook")?;
    for row in rows {
        let report = &row.report;
        let release = report.release.as_deref().unwrap_or("never came up");
        let mut kernel = [release, row.how].into_iter();
        let mut line = |what: &str, text: &str| {
            let kernel = kernel.next().unwrap_or_default();
            writeln!(out, "{kernel:<34} {what:<11} {text}")
        };
        for signal in &report.signals {
            let hook = signal.hook.as_deref().unwrap_or("none allowed");
            let note = signal.note.as_deref().unwrap_or("exact");
            line(&signal.name, &format!("{hook:<29} {note}"))?;
        }
        line("load", &format!("{} requests", report.requests))?;
        line("tests", &tests(report))?;
        for problem in &report.problems {
            line("FAILED", problem)?;
        }
        if report.problems.is_empty() {
            line("passed", "")?;
        }
    }
    writeln!(out, "\nNot run:")?;
    for (test, why) in programs::skipped(rows.iter().any(|row| row.emulated)) {
        writeln!(out, "  {test}: {why}")?;
    }
    Ok(())
}

fn tests(report: &Report) -> String {
    let mut text = format!("{} passed, {} failed", report.passed, report.failed.len());
    for name in &report.failed {
        text += &format!("; {name}");
    }
    text
}
