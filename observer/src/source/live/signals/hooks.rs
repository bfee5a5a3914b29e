//! The table of signals: what each can be had from.

use std::slice;

use observer_common::names::program;

use super::super::types::Types;
use crate::runtime::{go, tokio};

/// A program of the kernel half, which comes first, and where it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Hook {
    /// BTF tracepoint of this name.
    Tracepoint(&'static str, &'static str),
    /// Entry of this kernel function.
    Entry(&'static str, &'static str),
    /// Exit of this kernel function. Its result stands after its last parameter, so the program is made for this
    /// number of parameters.
    Exit(&'static str, &'static str, usize),
    /// Iterator over kernel objects of this kind, which is run once.
    Iterator(&'static str, &'static str),
    /// A clock of each CPU.
    Clock(&'static str),
    /// Functions in the code of watched processes, on demand: where they are is found in each process that has them
    /// ([`super::Probes`]).
    Probe {
        /// Asks for it.
        option: &'static str,
        /// That of them by which the hook is known.
        function: &'static str,
        /// In the order in which they are attached.
        programs: &'static [&'static str],
    },
}

impl Hook {
    pub(super) fn name(self) -> String {
        match self {
            Self::Tracepoint(_, name) => format!("tp_btf:{name}"),
            Self::Entry(_, name) => format!("fentry:{name}"),
            Self::Exit(_, name, _) => format!("fexit:{name}"),
            Self::Iterator(_, name) => format!("iter:{name}"),
            Self::Clock(_) => "perf_event:cpu-clock".to_owned(),
            Self::Probe { function, .. } => format!("uprobe:{function}"),
        }
    }

    /// Its programs, in the order in which they are attached.
    pub(super) fn programs(&self) -> &[&'static str] {
        match self {
            Self::Tracepoint(program, _)
            | Self::Entry(program, _)
            | Self::Exit(program, ..)
            | Self::Iterator(program, _)
            | Self::Clock(program) => slice::from_ref(program),
            Self::Probe { programs, .. } => programs,
        }
    }

    /// Why the program is not for the function that this kernel has.
    pub(super) fn misfit(self, kernel: &Types) -> Option<String> {
        let Self::Exit(_, function, expected) = self else {
            return None;
        };
        let parameters = kernel.parameters(function)?;
        (parameters != expected)
            .then(|| format!("it has {parameters} parameters here, and the program is made for {expected}"))
    }
}

/// One signal.
pub(super) struct Signal {
    pub(super) name: &'static str,
    /// In order of preference.
    pub(super) hooks: &'static [Hook],
    /// What stands in when no hook is allowed; `None` when observer cannot do without.
    pub(super) fallback: Option<&'static str>,
    /// The kernel function without which there is no such signal, and no need for it.
    pub(super) only_with: Option<&'static str>,
}

impl Signal {
    /// What asks for it, and its hook then, where it is attached only on demand.
    pub(super) fn on_demand(&self) -> Option<(&'static str, Hook)> {
        self.hooks.iter().find_map(|&hook| match hook {
            Hook::Probe { option, .. } => Some((option, hook)),
            _ => None,
        })
    }
}

/// All of them, in the order in which they are attached.
pub(super) const SIGNALS: &[Signal] = &[
    Signal {
        name: "switch",
        hooks: &[Hook::Tracepoint(program::SWITCH, "sched_switch")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "wakeup",
        hooks: &[Hook::Tracepoint(program::WAKEUP, "sched_waking")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "arrival",
        hooks: &[
            Hook::Tracepoint(program::ARRIVAL_TRACEPOINT, "sk_data_ready"),
            Hook::Entry(program::ARRIVAL_FENTRY, "sock_def_readable"),
        ],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "receive",
        hooks: &[
            Hook::Tracepoint(program::RECEIVE_TRACEPOINT, "sock_recv_length"),
            Hook::Exit(program::RECEIVE_FEXIT, "tcp_recvmsg", 5),
        ],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "send",
        hooks: &[
            Hook::Tracepoint(program::SEND_TRACEPOINT, "sock_send_length"),
            Hook::Exit(program::SEND_FEXIT, "tcp_sendmsg", 3),
        ],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "send_page",
        hooks: &[Hook::Exit(program::SEND_PAGE_FEXIT, "tcp_sendpage", 5)],
        fallback: Some("what sendfile and splice send is not seen"),
        only_with: Some("tcp_sendpage"),
    },
    Signal {
        name: "connection",
        hooks: &[Hook::Tracepoint(program::CONNECTION, "inet_sock_set_state")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "accept",
        hooks: &[
            Hook::Exit(program::ACCEPT_FEXIT, "inet_csk_accept", 2),
            Hook::Exit(program::ACCEPT_FEXIT_OF_FOUR, "inet_csk_accept", 4),
        ],
        fallback: Some(
            "the first read tried on a new connection: an upper bound, exact where one thread does both",
        ),
        only_with: None,
    },
    Signal {
        name: "fork",
        hooks: &[Hook::Tracepoint(program::FORK, "sched_process_fork")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "exec",
        hooks: &[Hook::Tracepoint(program::EXEC, "sched_process_exec")],
        fallback: None,
        only_with: None,
    },
    Signal {
        name: "exit",
        hooks: &[Hook::Tracepoint(program::EXIT, "sched_process_exit")],
        fallback: None,
        only_with: None,
    },
    // After those above: what is opened meanwhile is seen by them.
    Signal {
        name: "found",
        hooks: &[Hook::Iterator(program::FOUND, "task_file")],
        fallback: Some("connections that were open before are known when they are first used"),
        only_with: None,
    },
    Signal {
        name: "sample",
        hooks: &[Hook::Clock(program::SAMPLE)],
        fallback: Some("functions are not named"),
        only_with: None,
    },
    Signal {
        name: "poll",
        hooks: &[Hook::Probe {
            option: "--polls",
            function: tokio::names::POLL,
            // The end of a poll is not probed later than its start: a start without an end would look like a long poll.
            programs: &[
                program::POLL_END,
                program::POLL_START,
                program::QUEUE_FIRST,
                program::QUEUE_SECOND,
            ],
        }],
        fallback: Some("polls are not told"),
        only_with: None,
    },
    Signal {
        name: "goroutine",
        hooks: &[Hook::Probe {
            option: "--goroutines",
            function: go::names::READY,
            programs: &[program::GOROUTINE_EXECUTE, program::GOROUTINE_READY],
        }],
        fallback: Some("which goroutine made which ready is not told"),
        only_with: None,
    },
];
