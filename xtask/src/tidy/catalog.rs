//! What a program understands: its commands, and the flags of each.
//!
//! It is asked: its `--help` is that list, and what is behind a command of another program's is asked in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command;

/// The commands and flags of one program.
pub(super) struct Catalog {
    /// The words that start it, for example `cargo xtask`.
    pub(super) program: Vec<String>,
    /// By command; the flags that go without a command are under the empty name.
    commands: BTreeMap<String, BTreeSet<String>>,
}

impl Catalog {
    pub(super) fn of_help(program: &[&str], executable: &Path) -> Result<Self> {
        let help = command::text(Command::new(executable).arg("--help"))?;
        let names = commands_in(&help);
        ensure!(
            !names.is_empty(),
            "`{} --help` lists no commands",
            executable.display()
        );
        let mut commands = BTreeMap::from([(String::new(), flags_in(&help))]);
        for name in names {
            let help = command::text(Command::new(executable).args([&name, "--help"]))?;
            commands.insert(name, flags_in(&help));
        }
        Ok(Self::new(program, commands))
    }

    /// A program with one command, which has one flag.
    #[cfg(test)]
    pub(super) fn made_up(program: &[&str], command: &str, flag: &str) -> Self {
        let commands = [
            ("", BTreeSet::new()),
            (command, BTreeSet::from([flag.to_owned()])),
        ];
        let commands = commands.map(|(name, flags)| (name.to_owned(), flags));
        Self::new(program, commands.into())
    }

    fn new(program: &[&str], commands: BTreeMap<String, BTreeSet<String>>) -> Self {
        Self {
            program: program.iter().map(|word| (*word).to_owned()).collect(),
            commands,
        }
    }

    /// What is wrong with these arguments, if anything: a command or a flag that does not exist.
    pub(super) fn complaint(&self, arguments: &[&str]) -> Option<String> {
        let program = self.program.join(" ");
        let is_name =
            |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        let name = arguments
            .first()
            .copied()
            .filter(|word| is_name(word))
            .unwrap_or_default();
        let Some(flags) = self.commands.get(name) else {
            return (name != "help").then(|| format!("`{program}` has no command `{name}`"));
        };
        let known = |flag: &str| flags.contains(flag) || flag == "--help" || flag == "--version";
        let typed = arguments
            .iter()
            .filter(|word| word.starts_with("--") && word.len() > 2);
        let mut typed = typed.map(|word| word.split('=').next().unwrap_or(word));
        let unknown = typed.find(|flag| !known(flag))?;
        Some(format!(
            "`{}` has no flag `{unknown}`",
            format!("{program} {name}").trim_end()
        ))
    }
}

/// Names in the list of commands that clap prints.
fn commands_in(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| line.trim() != "Commands:").skip(1);
    let list = list.take_while(|line| line.is_empty() || line.starts_with(' '));
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn flags_in(help: &str) -> BTreeSet<String> {
    let part_of_flag = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = help.split(|c: char| !part_of_flag(c));
    words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
Explains slow requests

Usage: observer [OPTIONS] <COMMAND>

Commands:
  attach  Observe a process
          until it ends
  replay  Replay
  help    Print this message

Options:
  -v, --verbose  Say more
";

    #[test]
    fn the_commands_of_a_help_text_are_its_list() {
        assert_eq!(commands_in(HELP), ["attach", "replay"]);
    }

    #[test]
    fn the_flags_of_a_help_text_are_its_long_names() {
        let flags = flags_in("  -p, --pid <N>  [aliases: --process]\n  --format=table -- x");
        assert_eq!(
            flags.into_iter().collect::<Vec<_>>(),
            ["--format", "--pid", "--process"]
        );
    }

    #[test]
    fn unknown_commands_and_flags_are_complained_about() {
        let catalog = Catalog::made_up(&["observer"], "attach", "--pid");
        for good in [
            &["attach", "--pid", "7"][..],
            &["attach", "--pid=7"],
            &["--version"],
            &[],
            &["help"],
        ] {
            assert_eq!(catalog.complaint(good), None, "{good:?}");
        }
        for bad in [&["detach"][..], &["attach", "--pids"], &["--pid"]] {
            assert!(catalog.complaint(bad).is_some(), "{bad:?}");
        }
    }
}
