//! Prints what was found: for each kernel a line for each signal, then the load and the tests.

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

impl Row {
    fn release(&self) -> &str {
        self.report
            .release
            .as_deref()
            .unwrap_or("a kernel that never came up")
    }
}

/// Writes the matrix, and last what failed: whoever sees only the end of a long output sees that.
pub(super) fn print(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    line(out, "kernel", "signal", &format!("{:<29} remarks", "hook"))?;
    for row in rows {
        print_row(row, out)?;
    }
    writeln!(out, "\nTests that did not run:")?;
    for (test, why) in programs::skipped(rows.iter().any(|row| row.emulated)) {
        writeln!(out, "  {test}  {why}")?;
    }
    for row in rows {
        for problem in &row.report.problems {
            writeln!(out, "\nFAILED on {}: {problem}", row.release())?;
        }
    }
    Ok(())
}

fn print_row(row: &Row, out: &mut impl Write) -> io::Result<()> {
    let report = &row.report;
    let mut rest: Vec<(&str, String)> = Vec::new();
    for signal in &report.signals {
        let hook = signal.hook.as_deref().unwrap_or("none allowed");
        let note = signal.note.as_deref().unwrap_or("exact");
        rest.push((&signal.name, format!("{hook:<29} {note}")));
    }
    rest.push((
        "load",
        format!("{} requests, {} counted", report.requests, report.counted),
    ));
    let mut tests = format!("{} passed, {} failed", report.passed, report.failed.len());
    if report.refused > 0 {
        tests += &format!(
            "; {} saw --polls refused, as it is on this kernel",
            report.refused
        );
    }
    rest.push(("tests", tests));
    let lockdown = report.lockdown.as_deref().unwrap_or("unknown");
    let mut kernel = [
        row.release().to_owned(),
        format!("  {}", row.how),
        format!("  lockdown {lockdown}"),
    ]
    .into_iter();
    for (what, text) in rest {
        line(out, &kernel.next().unwrap_or_default(), what, &text)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, kernel: &str, what: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{kernel:<28} {what:<11} {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Signal;

    #[test]
    fn every_kernel_has_its_signals_its_tests_and_its_problems() {
        let report = Report {
            release: Some("6.1.0-56".to_owned()),
            signals: vec![Signal {
                name: "accept".to_owned(),
                hook: None,
                note: Some("an upper bound".to_owned()),
            }],
            failed: vec!["counts::a".to_owned()],
            problems: vec!["tests: ended with status 101".to_owned()],
            ..Report::default()
        };
        let rows = [Row {
            how: "this machine",
            emulated: false,
            report,
        }];
        let mut out = Vec::new();
        print(&rows, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words[1],
            ["6.1.0-56", "accept", "none", "allowed", "an", "upper", "bound"]
        );
        assert!(text.contains("0 passed, 1 failed"), "{text}");
        assert!(
            text.ends_with("FAILED on 6.1.0-56: tests: ended with status 101\n"),
            "{text}"
        );
    }
}
