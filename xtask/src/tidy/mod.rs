//! `cargo xtask tidy`: the project's rules that neither the compiler nor clippy holds.
//!
//! One function a rule, in `source` and `documents`. A rule sees one file's text and nothing else of the world;
//! walking the tree and asking the built program what it understands happen here.

mod arrows;
mod catalog;
mod documents;
mod mask;
mod modules;
mod source;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace;
use catalog::Catalog;

/// Check the rules for sources and documents that no compiler checks
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// A place where a rule is broken. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    message: String,
}

/// Names never entered: build products, and what is nobody's text.
const SKIPPED: &[&str] = &["target", ".git", "node_modules", "__pycache__"];

/// Endings of files whose text is looked at.
const TEXT: &[&str] = &["rs", "md", "toml", "go", "java", "js", "py", "sh", "yml", "yaml"];

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let catalogs = catalogs()?;
    let mut count = 0;
    let tree = Tree(files(workspace::root())?);
    for path in tree.0.iter().filter(|path| is_text(path)) {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = path.strip_prefix(workspace::root()).unwrap_or(path);
        for finding in check(shown, &text, &catalogs, &tree) {
            crate::print(&format!(
                "{}:{}: {}",
                shown.display(),
                finding.line,
                finding.message
            ))?;
            count += 1;
        }
    }
    if count > 0 {
        bail!("{count} places are untidy");
    }
    eprintln!("tidy");
    Ok(())
}

fn check(path: &Path, text: &str, catalogs: &[Catalog], tree: &Tree) -> Vec<Finding> {
    let ending = ending(path).unwrap_or_default();
    let mut findings = source::no_spaces_at_ends(text);
    for rule in source::rules(ending) {
        findings.extend(rule(text));
    }
    if ending == "md" {
        findings.extend(documents::prose_fits(text));
        let directory = workspace::root().join(path.parent().unwrap_or(Path::new("")));
        findings.extend(documents::links_lead_somewhere(text, |file| {
            directory.join(file).exists()
        }));
    }
    if path == Path::new("README.md") {
        findings.extend(documents::is_soon_read(text));
    }
    if path == Path::new("ARCHITECTURE.md") {
        findings.extend(documents::paths_exist(text, |path| tree.has(path)));
    }
    match ending {
        "rs" => {
            findings.extend(arrows::lead_down(path, text));
            let read = |file: &Path| fs::read_to_string(workspace::root().join(file)).ok();
            findings.extend(modules::is_named(path, text, read));
        }
        // A change log names what is gone, too.
        "md" if path.file_name().is_none_or(|name| name != "CHANGELOG.md") => {
            findings.extend(documents::commands_exist(text, catalogs));
        }
        _ => {}
    }
    findings
}

/// Every file of the project.
struct Tree(Vec<PathBuf>);

impl Tree {
    /// Whether there is such a file or folder. The folders that it is in may be left out, as may the ending of Rust.
    fn has(&self, path: &str) -> bool {
        let root = workspace::root();
        let inside = self.0.iter().filter_map(|file| file.strip_prefix(root).ok());
        let mut named = inside.flat_map(|file| {
            let module = file.extension().is_some_and(|ending| ending == "rs");
            let module = module.then(|| file.with_extension(""));
            file.ancestors().map(Path::to_owned).chain(module)
        });
        named.any(|named| named.ends_with(path))
    }
}

/// What can be typed: the commands of this program, and those of `observer` where it is built.
fn catalogs() -> Result<Vec<Catalog>> {
    let this = env::current_exe().context("cannot tell where this program is")?;
    let mut catalogs = vec![Catalog::of_help(&["cargo", "xtask"], &this)?];
    match built_observer().map(|program| Catalog::of_help(&["observer"], &program)) {
        Some(Ok(catalog)) => catalogs.push(catalog),
        Some(Err(error)) => eprintln!("note: observer's flags in documents are not checked: {error:#}"),
        None => eprintln!("note: observer is not built, so its flags in documents are not checked"),
    }
    Ok(catalogs)
}

/// The `observer` built last.
fn built_observer() -> Option<PathBuf> {
    let target_dir = workspace::target_dir().ok()?;
    let built = ["debug", "release"].map(|profile| target_dir.join(profile).join("observer"));
    built
        .into_iter()
        .max_by_key(|path| modified(path))
        .filter(|path| path.is_file())
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list {}", directory.display()))?
            .path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !SKIPPED.contains(&name) {
            found.extend(files(&path)?);
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn ending(path: &Path) -> Option<&str> {
    path.extension().and_then(|ending| ending.to_str())
}

fn is_text(path: &Path) -> bool {
    ending(path).is_some_and(|ending| TEXT.contains(&ending)) || path.ends_with(".ci/run")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_FILES: Tree = Tree(Vec::new());

    #[test]
    fn the_map_names_files_and_folders_that_are_there() {
        let tree = Tree(vec![workspace::root().join("observer/src/source/merge.rs")]);
        let text = "`observer/src/source/` `source/merge.rs` `source/merge` `merge.rs`\n\
                    `observer/source` `erge.rs` `merge/source`\n";
        let findings = check(Path::new("ARCHITECTURE.md"), text, &[], &tree);
        let lines: Vec<_> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2, 2, 2]);
        assert_eq!(check(Path::new("README.md"), text, &[], &tree), []);
    }

    #[test]
    fn rules_for_rust_are_not_applied_to_other_files() {
        let text = "unsafe { }\n";
        assert!(!check(Path::new("a.rs"), text, &[], &NO_FILES).is_empty());
        assert_eq!(check(Path::new("a.md"), text, &[], &NO_FILES), []);
    }

    #[test]
    fn only_go_is_indented_with_tabs() {
        let found = |path| check(Path::new(path), "\tf()\n", &[], &NO_FILES).len();
        assert_eq!(["a.go", "a.js", "a.sh", ".ci/run"].map(found), [0, 1, 1, 1]);
    }

    #[test]
    fn a_change_log_may_name_commands_that_are_gone() {
        let catalogs = [Catalog::made_up(&["cargo", "xtask"], "build", "--debug")];
        let text = "Removed `cargo xtask gone`.\n";
        assert_eq!(check(Path::new("README.md"), text, &catalogs, &NO_FILES).len(), 1);
        assert_eq!(check(Path::new("CHANGELOG.md"), text, &catalogs, &NO_FILES), []);
    }
}
