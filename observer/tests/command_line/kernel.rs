//! A kernel on which observer cannot work: the message says which to take.

use std::process::Command;

use crate::program::{Ended, PATH, exit};
use crate::run::run;

#[test]
fn where_the_kernel_s_types_are_missing_it_is_said_which_kernel_to_run() {
    // A file system over them, for this one process.
    let without_types = |script: &str, arguments: &[&str]| -> Ended {
        let hidden = format!("mount -t tmpfs observer-test /sys/kernel/btf && {script}");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &hidden, PATH]);
        run(command.args(arguments)).into()
    };
    if without_types("true", &[]).code != Some(0) {
        return crate::skipped("it needs a user who may mount a file system in a namespace of its own");
    }
    let pid = std::process::id().to_string();
    for arguments in [&["doctor"][..], &["attach", "--pid", &pid]] {
        without_types("exec \"$0\" \"$@\"", arguments).expect(
            exit::FAILURE,
            &["there is no /sys/kernel/btf/vmlinux: run a kernel built with CONFIG_DEBUG_INFO_BTF=y"],
        );
    }
}
