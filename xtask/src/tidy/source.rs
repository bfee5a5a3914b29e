//! Rules for one source file.

use super::Finding;
use super::mask::code_only;

/// Above this a file is two files.
const LONGEST_FILE_LINES: usize = 400;

type Rule = fn(&str) -> Vec<Finding>;

/// The rules for files with this ending.
pub(super) fn rules(ending: &str) -> &'static [Rule] {
    match ending {
        "rs" => &[
            no_tabs,
            short,
            comments_fit,
            opens_with_its_purpose,
            unsafe_has_its_reason,
            nothing_left_behind,
        ],
        // Go's formatter indents with tabs.
        "go" => &[comments_fit],
        "java" | "js" => &[no_tabs, comments_fit],
        "py" => &[no_tabs, comments_of_python_fit],
        _ => &[no_tabs],
    }
}

/// Columns of a line of prose, also in documents.
pub(super) const MAX_COLUMNS: usize = 120;

/// For every kind of text.
pub(super) fn no_spaces_at_ends(text: &str) -> Vec<Finding> {
    let ends = numbered(text).filter(|(_, content)| content.ends_with([' ', '\t']));
    let findings = ends.map(|(line, _)| Finding {
        line,
        message: "spaces at the end of the line".to_owned(),
    });
    findings.collect()
}

fn no_tabs(text: &str) -> Vec<Finding> {
    let tabs = numbered(text).filter(|(_, content)| content.contains('\t'));
    let findings = tabs.map(|(line, _)| Finding {
        line,
        message: "a tab".to_owned(),
    });
    findings.collect()
}

/// Comments as in Rust: a line that begins with `//`, and lines from one that begins with `/*`.
fn comments_fit(text: &str) -> Vec<Finding> {
    let mut inside = false;
    let comments = numbered(text).filter(|(_, content)| {
        let content = content.trim_start();
        let begins = content.starts_with("/*");
        let is_comment = inside || begins || content.starts_with("//");
        inside = (inside || begins) && !content.contains("*/");
        is_comment
    });
    too_wide(comments)
}

/// A line that begins with `#`, and texts in three quotes that begin a line.
fn comments_of_python_fit(text: &str) -> Vec<Finding> {
    const QUOTES: &str = "\"\"\"";
    // Whether the text in quotes that goes on is a comment.
    let mut quoted = None;
    let comments = numbered(text).filter(|(_, content)| {
        let content = content.trim_start();
        let hash = quoted.is_none() && content.starts_with('#');
        let is_comment = quoted.unwrap_or(hash || content.starts_with(QUOTES));
        if !hash && content.matches(QUOTES).count() % 2 == 1 {
            quoted = if quoted.is_some() { None } else { Some(is_comment) };
        }
        is_comment
    });
    too_wide(comments)
}

fn too_wide<'a>(comments: impl Iterator<Item = (usize, &'a str)>) -> Vec<Finding> {
    let columns = comments.map(|(line, content)| (line, content.chars().count()));
    let findings = columns
        .filter(|(_, columns)| *columns > MAX_COLUMNS)
        .map(|(line, columns)| Finding {
            line,
            message: format!("{columns} columns: a comment has {MAX_COLUMNS} at most"),
        });
    findings.collect()
}

fn short(text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    let message = format!("{lines} lines; a file of Rust has at most {LONGEST_FILE_LINES}: make two of it");
    if lines > LONGEST_FILE_LINES {
        vec![Finding { line: lines, message }]
    } else {
        Vec::new()
    }
}

/// Attributes of the crate may stand before the text.
fn opens_with_its_purpose(text: &str) -> Vec<Finding> {
    let first = numbered(text).find(|(_, content)| !content.is_empty() && !content.starts_with("#!["));
    match first {
        Some((_, content)) if content.starts_with("//!") => Vec::new(),
        other => {
            let message = "a module begins with `//!`: what it is for, what it does not know".to_owned();
            vec![Finding {
                line: other.map_or(1, |(line, _)| line),
                message,
            }]
        }
    }
}

/// Every unsafe block and implementation has its reason just above: clippy's rule covers neither every target nor
/// macros.
fn unsafe_has_its_reason(text: &str) -> Vec<Finding> {
    let masked = code_only(text);
    let code: Vec<&str> = masked.lines().collect();
    let raw: Vec<&str> = text.lines().collect();
    let unsafe_lines = (0..code.len()).filter(|at| takes_responsibility(code[*at]));
    unsafe_lines
        .filter(|at| !reason_above(&raw, &code, *at))
        .map(|at| Finding {
            line: at + 1,
            message: "unsafe without `// SAFETY:` just above".to_owned(),
        })
        .collect()
}

/// Whether a line of code opens an unsafe block or implementation. An `unsafe fn` only passes the duty on.
fn takes_responsibility(code: &str) -> bool {
    words(code, "unsafe").any(|at| {
        let after = code[at + "unsafe".len()..].trim_start();
        after.starts_with('{') || after.starts_with("impl")
    })
}

/// Walks up over attributes and the beginning of the same statement to the comment.
fn reason_above(raw: &[&str], code: &[&str], at: usize) -> bool {
    for above in (0..at).rev() {
        let (raw, code) = (raw[above].trim(), code[above].trim());
        if raw.starts_with("//") {
            if raw.contains("SAFETY:") {
                return true;
            }
        } else if !code.starts_with("#[") && (code.is_empty() || code.ends_with([';', '{', '}', ','])) {
            return false;
        }
    }
    false
}

fn nothing_left_behind(text: &str) -> Vec<Finding> {
    let masked = code_only(text);
    let mut findings = Vec::new();
    for (line, code) in numbered(&masked) {
        for name in ["todo!", "dbg!"] {
            if words(code, name).next().is_some() {
                findings.push(Finding {
                    line,
                    message: format!("`{name}` is left behind"),
                });
            }
        }
    }
    findings
}

/// Where a word stands, not counting longer words that contain it.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let joined = word.ends_with(part_of_word) && after.is_some_and(part_of_word);
        !before.is_some_and(part_of_word) && !joined
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_comment_fits_into_a_line_of_prose() {
        let text = format!(
            "// {0}\n/// {0}a\nlet a = \"{0}{0}\";\n",
            "a".repeat(MAX_COLUMNS - 3)
        );
        assert_eq!(lines(&comments_fit(&text)), [2]);
    }

    #[test]
    fn comments_of_many_lines_fit_too() {
        let wide = "a ".repeat(MAX_COLUMNS);
        let text = format!("/* {wide}\n{wide}\n*/\nf({wide})\n/* */\nf({wide})\n");
        assert_eq!(lines(&comments_fit(&text)), [1, 2]);
    }

    #[test]
    fn comments_and_docstrings_of_python_fit() {
        let wide = "a ".repeat(MAX_COLUMNS);
        let (docstring, value) = (
            format!("\"\"\"{wide}\n{wide}\n\"\"\"\n"),
            format!("a = \"\"\"{wide}\n# {wide}\n\"\"\"\n"),
        );
        let text = format!("{docstring}{value}# {wide}\n# \"\"\"\nf({wide})\n\"\"\"{wide}\"\"\"\n");
        assert_eq!(lines(&comments_of_python_fit(&text)), [1, 2, 7, 10]);
    }

    #[test]
    fn tabs_and_spaces_at_ends_are_found() {
        let text = "a\n\tb\nc \n";
        assert_eq!(lines(&no_tabs(text)), [2]);
        assert_eq!(lines(&no_spaces_at_ends(text)), [3]);
        assert_eq!(no_spaces_at_ends("a\n\n  b\n"), []);
    }

    #[test]
    fn a_file_of_400_lines_is_the_longest() {
        assert_eq!(short(&"\n".repeat(400)), []);
        assert_eq!(lines(&short(&"\n".repeat(401))), [401]);
    }

    #[test]
    fn a_module_opens_with_its_purpose() {
        assert_eq!(opens_with_its_purpose("//! Purpose.\nuse a;\n"), []);
        assert_eq!(opens_with_its_purpose("#![no_std]\n\n//! Purpose.\n"), []);
        assert_eq!(lines(&opens_with_its_purpose("use a;\n//! Late.\n")), [1]);
        assert_eq!(lines(&opens_with_its_purpose("")), [1]);
    }

    #[test]
    fn a_reason_just_above_is_accepted() {
        for text in [
            "// SAFETY: because.\nunsafe { f() }",
            "// SAFETY: because\n// of that.\nlet a = unsafe { f() };",
            "// SAFETY: because.\n#[inline]\nunsafe impl Send for A {}",
            "// SAFETY: because.\nlet a =\n    unsafe { f() };",
        ] {
            assert_eq!(unsafe_has_its_reason(text), [], "{text}");
        }
    }

    #[test]
    fn a_missing_or_distant_reason_is_found() {
        for text in [
            "\nunsafe { f() }",
            "// Because.\nunsafe { f() }",
            "// SAFETY: of g.\nunsafe { g() };\n\nunsafe { f() };",
            "// SAFETY: of g.\nlet b = 1;\nlet a = unsafe { f() };",
            "f();\nunsafe impl Send for A {}",
        ] {
            let last = text.lines().count();
            assert_eq!(lines(&unsafe_has_its_reason(text)), [last], "{text}");
        }
    }

    #[test]
    fn an_unsafe_function_and_the_word_in_a_string_need_no_reason() {
        assert_eq!(
            unsafe_has_its_reason("unsafe fn f() {}\nlet a = \"unsafe { }\"; // unsafe { }"),
            []
        );
        assert_eq!(
            unsafe_has_its_reason("#[unsafe(no_mangle)]\nstatic A: u8 = 0;\nnot_unsafe {}"),
            []
        );
    }

    #[test]
    fn what_was_left_behind_is_found_outside_of_strings() {
        assert_eq!(
            lines(&nothing_left_behind("a();\ntodo!();\nlet x = dbg!(1);\n")),
            [2, 3]
        );
        assert_eq!(
            nothing_left_behind("// todo!\nlet a = \"dbg!\"; my_todo!();\n"),
            []
        );
    }
}
