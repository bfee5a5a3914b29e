//! What is measured: observer in its modes, and other ways to look at the same server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use lab::child::Child;
use lab::programs::Programs;

use super::is_missing;

/// The turn without anything, to which all others are compared.
pub(super) const NOTHING: &str = "nothing";

/// The turn of another build of observer, to which all others are compared where one is given.
pub(super) const AGAINST: &str = "against";

/// Times every system call of the process, by number.
const SYSCALL_TIMES: &str = "tracepoint:raw_syscalls:sys_enter /pid == $1/ { @start[tid] = nsecs; } \
    tracepoint:raw_syscalls:sys_exit /pid == $1 && @start[tid]/ \
    { @ns[args->id] = hist(nsecs - @start[tid]); delete(@start[tid]); } \
    interval:ms:50 { printf(\"attached\\n\"); }";

/// Run queue latency of the process's threads.
const RUN_QUEUE: &str = "tracepoint:sched:sched_wakeup { @woken[args->pid] = nsecs; } \
    tracepoint:sched:sched_switch { if (args->prev_state == 0) { @woken[args->prev_pid] = nsecs; } \
    $at = @woken[args->next_pid]; if ($at && pid == $1) { @ns = hist(nsecs - $at); } delete(@woken[args->next_pid]); } \
    interval:ms:50 { printf(\"attached\\n\"); }";

/// A way to look at a server.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// In words, for the table.
    pub(super) what: &'static str,
    /// Program that must be installed.
    program: Option<&'static str>,
    /// How it is started on a process.
    command: fn(&Tools, &str) -> Option<Command>,
    /// How many lines on standard output say that it is attached; none where it says nothing.
    announces: usize,
}

/// observer with no request written and with every one: by default it writes some.
pub(super) const WRITES_NONE_AND_ALL: [Subject; 2] = [
    Subject {
        name: "writes-none",
        what: "none",
        program: None,
        command: |tools, pid| Some(tools.writing("none", pid)),
        announces: 0,
    },
    Subject {
        name: "writes-all",
        what: "all",
        program: None,
        command: |tools, pid| Some(tools.writing("all", pid)),
        announces: 0,
    },
];

const SUBJECTS: [Subject; 13] = [
    Subject {
        name: NOTHING,
        what: "nothing",
        program: None,
        command: |_, _| None,
        announces: 0,
    },
    Subject {
        name: "empty",
        what: "empty programs on observer's hooks",
        program: None,
        command: |tools, _| Some(Command::new(&tools.empty_hooks)),
        announces: 1,
    },
    Subject {
        name: "not-watched",
        what: "`observer attach` to another process",
        program: None,
        // The server is a child of this process.
        command: |tools, _| {
            let own = std::process::id().to_string();
            Some(tools.observer(&["attach", "--no-follow", "--pid", &own]))
        },
        announces: 1,
    },
    Subject {
        name: "observer",
        what: "`observer attach`",
        program: None,
        command: |tools, pid| Some(tools.observer(&["attach", "--pid", pid])),
        announces: 1,
    },
    Subject {
        name: AGAINST,
        what: "`observer attach` of the other build",
        program: None,
        command: |tools, pid| {
            let mut command = Command::new(tools.against.as_ref()?);
            command.args(["attach", "--pid", pid]);
            Some(command)
        },
        announces: 1,
    },
    Subject {
        name: "unsampled",
        what: "`observer attach --sample-hz 0`",
        program: None,
        command: |tools, pid| Some(tools.observer(&["attach", "--sample-hz", "0", "--pid", pid])),
        announces: 1,
    },
    Subject {
        name: "polls",
        what: "`observer attach --polls`",
        program: None,
        command: |tools, pid| Some(tools.observer(&["attach", "--polls", "--pid", pid])),
        announces: 1,
    },
    Subject {
        name: "observer-all",
        what: "`observer attach --requests all`",
        program: None,
        command: |tools, pid| Some(tools.observer(&["attach", "--requests", "all", "--pid", pid])),
        announces: 1,
    },
    Subject {
        name: "record",
        what: "`observer record`",
        program: None,
        command: |tools, pid| Some(tools.observer(&["record", "--output", "/dev/null", "--pid", pid])),
        announces: 0,
    },
    Subject {
        name: "bpftrace-syscalls",
        what: "bpftrace: time of every system call",
        program: Some("bpftrace"),
        command: |_, pid| Some(installed("bpftrace", &["-e", SYSCALL_TIMES, pid])),
        announces: 2,
    },
    Subject {
        name: "bpftrace-runqueue",
        what: "bpftrace: run queue latency",
        program: Some("bpftrace"),
        command: |_, pid| Some(installed("bpftrace", &["-e", RUN_QUEUE, pid])),
        announces: 2,
    },
    Subject {
        name: "perf-trace",
        what: "`perf trace -s`",
        program: Some("perf"),
        command: |_, pid| Some(installed("perf", &["trace", "-s", "-p", pid])),
        announces: 0,
    },
    Subject {
        name: "strace",
        what: "`strace -f -c`",
        program: Some("strace"),
        command: |_, pid| Some(installed("strace", &["-f", "-c", "-p", pid])),
        announces: 0,
    },
];

/// Names on the command line. The other build is chosen by naming its file.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = SUBJECTS.iter().map(|subject| subject.name).collect();
    names.retain(|&name| name != AGAINST);
    names
}

/// A program of the distribution, which may need the kernel's tracing file system. Where it is not mounted, the
/// program gets it in a mount namespace of its own.
fn installed(program: &str, arguments: &[&str]) -> Command {
    const MOUNTED: &str =
        r#"test -d /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing; exec "$@""#;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", MOUNTED, "sh", program])
        .args(arguments);
    command
}

/// Those of these names, or all; and nothing, first, always, and the other build where there is one. Those that are not
/// installed are left out, and said.
pub(super) fn chosen(names: &[String], tools: &Tools) -> Vec<Subject> {
    let wanted = |subject: &&Subject| match subject.name {
        NOTHING => true,
        AGAINST => tools.against.is_some(),
        name => names.is_empty() || names.iter().any(|wanted| wanted == name),
    };
    let there = |subject: &&Subject| match subject.program {
        Some(program) if is_missing(program) => {
            eprintln!("{} is not measured: `{program}` is not installed", subject.name);
            false
        }
        _ => true,
    };
    SUBJECTS.iter().filter(wanted).filter(there).copied().collect()
}

/// Programs of this project.
pub(super) struct Tools {
    observer: PathBuf,
    empty_hooks: PathBuf,
    /// Another build of observer.
    against: Option<PathBuf>,
}

impl Tools {
    pub(super) fn of(programs: &Programs, against: Option<&Path>) -> Self {
        Self {
            observer: programs.observer.clone(),
            empty_hooks: programs.example("empty-hooks"),
            against: against.map(Path::to_owned),
        }
    }

    fn observer(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.observer);
        command.args(arguments);
        command
    }

    /// observer where these requests become lines, which nobody reads.
    fn writing(&self, requests: &str, pid: &str) -> Command {
        self.observer(&[
            "attach",
            "--requests",
            requests,
            "--output",
            "/dev/null",
            "--pid",
            pid,
        ])
    }
}

impl Subject {
    /// Starts it on a process and waits until it is attached.
    pub(super) fn start(&self, tools: &Tools, pid: u32) -> Result<Option<Child>> {
        /// Loading eBPF programs and compiling scripts takes a while.
        const PATIENCE: Duration = Duration::from_secs(30);
        /// How long those take to attach that do not say when they have.
        const SETTLE: Duration = Duration::from_secs(1);

        let Some(mut command) = (self.command)(tools, &pid.to_string()) else {
            return Ok(None);
        };
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let child = Child::start(self.name, &mut command)?;
        if self.announces == 0 {
            thread::sleep(SETTLE);
        }
        for _ in 0..self.announces {
            child.line(PATIENCE)?;
        }
        Ok(Some(child))
    }
}
