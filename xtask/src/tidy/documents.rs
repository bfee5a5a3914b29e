//! Rules for one document: what it tells the reader to type exists, where its links lead exists, and its prose fits.
//!
//! What is to be typed is code: spans between backticks, and fenced blocks of a shell. In a block with `$ ` prompts the
//! other lines are output.

use super::Finding;
use super::catalog::Catalog;
use super::source::MAX_COLUMNS;

/// Endings of what is a file, also where its folder is not named.
const FILES: &[&str] = &["md", "rec", "rs", "sh", "toml"];

/// Languages of fenced blocks that hold commands.
const SHELLS: &[&str] = &["", "sh", "bash", "shell", "console"];

pub(super) fn commands_exist(text: &str, catalogs: &[Catalog]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, code) in snippets(text) {
        for part in code.split(['|', ';', '&', '>', '#']) {
            let words: Vec<&str> = part.split_whitespace().map(bare).collect();
            let complaints = catalogs
                .iter()
                .filter_map(|catalog| catalog.complaint(arguments(&words, catalog)?));
            findings.extend(complaints.map(|message| Finding { line, message }));
        }
    }
    findings
}

/// Usage lines put what may be left out in brackets.
fn bare(word: &str) -> &str {
    word.trim_start_matches('[').trim_end_matches([']', ',', '.'])
}

/// Tables and what stands in fences are as wide as they are.
pub(super) fn prose_fits(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let columns = line.chars().count();
        if !fenced && !line.starts_with('|') && columns > MAX_COLUMNS {
            findings.push(Finding {
                line: index + 1,
                message: format!("{columns} columns: prose has {MAX_COLUMNS} at most"),
            });
        }
    }
    findings
}

/// Lines of the page that everybody reads first, at most.
const MAX_README_LINES: usize = 120;

pub(super) fn is_soon_read(text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    let finding = Finding {
        line: lines,
        message: format!("{lines} lines: who is new reads {MAX_README_LINES} at most"),
    };
    Vec::from_iter((lines > MAX_README_LINES).then_some(finding))
}

/// Every file that a link names is there. `exists` is asked for paths relative to the document's directory.
pub(super) fn links_lead_somewhere(text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = targets
            .filter_map(|target| target.split('#').next())
            .filter(|file| !file.is_empty() && !file.contains("://"));
        findings.extend(files.filter(|file| !exists(file)).map(|file| Finding {
            line: index + 1,
            message: format!("a link to `{file}`, which does not exist"),
        }));
    }
    findings
}

/// Every path between backticks is there: what has a slash, or the ending of a file. `exists` is asked for each as it
/// is written, without a slash at its end.
pub(super) fn paths_exist(text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let spans = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|span| !fenced && is_path(span));
        let missing = spans.filter(|span| !exists(span.trim_end_matches('/')));
        findings.extend(missing.map(|path| Finding {
            line: index + 1,
            message: format!("`{path}` is no file or folder"),
        }));
    }
    findings
}

fn is_path(span: &str) -> bool {
    let of_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let has_ending = span
        .rsplit_once('.')
        .is_some_and(|(name, ending)| !name.is_empty() && FILES.contains(&ending));
    span.chars().all(of_path) && !span.starts_with('/') && (span.contains('/') || has_ending)
}

/// What follows the program's name, if it is this program that the words start.
fn arguments<'a>(words: &'a [&'a str], catalog: &Catalog) -> Option<&'a [&'a str]> {
    let before = words
        .iter()
        .take_while(|word| **word == "$" || **word == "sudo" || word.contains('='))
        .count();
    let words = &words[before..];
    let (name, rest) = words.split_at_checked(catalog.program.len())?;
    let file_name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let same = name
        .iter()
        .zip(&catalog.program)
        .all(|(word, expected)| file_name(word) == *expected);
    same.then_some(rest)
}

/// Lines of shell code, by the number of their line.
fn snippets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let block: Vec<_> = lines
                .by_ref()
                .take_while(|(_, line)| !line.trim_start().starts_with("```"))
                .collect();
            if SHELLS.contains(&language.trim()) {
                found.extend(commands_of(&block));
            }
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| (index + 1, span.to_owned())));
        }
    }
    found
}

fn commands_of(block: &[(usize, &str)]) -> Vec<(usize, String)> {
    let has_prompts = block.iter().any(|(_, line)| line.starts_with("$ "));
    let commands = block
        .iter()
        .filter(|(_, line)| !has_prompts || line.starts_with("$ "));
    commands
        .map(|(index, line)| (index + 1, (*line).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<usize> {
        let catalogs = [
            Catalog::made_up(&["cargo", "xtask"], "build", "--debug"),
            Catalog::made_up(&["observer"], "attach", "--pid"),
        ];
        commands_exist(text, &catalogs)
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_page_of_120_lines_is_soon_read() {
        let complaints = |lines| is_soon_read(&"\n".repeat(lines)).len();
        assert_eq!([complaints(120), complaints(121)], [0, 1]);
    }

    #[test]
    fn what_exists_may_be_written() {
        let text = "Run `cargo xtask build [--debug]`.\n```sh\nA=1 cargo xtask build --debug # debug\n\
                    sudo observer attach --pid 7 | jq --raw-output .x\n```\n";
        assert!(complaints(text).is_empty(), "{text}");
    }

    #[test]
    fn what_does_not_exist_is_found_in_spans_and_blocks() {
        let text = "Run `cargo xtask bild`.\n\n```\nsudo ./target/release/observer attach --pids 7\n```\n`observer x`\n";
        assert_eq!(complaints(text), [1, 4, 6]);
    }

    #[test]
    fn prose_output_and_other_languages_are_not_commands() {
        let text = "cargo xtask bild\n```json\nobserver bild\n```\n```console\n$ observer attach\nobserver bild\n```\n";
        assert!(complaints(text).is_empty(), "{text}");
    }

    #[test]
    fn prose_is_narrow_and_tables_and_output_are_as_wide_as_they_are() {
        let wide = "word ".repeat(30);
        let text = format!("{wide}\n| {wide} |\n```text\n{wide}\n```\n- {wide}\n");
        let lines: Vec<_> = prose_fits(&text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 6]);
    }

    #[test]
    fn a_link_to_a_missing_file_is_found() {
        let text = "[a](there.md#x)\n[b](gone.md) and [c](#here)\n[d](https://example.org/)\n";
        let findings = links_lead_somewhere(text, |file| file == "there.md");
        assert_eq!(
            findings.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_found_wherever_it_is_between_backticks() {
        let text = "`here/`, `gone/` and gone/\n| `a/here.rs` | `gone.rs`, `a/gone` |\n```text\n`gone/`\n```\n`also/gone.md`\n";
        let findings = paths_exist(text, |path| ["here", "a/here.rs"].contains(&path));
        let lines: Vec<_> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 2, 2, 6]);
    }

    #[test]
    fn names_code_and_commands_are_no_paths() {
        let text = "`merge` `flags::WATCHED` `*(a / b)` `cargo xtask lab` `observer doctor > a/b` `/proc/self` `1.5` `.rs`\n";
        assert_eq!(paths_exist(text, |_| false), []);
    }

    #[test]
    fn other_programs_of_similar_name_are_left_alone() {
        let text = "`observer-ebpf bild` and `cargo build --x` and `cargo xtask`\n";
        assert!(complaints(text).is_empty(), "{text}");
    }
}
