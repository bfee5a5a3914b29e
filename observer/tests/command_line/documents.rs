//! The printed examples of README.md and docs/guide.md are what the program says of a recording that stands beside
//! them.
//!
//! `docs/example.rec` was made by `observer record --duration 2s` of the testbed's `faulty-server --workers 1`, while
//! `load` asked it for `/ping` 400 times a second on 16 connections, and once a second each for `/blocking?ms=40` and
//! `/burn?us=40000`. Where an output changes, these tests say which lines of which page are no longer so, and
//! `observer replay docs/example.rec` has the new ones.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{exit, observer};
use crate::{run, skipped};

const PAGES: [(&str, &str); 2] = [
    ("README.md", include_str!("../../../README.md")),
    ("docs/guide.md", include_str!("../../../docs/guide.md")),
];

/// How the blocks begin that tell of what no recording has: the live tests repeat these.
const LIVE: [&str; 2] = ["observer: hint: ", "kernel    "];

fn of_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What a replay of the recording writes.
fn replayed(arguments: &[&str]) -> String {
    let recording = of_project("docs/example.rec");
    let ended = observer([&["replay", recording.to_str().unwrap()], arguments].concat());
    ended.expect(exit::NORMAL, &[]);
    String::from_utf8(ended.stdout).unwrap()
}

/// Blocks of a page in one of these languages, with the number of their first line.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<(usize, Vec<&'a str>)> {
    let fence = format!("```{language}");
    let mut lines = (1..).zip(page.lines());
    let mut blocks = Vec::new();
    while let Some((number, _)) = lines.find(|(_, line)| *line == fence) {
        let block = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```");
        blocks.push((number, block.collect()));
    }
    blocks
}

/// The first line of a block that is not in its place in `output`. A line in brackets says that some are left out;
/// those between two others are the next ones.
fn missing<'a>(block: &[&'a str], output: &str) -> Option<&'a str> {
    let mut output = output.lines();
    let mut may_skip = true;
    for line in block {
        if line.starts_with('[') {
            may_skip = true;
            continue;
        }
        let found = if may_skip {
            output.any(|printed| printed == *line)
        } else {
            output.next() == Some(line)
        };
        if !found {
            return Some(line);
        }
        may_skip = false;
    }
    None
}

/// What a script says of these lines; `None` without Python.
fn said_by(script: &str, arguments: &[&str], lines: &str) -> Option<String> {
    let mut command = Command::new("python3");
    command.arg(of_project("scripts").join(script)).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let mut running = run::Running(child);
    let said = run::read_all(running.0.stdout.take());
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let said = said.recv_timeout(run::DEADLINE).unwrap();
    assert!(running.status(run::DEADLINE).success(), "{script}");
    Some(String::from_utf8(said).unwrap())
}

#[test]
fn every_printed_example_is_what_the_recording_beside_it_gives() {
    let lines = replayed(&["--requests", "all", "--format", "jsonl"]);
    let mut outputs = vec![replayed(&["--format", "table"])];
    for (script, arguments) in [
        ("where_p99_goes.py", &[][..]),
        ("slowest.py", &["-n", "4"]),
        ("rss_latency.py", &[]),
    ] {
        let Some(said) = said_by(script, arguments, &lines) else {
            return skipped("the program `python3` on the PATH");
        };
        outputs.push(said);
    }
    for (name, page) in PAGES {
        for (number, block) in blocks(page, "text") {
            if LIVE.iter().any(|begins| block[0].starts_with(begins)) {
                continue;
            }
            let missing: Vec<_> = outputs.iter().map(|output| missing(&block, output)).collect();
            assert!(
                missing.contains(&None),
                "{name}:{number}: no output has these lines: {missing:#?}\n{}",
                outputs.join("\n")
            );
        }
    }
}

#[test]
fn every_request_that_is_shown_is_one_of_the_recording() {
    let lines = replayed(&["--requests", "all", "--format", "jsonl"]);
    for (name, page) in PAGES {
        for (number, block) in blocks(page, "json") {
            let unwrapped: String = block.iter().map(|line| line.trim_start()).collect();
            assert!(
                lines.lines().any(|line| line == unwrapped),
                "{name}:{number} is none of its lines"
            );
        }
    }
}

#[test]
fn no_output_stands_in_a_block_that_is_not_looked_at() {
    for (name, page) in PAGES {
        let mut is_open = false;
        for language in page.lines().filter_map(|line| line.strip_prefix("```")) {
            is_open = !is_open;
            let known = if is_open {
                ["sh", "text", "json"].contains(&language)
            } else {
                language.is_empty()
            };
            assert!(known, "{name}: a block begins or ends with `{language}`");
        }
        assert!(!is_open, "{name}: a block has no end");
        let shown = ["text", "json"].map(|language| blocks(page, language).len());
        assert!(shown.iter().sum::<usize>() > 0, "{name}: nothing is shown");
    }
}
