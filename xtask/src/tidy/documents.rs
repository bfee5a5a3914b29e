//! Rules for one document: what it tells the reader to type exists.
//!
//! Only code counts: spans between backticks, and fenced blocks of a shell. In a block with `$ ` prompts the other
//! lines are output.

use super::Finding;
use super::catalog::Catalog;

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
        let build = clap::Command::new("build").arg(clap::Arg::new("debug").long("debug"));
        let attach = clap::Command::new("attach").arg(clap::Arg::new("pid").long("pid"));
        let catalogs = [
            Catalog::of_clap(
                &["cargo", "xtask"],
                &clap::Command::new("xtask").subcommand(build),
            ),
            Catalog::of_clap(&["observer"], &clap::Command::new("observer").subcommand(attach)),
        ];
        commands_exist(text, &catalogs)
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn what_exists_may_be_written() {
        let text = "Run `cargo xtask build [--debug]`.\n```sh\nA=1 cargo xtask build --debug # debug\n\
                    sudo observer attach --pid 7 | jq --raw-output .x\n```\n";
        assert_eq!(complaints(text), Vec::<usize>::new());
    }

    #[test]
    fn what_does_not_exist_is_found_in_spans_and_blocks() {
        let text = "Run `cargo xtask bild`.\n\n```\nsudo ./target/release/observer attach --pids 7\n```\n`observer x`\n";
        assert_eq!(complaints(text), [1, 4, 6]);
    }

    #[test]
    fn prose_output_and_other_languages_are_not_commands() {
        let text = "cargo xtask bild\n```json\nobserver bild\n```\n```console\n$ observer attach\nobserver bild\n```\n";
        assert_eq!(complaints(text), Vec::<usize>::new());
    }

    #[test]
    fn other_programs_of_similar_name_are_left_alone() {
        assert_eq!(
            complaints("`observer-ebpf bild` and `cargo build --x` and `cargo xtask`\n"),
            Vec::<usize>::new()
        );
    }
}
