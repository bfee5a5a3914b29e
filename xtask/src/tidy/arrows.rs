//! The rule of the arrows: no stage of `observer` knows a later one.
//!
//! A stage is a file or folder right below `observer/src`. What a file names with `crate::` outside its tests is an
//! arrow from its stage to another, and all arrows lead down the list. So there is no circle either. `super::` stays in
//! its stage.

use std::path::Path;

use super::Finding;
use super::mask::code_only;

/// The stages, each of which may know those before it.
const STAGES: &[&str] = &[
    "model",
    "newest",
    "syscall",
    "event",
    "runtime",
    "source",
    "losses",
    "serving",
    "threads",
    "connections",
    "attribution",
    "summary",
    "output",
    "pipeline",
];

/// The places in one file that lead up, or to what is no stage.
pub(super) fn lead_down(path: &Path, text: &str) -> Vec<Finding> {
    let Some(own) = stage_of(path) else {
        return Vec::new();
    };
    let Some(place) = place_of(own) else {
        return vec![Finding {
            line: 1,
            message: format!("`{own}` is no stage: give it a place among those of `cargo xtask tidy`"),
        }];
    };
    let masked = code_only(text);
    let code = &without_tests(&masked);
    let mut findings = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let line = code[..at].lines().count().max(1);
        for other in named_by(&code[at + "crate::".len()..]) {
            if other != own && place_of(other).is_none_or(|other| other > place) {
                findings.push(Finding {
                    line,
                    message: format!("`{own}` knows `{other}`, which is a later stage"),
                });
            }
        }
    }
    let depth = depth_of(path);
    for (at, supers) in upward(code) {
        if supers >= depth {
            findings.push(Finding {
                line: code[..at].lines().count().max(1),
                message: format!("`super::` leaves `{own}`: name the other stage with `crate::`"),
            });
        }
    }
    findings
}

/// How many modules stand between a file of the library and its root, itself among them.
fn depth_of(path: &Path) -> usize {
    let names = path
        .strip_prefix("observer/src")
        .into_iter()
        .flat_map(Path::components);
    names.filter(|name| name.as_os_str() != "mod.rs").count()
}

/// Where a path goes up, and how many modules.
fn upward(code: &str) -> Vec<(usize, usize)> {
    const UP: &str = "super::";
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in code.match_indices(UP) {
        match found.last_mut() {
            Some((first, supers)) if *first + *supers * UP.len() == at => *supers += 1,
            _ => found.push((at, 1)),
        }
    }
    found
}

/// The code with blanks in place of what is compiled for tests alone.
fn without_tests(code: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(TEST) {
        let (before, item) = rest.split_at(at);
        let (test, after) = item.split_at(end_of_item(item));
        kept.push_str(before);
        kept.extend(test.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    kept + rest
}

/// Where the item ends with which a text begins: at its semicolon, or with its block.
fn end_of_item(text: &str) -> usize {
    let mut depth = 0_u32;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The stage that a file of the library belongs to.
fn stage_of(path: &Path) -> Option<&str> {
    let inside = path.strip_prefix("observer/src").ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let stage = first.strip_suffix(".rs").unwrap_or(first);
    // These are the two roots, and what only the program has.
    (!["lib", "main", "cli"].contains(&stage)).then_some(stage)
}

fn place_of(stage: &str) -> Option<usize> {
    STAGES.iter().position(|name| *name == stage)
}

/// The names that a path begins with: one, or those of a group.
fn named_by(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let mut depth = 0_u32;
    let mut names = vec![word(group)];
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let findings = lead_down(Path::new(path), text);
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_later_stage_is_not_known() {
        let text = "use crate::event::Event;\nuse crate::output::Sink;\n";
        assert_eq!(lines("observer/src/threads/mod.rs", text), [2]);
        assert!(lines("observer/src/pipeline.rs", text).is_empty());
    }

    #[test]
    fn a_group_names_several() {
        let text = "use crate::{event::{self, Event}, threads, summary::{Summary, Totals}};\n";
        assert_eq!(lines("observer/src/connections/mod.rs", text), [1]);
        assert!(lines("observer/src/output.rs", text).is_empty());
    }

    #[test]
    fn a_path_in_the_middle_of_code_is_an_arrow_and_one_in_a_test_or_comment_is_none() {
        let text = "// crate::output\nfn f() { crate::output::f() }\n#[cfg(test)]\nuse crate::pipeline;\n";
        assert_eq!(lines("observer/src/event.rs", text), [2]);
        let text = "#[cfg(test)]\nmod tests {\n    use crate::pipeline;\n}\nuse crate::output;\n";
        assert_eq!(lines("observer/src/event.rs", text), [5]);
    }

    #[test]
    fn what_is_above_a_stage_is_named_from_the_root() {
        let text = "use super::facts::Facts;\nuse super::super::output::Sink;\n";
        assert_eq!(lines("observer/src/threads/mod.rs", text), [1, 2]);
        assert_eq!(lines("observer/src/threads/judgement.rs", text), [2]);
        assert!(lines("observer/src/threads/judgement/observed.rs", text).is_empty());
    }

    #[test]
    fn a_new_stage_gets_a_place_first() {
        assert_eq!(lines("observer/src/guesses.rs", "//! Guesses.\n"), [1]);
        assert_eq!(
            lines("observer/src/threads.rs", "use crate::guesses::Guess;\n"),
            [1]
        );
        assert!(lines("xtask/src/tidy/mod.rs", "use crate::output;\n").is_empty());
    }
}
