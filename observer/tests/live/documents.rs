//! Printed examples of docs/guide.md that only a kernel can repeat: their shape is that of what is printed here.

use std::process::Command;

use crate::kernel;
use crate::observation::OBSERVER;
use crate::run::run;

const GUIDE: &str = include_str!("../../../docs/guide.md");

/// The block of the guide whose first line begins so.
fn block(begins: &str) -> impl Iterator<Item = &'static str> {
    let mut lines = GUIDE
        .lines()
        .skip_while(move |line| !line.starts_with(begins))
        .peekable();
    assert!(lines.peek().is_some(), "the guide has no block `{begins}`");
    lines.take_while(|line| *line != "```")
}

/// A line with each number as one letter.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for letter in line.chars() {
        match letter {
            '0'..='9' if shape.ends_with('N') => {}
            '0'..='9' => shape.push('N'),
            letter => shape.push(letter),
        }
    }
    shape
}

/// Checks that the guide shows a line as this one was printed, but for its numbers.
#[track_caller]
pub(crate) fn shows(begins: &str, printed: &str) {
    let shown: Vec<_> = block(begins).collect();
    assert_eq!(shown.into_iter().map(shape).collect::<Vec<_>>(), [shape(printed)]);
}

#[test]
fn the_doctor_says_what_the_guide_shows_line_by_line() {
    let Some(_turn) = kernel::turn() else { return };
    let output = run(Command::new(OBSERVER).arg("doctor"));
    let printed = String::from_utf8(output.stdout).unwrap();
    let subject = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let mut printed = printed.lines().map(subject);
    // Which hooks are refused, what is to be done about them, and what else a kernel needs, differs.
    for shown in block("kernel    ")
        .map(subject)
        .filter(|subject| !["refused:", "advice"].contains(&subject.as_str()))
    {
        assert!(
            printed.any(|printed| printed == shown),
            "`{shown}` is not in its place"
        );
    }
}
