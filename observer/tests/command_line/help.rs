//! What the program says about itself.

use crate::program::{Ended, exit, observer};

fn text(ended: &Ended) -> String {
    ended.expect(exit::NORMAL, &[]);
    String::from_utf8(ended.stdout.clone()).unwrap()
}

#[test]
fn the_help_has_an_example_of_each_way_to_use_it_and_the_exit_codes() {
    let help = text(&observer(["--help"]));
    let examples = help.split("Examples:").nth(1).expect("there are examples");
    for command in [
        "sudo observer attach --pid",
        "sudo observer record --pid",
        "observer replay",
    ] {
        assert!(examples.contains(command), "{command}");
    }
    // Lines are broken where the terminal ends.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for code in [
        "0 normal end",
        "1 failure",
        "2 wrong arguments",
        "3 the recording breaks off",
    ] {
        assert!(help.contains(code), "{code}");
    }
}

#[test]
fn every_command_explains_each_of_its_options() {
    for (command, options) in [
        (
            "attach",
            &[
                "--pid",
                "--duration",
                "--ring-kib",
                "--requests",
                "--format",
                "--output",
                "--record",
            ][..],
        ),
        ("record", &["--pid", "--duration", "--ring-kib", "--output"]),
        (
            "replay",
            &["<FILE>", "--requests", "--format", "--output", "--with-query"],
        ),
        ("doctor", &["--verbose"]),
    ] {
        let help = text(&observer([command, "--help"]));
        assert!(help.contains(&format!("Usage: observer {command}")), "{help}");
        for option in options {
            let line = help
                .lines()
                .position(|line| line.trim_start().contains(option) && line.starts_with("  "));
            assert!(line.is_some(), "{command} does not explain {option}: {help}");
        }
        // The short form is the same text or less of it, never another.
        assert_eq!(observer([command, "-h"]).code, Some(exit::NORMAL));
    }
}

#[test]
fn the_values_of_an_option_that_chooses_are_explained() {
    for command in ["attach", "replay"] {
        let help = text(&observer([command, "--help"]));
        for value in ["- tail: ", "- all: ", "- none: ", "- table: ", "- jsonl: "] {
            let explained = help.lines().any(|line| line.trim_start().starts_with(value));
            assert!(explained, "{command} does not explain {value}: {help}");
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(
        text(&observer(["--version"])),
        concat!("observer ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn help_about_a_command_that_there_is_not_is_an_error() {
    observer(["help", "nothing"]).expect(exit::ARGUMENTS, &["nothing"]);
}
