//! The table of signals: what each can be had from.
//!
//! Hooks in the code of watched processes are not in it, those of polls and of goroutines: who finds them there
//! attaches them (`source/live/runtime/tokio/polls`, `go/goroutines`). What became of them is told with the others.

use observer_common::names::program;

use super::super::types::Types;

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Hook {
    /// BTF tracepoint of this name.
    Tracepoint(&'static str),
    /// Entry of this kernel function.
    Entry(&'static str),
    /// Exit of this kernel function. Its result stands after its last parameter, so the program is made for this
    /// number of parameters.
    Exit(&'static str, usize),
    /// Iterator over kernel objects of this kind, which is run once.
    Iterator(&'static str),
    /// A clock of each CPU.
    Clock,
}

impl Hook {
    pub(super) fn name(self) -> String {
        match self {
            Self::Tracepoint(name) => format!("tp_btf:{name}"),
            Self::Entry(name) => format!("fentry:{name}"),
            Self::Exit(name, _) => format!("fexit:{name}"),
            Self::Iterator(name) => format!("iter:{name}"),
            Self::Clock => "perf_event:cpu-clock".to_owned(),
        }
    }

    /// Why the program is not for the function that this kernel has.
    pub(super) fn misfit(self, kernel: &Types) -> Option<String> {
        let Self::Exit(function, expected) = self else {
            return None;
        };
        let parameters = kernel.parameters(function)?;
        (parameters != expected)
            .then(|| format!("it has {parameters} parameters here, and the program is made for {expected}"))
    }
}

/// One way to get a signal.
pub(super) struct Alternative {
    pub(super) program: &'static str,
    pub(super) hook: Hook,
    /// What is lost with this hook, against the best one.
    pub(super) note: Option<&'static str>,
}

/// One signal.
pub(super) struct Signal {
    pub(super) name: &'static str,
    pub(super) alternatives: &'static [Alternative],
    /// What stands in when no hook is allowed; `None` when observer cannot do without.
    pub(super) fallback: Option<&'static str>,
    /// The kernel function without which there is no such signal, and no need for it.
    pub(super) only_with: Option<&'static str>,
}

/// The signal that tells what threads run.
pub(in super::super) const SAMPLE: &str = "sample";

const fn tracepoint(program: &'static str, name: &'static str) -> Alternative {
    Alternative {
        program,
        hook: Hook::Tracepoint(name),
        note: None,
    }
}

/// For each signal its hooks, in order of preference.
pub(super) const SIGNALS: &[Signal] = &[
    Signal {
        name: "switch",
        alternatives: &[tracepoint(program::SWITCH, "sched_switch")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "wakeup",
        alternatives: &[tracepoint(program::WAKEUP, "sched_waking")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "arrival",
        alternatives: &[
            tracepoint(program::ARRIVAL_TRACEPOINT, "sk_data_ready"),
            Alternative {
                program: program::ARRIVAL_FENTRY,
                hook: Hook::Entry("sock_def_readable"),
                note: None,
            },
        ],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "receive",
        alternatives: &[
            tracepoint(program::RECEIVE_TRACEPOINT, "sock_recv_length"),
            Alternative {
                program: program::RECEIVE_FEXIT,
                hook: Hook::Exit("tcp_recvmsg", 5),
                note: None,
            },
        ],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "send",
        alternatives: &[
            tracepoint(program::SEND_TRACEPOINT, "sock_send_length"),
            Alternative {
                program: program::SEND_FEXIT,
                hook: Hook::Exit("tcp_sendmsg", 3),
                note: None,
            },
        ],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "send_page",
        alternatives: &[Alternative {
            program: program::SEND_PAGE_FEXIT,
            hook: Hook::Exit("tcp_sendpage", 5),
            note: None,
        }],
        fallback: Some("what sendfile and splice send is not seen"),
        only_with: Some("tcp_sendpage"),
    },
    Signal {
        name: "connection",
        alternatives: &[tracepoint(program::CONNECTION, "inet_sock_set_state")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "accept",
        alternatives: &[
            Alternative {
                program: program::ACCEPT_FEXIT,
                hook: Hook::Exit("inet_csk_accept", 2),
                note: None,
            },
            Alternative {
                program: program::ACCEPT_FEXIT_OF_FOUR,
                hook: Hook::Exit("inet_csk_accept", 4),
                note: None,
            },
        ],
        fallback: Some(
            "the first read tried on a new connection: an upper bound, exact where one thread does both",
        ),
        only_with: None,
    },
    Signal {
        name: "fork",
        alternatives: &[tracepoint(program::FORK, "sched_process_fork")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "exec",
        alternatives: &[tracepoint(program::EXEC, "sched_process_exec")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "exit",
        alternatives: &[tracepoint(program::EXIT, "sched_process_exit")],
        fallback: None,
        only_with: None,
    },
    // After all others: what is opened meanwhile is seen by them.
    Signal {
        name: "found",
        alternatives: &[Alternative {
            program: program::FOUND,
            hook: Hook::Iterator("task_file"),
            note: None,
        }],
        fallback: Some("connections that were open before are known when they are first used"),
        only_with: None,
    },
    Signal {
        name: SAMPLE,
        alternatives: &[Alternative {
            program: program::SAMPLE,
            hook: Hook::Clock,
            note: None,
        }],
        fallback: Some("functions are not named"),
        only_with: None,
    },
];
