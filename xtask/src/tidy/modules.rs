//! The rule of the modules: each file of Rust below a `src` is compiled. The compiler does not say of one that no other
//! names.

use std::path::{Path, PathBuf};

use super::Finding;

/// A finding where `path` is named by none of the files that could. `read` gives the text of a file, if there is one.
pub(super) fn is_named(path: &Path, text: &str, read: impl Fn(&Path) -> Option<String>) -> Option<Finding> {
    let in_src = path.components().any(|part| part.as_os_str() == "src");
    let is_program = text.contains("fn main(") || text.contains("#![no_main]");
    let stem = path.file_stem()?.to_str()?;
    let directory = path.parent()?;
    let (name, directory) = match stem {
        "lib" | "main" => return None,
        "mod" => (directory.file_name()?.to_str()?, directory.parent()?),
        name => (name, directory),
    };
    let line = format!("mod {name};");
    let names = |file: PathBuf| read(&file).is_some_and(|text| text.contains(&line));
    let mut parents = ["mod.rs", "lib.rs", "main.rs"]
        .map(|file| directory.join(file))
        .into_iter()
        .chain([directory.with_extension("rs")]);
    (in_src && !is_program && !parents.any(names)).then(|| Finding {
        line: 1,
        message: format!("no file has `{line}`, so this one is not compiled"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_other_names_is_found() {
        let files = [
            ("a/src/lib.rs", "pub mod kept;\nmod folder;\n"),
            ("a/src/folder/mod.rs", "mod part;\n"),
            ("a/src/kept.rs", "mod below;\n"),
        ];
        let read = |path: &Path| {
            let file = files.iter().find(|(file, _)| Path::new(file) == path);
            file.map(|(_, text)| (*text).to_owned())
        };
        let found = |path: &str, text: &str| is_named(Path::new(path), text, read).is_some();
        for named in [
            "kept.rs",
            "kept/below.rs",
            "folder/mod.rs",
            "folder/part.rs",
            "lib.rs",
        ] {
            assert!(!found(&format!("a/src/{named}"), ""), "{named}");
        }
        for nobodys in ["gone.rs", "folder/kept.rs", "gone/mod.rs"] {
            assert!(found(&format!("a/src/{nobodys}"), ""), "{nobodys}");
        }
        assert!(!found("a/src/bin/one.rs", "fn main() {}"));
        assert!(!found("a/tests/one.rs", ""));
    }
}
