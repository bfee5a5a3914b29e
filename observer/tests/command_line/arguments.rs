//! Arguments that cannot be meant: the message names the argument, the exit code is that of wrong arguments.

use crate::program::{exit, observer};

#[test]
fn without_a_command_the_commands_are_shown() {
    observer::<&str>([]).expect(exit::ARGUMENTS, &["attach", "record", "replay", "doctor"]);
}

#[test]
fn an_unknown_command_or_option_is_named() {
    observer(["atach"]).expect(exit::ARGUMENTS, &["atach", "attach"]);
    observer(["attach", "--pids", "1"]).expect(exit::ARGUMENTS, &["--pids", "--pid"]);
    observer(["doctor", "--pid", "1"]).expect(exit::ARGUMENTS, &["--pid"]);
}

#[test]
fn what_is_needed_and_missing_is_named() {
    observer(["attach"]).expect(exit::ARGUMENTS, &["--pid <PID>|--port <PORT>"]);
    observer(["record", "--pid", "1"]).expect(exit::ARGUMENTS, &["--output <FILE>"]);
    observer(["replay"]).expect(exit::ARGUMENTS, &["<FILE>"]);
}

#[test]
fn a_pid_is_a_number_above_zero() {
    observer(["attach", "--pid="]).expect(exit::ARGUMENTS, &["--pid <PID>", "value"]);
    for pid in ["0", "-1", "abc", "4294967296", "1.5"] {
        observer(["attach", &format!("--pid={pid}")]).expect(
            exit::ARGUMENTS,
            &[
                "--pid <PID>",
                &format!("'{pid}'"),
                "by its number, from 1 on; `pgrep -o NAME`",
            ],
        );
    }
}

#[test]
fn a_duration_that_is_none_is_answered_with_examples_of_durations() {
    for (duration, why) in [
        ("", "empty"),
        ("s", "expected number"),
        ("abc", "expected number"),
        ("1x", "supported units: ns"),
        ("-5s", "expected number"),
        ("1.s", "invalid character"),
        ("99999999999999999999s", "too large"),
        ("5ſ", "invalid character"),
    ] {
        observer(["attach", "--pid", "1", &format!("--duration={duration}")]).expect(
            exit::ARGUMENTS,
            &["--duration <TIME>", "500ms, 10s, 1m30s or 1.5h", why],
        );
    }
    observer(["attach", "--pid", "1", "--duration", "0s"]).expect(exit::ARGUMENTS, &["observes nothing"]);
    observer(["attach", "--pid", "1", "--duration", "9000h"])
        .expect(exit::ARGUMENTS, &["longer than a year"]);
}

#[test]
fn standard_output_is_no_file() {
    observer(["attach", "--pid", "1", "--output", "-"]).expect(
        exit::ARGUMENTS,
        &[
            "--output <FILE>",
            "without this option the output goes to standard output",
        ],
    );
}

#[test]
fn a_ring_of_a_size_that_no_ring_can_have_is_answered_with_the_sizes() {
    for kib in ["0", "63", "100", "32", "2097152"] {
        observer(["attach", "--pid", "1", "--ring-kib", kib]).expect(
            exit::ARGUMENTS,
            &["--ring-kib <KIB>", "power of two between 64 and 1048576"],
        );
    }
    for kib in ["abc", "64KiB", "99999999999", "-64"] {
        observer(["attach", "--pid", "1", &format!("--ring-kib={kib}")])
            .expect(exit::ARGUMENTS, &["--ring-kib <KIB>", "not a number of KiB"]);
    }
}

#[test]
fn a_choice_that_there_is_not_is_answered_with_the_choices() {
    observer(["replay", "x.rec", "--requests", "some"])
        .expect(exit::ARGUMENTS, &["--requests <WHICH>", "tail, all, none"]);
    observer(["replay", "x.rec", "--format", "xml"])
        .expect(exit::ARGUMENTS, &["--format <FORMAT>", "table", "jsonl"]);
}
